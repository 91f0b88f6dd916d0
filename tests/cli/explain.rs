//! `explain` by several methods, and its two tests of heat maps.

use std::fs;

use image::RgbImage;
use serde_json::Value;

use crate::common::*;

#[test]
fn explain_by_several_methods_names_them_everywhere() {
    let trained = three();
    let out = tempfile::tempdir().unwrap();
    let maps = out.path().join("maps");
    let methods = ["grad-cam", "grad-cam++", "hirescam", "layercam", "score-cam"];
    let image = trained.image("Jazz/00.png");
    let base = ["explain", trained.run(), &image, "--json", "--out", text(&maps), "--layer", "conv3"];
    let done = good(&[&base[..], &["--class", "Jazz", "--method", &methods.join(",")]].concat());
    assert!(done.stderr.contains("score-cam runs the network up to 65 times"), "{}", done.stderr);
    let records = done.json();
    for (record, method) in records.as_array().unwrap().iter().zip(methods) {
        assert_eq!(record["method"], method);
        assert!(record["cannot_show"].as_str().unwrap().contains("gatefold audit"));
        if let Some(overlay) = record["overlay"].as_str() {
            assert!(overlay.ends_with(&format!("00.{method}.overlay.png")), "{overlay}");
            assert!(image::open(overlay).unwrap().width() >= 32);
        }
    }
    // One score, whoever makes a map of it; different maps.
    let values: Vec<&Value> = records.as_array().unwrap().iter().map(|record| &record["values"]).collect();
    assert!((1..values.len()).all(|i| values[i] != values[0] && records[i]["score"] == records[0]["score"]));
    let sheet = image::open(maps.join("contact-sheet.png")).unwrap();
    assert!(sheet.height() > 5 * 160);
    let said = good(&["explain", trained.run(), &image, "--out", text(&maps)]).stdout;
    assert!(said.contains("grad-cam: ") && said.contains("gatefold audit"), "{said}");
}

#[test]
fn the_tests_of_heat_maps_take_the_test_set_and_write_into_the_run() {
    let (_folder, run) = two().copy();
    let base = ["explain", text(&run), "--limit", "3", "--faithfulness", "--randomisation", "--json"];
    let done = good(&base);
    assert!(done.stderr.contains("note: 3 of 4 pictures (test set)"), "{}", done.stderr);
    let json = done.json();
    let out = run.join("explain");
    for (test, pictures) in [("faithfulness", "faithfulness.svg"), ("randomisation", "randomisation.grad-cam.png")] {
        let written: Value = serde_json::from_slice(&fs::read(out.join(format!("{test}.json"))).unwrap()).unwrap();
        assert_eq!(written, json[test]);
        has_keys(&written, &["layer", "class", "source", "pictures", "of", "cannot_show"]);
        assert_eq!(
            (&written["pictures"], &written["of"], &written["source"]),
            (&3.into(), &4.into(), &"test set".into())
        );
        assert!(fs::metadata(out.join(pictures)).unwrap().len() > 1000);
    }
    let names: Vec<&Value> = json["faithfulness"]["maps"].as_array().unwrap().iter().map(|map| &map["name"]).collect();
    assert_eq!(names, ["grad-cam", "random", "blob"]);
    let stages = json["randomisation"]["methods"][0]["stages"].as_array().unwrap();
    assert_eq!(stages[0]["layers"], "head");
    image::open(out.join("randomisation.grad-cam.png")).unwrap();

    // The same again, byte by byte.
    let before = files(&out);
    good(&base);
    assert_eq!(files(&out), before);
}

#[test]
fn the_tests_of_heat_maps_take_pictures_and_folders() {
    let trained = three();
    let out = tempfile::tempdir().unwrap();
    let (image, folder) = (trained.image("Folk/00.png"), trained.image("Jazz"));
    let to = out.path().join("tests");
    let call = |more: &[&str]| {
        let base = ["explain", trained.run(), &image, &folder, "--class", "Jazz", "--out", text(&to)];
        good(&[&base[..], more].concat())
    };
    let said = call(&["--faithfulness", "--method", "grad-cam,layercam", "--limit", "2"]).stdout;
    for part in ["deletion (less)", "layercam", "random", "blob", "picture", "gatefold audit"] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    let json: Value = serde_json::from_slice(&fs::read(to.join("faithfulness.json")).unwrap()).unwrap();
    assert_eq!((&json["pictures"], &json["of"], &json["class"]), (&2.into(), &13.into(), &"Jazz".into()));
    let said = call(&["--randomisation", "--limit", "1"]).stdout;
    assert!(said.contains("randomised to head: rank correlation"), "{said}");
}

