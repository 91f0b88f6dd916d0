//! Covers like these: `similar`, and the numbers that it compares, `predict --embeddings`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::audio::{self, Tags, jpeg};
use crate::common::*;
use crate::weights::{drawn, save};

/// The rows of an array that NumPy would read.
fn array(path: &Path) -> Vec<Vec<f32>> {
    let bytes = fs::read(path).unwrap();
    let (head, numbers) = bytes.split_at(128);
    let head = String::from_utf8_lossy(head);
    assert!(head.contains("NUMPY") && head.contains("'descr': '<f4', 'fortran_order': False"), "{head}");
    let shape = head.split("'shape': (").nth(1).unwrap().split(')').next().unwrap();
    let shape: Vec<usize> = shape.split(", ").map(|number| number.parse().unwrap()).collect();
    let numbers: Vec<f32> = numbers.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    assert_eq!(numbers.len(), shape[0] * shape[1]);
    numbers.chunks(shape[1]).map(<[f32]>::to_vec).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn the_nearest_covers_are_those_of_the_embeddings() {
    let trained = three();
    let dir = tempfile::tempdir().unwrap();
    let (npy, data) = (dir.path().join("all.npy"), text(&trained.data));
    let done = good(&["predict", trained.run(), data, "--json", "--embeddings", text(&npy)]);
    assert!(done.stderr.contains("all.npy: 36 x 128, and "), "{}", done.stderr);
    // Features cost no bit of an answer.
    assert_eq!(done.json(), good(&["predict", trained.run(), data, "--json"]).json());
    let features = array(&npy);
    let mut table = csv::Reader::from_path(dir.path().join("all.csv")).unwrap();
    assert_eq!(table.headers().unwrap(), &["path", "label", "artist", "album", "genre"][..]);
    let paths: Vec<String> = table.records().map(|row| row.unwrap()[0].to_owned()).collect();
    assert_eq!((features.len(), features[0].len(), paths.len()), (36, 128, 36));

    let image = trained.image("Jazz/03.png");
    let asked = paths.iter().position(|path| *path == image).unwrap();
    let found = good(&["similar", trained.run(), &image, "--in", data, "--top", "5", "--json"]).json();
    let [row] = &found.as_array().unwrap()[..] else { panic!("{found}") };
    has_keys(row, &["path", "label", "probability", "itself_in_data", "similar"]);
    let near = row["similar"].as_array().unwrap();
    let mut order: Vec<usize> = (0..36).filter(|&other| other != asked).collect();
    let to = |other: usize| cosine(&features[asked], &features[other]);
    order.sort_by(|&a, &b| to(b).total_cmp(&to(a)));
    assert_eq!((near.len(), &row["itself_in_data"], row["path"].as_str()), (5, &true.into(), Some(&*image)));
    for (near, &other) in near.iter().zip(&order) {
        assert!((near["similarity"].as_f64().unwrap() - to(other)).abs() < 1e-5, "{near}");
        assert_ne!(near["path"], row["path"]);
    }
    // The run's own data set, as squares in its pack, has the same covers.
    let own = good(&["similar", trained.run(), &image, "--top", "5", "--json"]).json();
    let likeness = |found: &Value| -> Vec<Value> {
        found[0]["similar"].as_array().unwrap().iter().map(|near| near["similarity"].clone()).collect()
    };
    assert_eq!(likeness(&own), likeness(&found));
    assert!(["Folk", "Jazz", "Metal"].contains(&own[0]["similar"][0]["genre"].as_str().unwrap()));
    // Under another name it is the same picture still.
    let copy = dir.path().join("copy.png");
    fs::copy(&image, &copy).unwrap();
    let copied = good(&["similar", trained.run(), text(&copy), "--top", "5", "--json"]).json();
    assert_eq!((&copied[0]["itself_in_data"], likeness(&copied)), (&true.into(), likeness(&own)));
    // As a table and as a sheet; of several covers, one of which cannot be read.
    let sheet = dir.path().join("sheet.png");
    let call = ["similar", trained.run(), &image, "none.png", text(&copy), "--top", "3", "--sheet", text(&sheet)];
    let done = gatefold(&call);
    assert!(done.code == 2 && done.errors()[0].contains("none.png"), "{}", done.stderr);
    for (part, times) in [(" itself ", 2), ("none.png: error: ", 1), ("\n    3  ", 2), ("\n    4  ", 0), ("wrote ", 1)]
    {
        assert_eq!(done.stdout.matches(part).count(), times, "{part}: {}", done.stdout);
    }
    let drawn = image::open(&sheet).unwrap();
    assert!(drawn.width() > 4 * 160 && drawn.height() > 2 * 160);
}

#[test]
fn every_network_has_features_and_they_cost_no_bit_of_an_answer() {
    let (image, dir) = (three().image("Metal/01.png"), tempfile::tempdir().unwrap());
    for (net, width) in [("small", 64), ("resnet18", 512), ("densenet121", 1024)] {
        // First values do as well as trained ones.
        let weights = save(dir.path(), &format!("{net}.safetensors"), &drawn(net, 3), "");
        let npy = dir.path().join(format!("{net}.npy"));
        let call = ["predict", "--weights", text(&weights), "--net", net, "--size", "32", &image, "--jsonl"];
        assert_eq!(good(&[&call[..], &["--embeddings", text(&npy)]].concat()).stdout, good(&call).stdout, "{net}");
        let features = array(&npy);
        assert!(features.len() == 1 && features[0].len() == width && features[0].iter().any(|v| *v != 0.0), "{net}");
    }
}

#[test]
fn albums_are_found_among_the_music_and_what_is_no_place_is_refused() {
    let (trained, dir) = (three(), tempfile::tempdir().unwrap());
    let music = dir.path().join("music");
    for number in 0..4 {
        let (artist, album) = (format!("Artist {number}"), format!("Album {number}"));
        let cover = Some(jpeg(number));
        let tags =
            Tags { artist: &artist, album_artist: &artist, album: &album, genres: &["Jazz"], cover, ..Tags::default() };
        (1..4).for_each(|track| audio::write(&music.join(format!("{number}/{track}.mp3")), &tags));
    }
    let (run, track) = (trained.run(), music.join("2/3.mp3"));
    let found = good(&["similar", run, text(&track), "--in", text(&music), "--json"]).json();
    let near = found[0]["similar"].as_array().unwrap();
    let mut albums: Vec<&str> = near.iter().map(|near| near["album"].as_str().unwrap()).collect();
    albums.sort_unstable();
    assert_eq!((albums, &found[0]["itself_in_data"]), (vec!["Album 0", "Album 1", "Album 3"], &true.into()));
    let npy = dir.path().join("x.npy");
    good(&["predict", run, text(&music), "--embeddings", text(&npy), "--tta"]);
    let table = fs::read_to_string(dir.path().join("x.csv")).unwrap();
    assert!(array(&npy).len() == 4 && table.contains(",Artist 2,Album 2,Jazz\n"), "{table}");
    // Again replaces both.
    good(&["predict", run, text(&track), "--embeddings", text(&npy)]);
    assert_eq!(array(&npy).len(), 1);

    let image = trained.image("Jazz/00.png");
    refused(&["similar", run], &["no cover to look for"]);
    refused(&["similar", run, &image, "--sheet", "x.jpg"], &["--sheet x.jpg", ".png"]);
    refused(&["similar", run, &image, "--sheet", "no/such/x.png"], &["x.png"]);
    refused(&["similar", run, &image, "--in", "-"], &["--in -"]);
    refused(&["similar", run, &image, "--top", "0"], &["--top 0"]);
    refused(&["similar", run, "none.png"], &["none.png: cannot be read", "no picture is left"]);
    refused(&["similar", run, &image, "--in", text(&dir.path().join("gone"))], &["gone"]);
    let weights = text(&trained.run.join("best.safetensors")).to_owned();
    refused(&["similar", "--weights", &weights, &image], &["name the covers to look among with --in DATA"]);
    refused(&["predict", run, &image, "--embeddings", "x.safetensors"], &["--embeddings x.safetensors", ".npy"]);
    refused(&["predict", run, &image, "--embeddings", "no/such/x.npy"], &["x.npy"]);
    let theirs = dir.path().join("theirs.csv");
    fs::write(&theirs, "mine").unwrap();
    let other = text(&dir.path().join("theirs.npy")).to_owned();
    refused(&["predict", run, &image, "--embeddings", &other], &["would replace", "theirs.csv"]);
    assert_eq!(fs::read(&theirs).unwrap(), b"mine");
    // Where nothing is answered, nothing is written.
    let other = text(&dir.path().join("none.npy")).to_owned();
    refused(&["predict", run, "none.png", "--embeddings", &other], &["no picture is left"]);
    assert!(!Path::new(&other).exists());
}
