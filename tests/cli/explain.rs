//! `explain` by several methods, and its two tests of heat maps.

use std::fs;

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