#[test]
fn explain_refuses_what_it_cannot_do() {
    let trained = three();
    let (run, image) = (trained.run(), trained.image("Jazz/00.png"));
    let out = tempfile::tempdir().unwrap();
    let maps = out.path().join("maps");
    let base = ["explain", run, &image, "--out", text(&maps)];
    let also = |more: &[&'static str]| [&base[..], more].concat();
    refused(&also(&["--method", "guided"]), &["guided", "--method", "no such method", "grad-cam++"]);
    // At 32 pixels the last convolutions see a single cell.
    refused(&also(&["--layer", "conv7"]), &["--layer conv7", "single cell", "32 pixels", "conv5"]);
    refused(&also(&["--limit", "3"]), &["--limit", "--faithfulness"]);
    refused(&also(&["--faithfulness", "--class", "Polka"]), &["--class Polka", "Folk, Jazz, Metal"]);
    refused(&also(&["--faithfulness", "--layer", "conv7"]), &["single cell"]);
    let empty = out.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&["explain", run, text(&empty), "--faithfulness"], &["empty", "no picture in this folder"]);
    fs::write(empty.join("bad.png"), "no picture").unwrap();
    refused(
        &["explain", run, text(&empty), "--faithfulness", "--out", text(&maps)],
        &["bad.png", "no picture is left"],
    );
    refused(&["explain", run, "none.png", "--randomisation"], &["none.png", "cannot be read"]);
    let weights = trained.run.join("best.safetensors");
    let file = ["explain", "--weights", text(&weights), "--faithfulness", "--out", text(&maps)];
    refused(&file, &["no picture to test on"]);
    assert!(!maps.exists() && !trained.run.join("explain").exists(), "nothing is made before all is checked");
}

/// Where the JSON says that the square and the peak lie in the original.
fn original(record: &Value) -> ([f64; 2], [f64; 4], [f64; 2]) {
    let of = &record["original"];
    let number = |value: &Value| value.as_f64().unwrap();
    let [width, height] = ["width", "height"].map(|key| number(&of[key]));
    let square = ["x", "y", "width", "height"].map(|key| number(&of["square"][key]));
    ([width, height], square, [number(&of["peak"][0]), number(&of["peak"][1])])
}

#[test]
fn the_json_says_where_the_square_and_the_peak_lie_in_the_original() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let wide = RgbImage::from_fn(90, 41, |x, y| picture(1, 5)[(x % 40, y % 40)]);
    wide.save(at("wide.png")).unwrap();
    image::imageops::rotate90(&wide).save(at("tall.png")).unwrap();
    // The wide one, stored as it is, with an orientation that makes it tall: EXIF 6, a quarter to the right.
    wide.save(at("turned.jpg")).unwrap();
    let stored = fs::read(at("turned.jpg")).unwrap();
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let head = [&[0xFF, 0xE1][..], &(exif.len() as u16 + 2).to_be_bytes(), exif].concat();
    fs::write(at("turned.jpg"), [&stored[..2], &head, &stored[2..]].concat()).unwrap();

    let padded = at("padded");
    good(&train(&three().data, &padded, &["--epochs", "1", "--fit", "pad"]));
    for (run, name, size, square) in [
        (three().run(), "wide.png", [90.0, 41.0], [24.0, 0.0, 41.0, 41.0]),
        (three().run(), "tall.png", [41.0, 90.0], [0.0, 24.0, 41.0, 41.0]),
        (three().run(), "turned.jpg", [41.0, 90.0], [0.0, 24.0, 41.0, 41.0]),
        // Of 32 columns 15 are the picture's, and 8 before them are not: each is 41/15 of its pixels wide.
        (text(&padded), "tall.png", [41.0, 90.0], [-21.87, 0.0, 87.47, 90.0]),
        (text(&padded), "wide.png", [90.0, 41.0], [0.0, -21.87, 90.0, 87.47]),
    ] {
        let (image, maps) = (at(name), at("maps"));
        let base = ["explain", run, text(&image), "--json", "--original", "--layer", "conv3", "--out", text(&maps)];
        let record = |class: &&str| good(&[&base[..], &["--class", class]].concat()).json()[0].clone();
        let record = ["Folk", "Jazz", "Metal"].iter().map(record).find(|record| record["evidence"] == true).unwrap();
        let (found, region, peak) = original(&record);
        assert_eq!((found, region), (size, square), "{name}");
        for (axis, pixel) in record["peak"].as_array().unwrap().iter().enumerate() {
            let expected = region[axis] + (pixel.as_f64().unwrap() + 0.5) / 32.0 * region[2 + axis];
            assert!((peak[axis] - expected).abs() < 0.02, "{name}: {peak:?} {expected}");
        }
        let overlay = record["original_overlay"].as_str().unwrap();
        assert!(overlay.ends_with(".grad-cam.original.png"), "{overlay}");
    }
    // The last call's overlay: at the original's size, with heat somewhere.
    let written = fs::read_dir(at("maps")).unwrap().map(|entry| entry.unwrap().path());
    let overlays = written.filter(|path| text(path).ends_with("wide.grad-cam.original.png"));
    overlays.for_each(|path| assert_eq!(image::image_dimensions(path).unwrap(), (90, 41)));
    refused(
        &["explain", three().run(), text(&at("wide.png")), "--out", text(&at("no")), "--original", "--faithfulness"],
        &["--original", "--faithfulness"],
    );
}
