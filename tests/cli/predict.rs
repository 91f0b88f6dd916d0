//! `predict` for those who have many pictures: folders, tables, music libraries, data sets and lists.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::audio::{self, Tags, jpeg};
use crate::common::*;

/// The program with names on standard input.
fn fed(arguments: &[&str], input: &[u8]) -> Done {
    let mut child =
        command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: done.status.code().unwrap_or(-1), stdout: text(done.stdout), stderr: text(done.stderr) }
}

/// The rows of `predict RUN DATA --json` with more arguments, which must succeed.
#[track_caller]
fn rows(data: &[&str], more: &[&str]) -> Vec<Value> {
    let done = good(&[&["predict", three().run(), "--json"], data, more].concat());
    done.json().as_array().unwrap().clone()
}

/// What tells one answer from another: a file's name and the bits of its logits.
fn answers(rows: &[Value]) -> Vec<(String, String)> {
    let name = |row: &Value| Path::new(row["path"].as_str().unwrap()).file_name().unwrap().to_owned();
    let folder = |row: &Value| {
        let path = Path::new(row["path"].as_str().unwrap()).to_owned();
        path.parent().and_then(Path::file_name).unwrap_or_default().to_owned()
    };
    rows.iter()
        .map(|row| (format!("{}/{}", folder(row).display(), name(row).display()), row["logits"].to_string()))
        .collect()
}

#[test]
fn every_kind_of_data_and_every_batch_gives_the_same_bits() {
    let trained = three();
    let data = text(&trained.data);
    // 36 pictures: a batch and a part of one.
    let folder = rows(&[data], &[]);
    assert_eq!(folder.len(), 36);
    let wanted = answers(&folder);
    assert!(wanted.is_sorted() && wanted[0].0 == "Folk/00.png", "{wanted:?}");
    // One by one, and five at a time.
    for (place, name) in [(0, "Folk/00.png"), (17, "Jazz/05.png"), (35, "Metal/11.png")] {
        assert_eq!(answers(&rows(&[&trained.image(name)], &[])), wanted[place..=place]);
    }
    let five: Vec<String> = (20..25).map(|i| folder[i]["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(answers(&rows(&five.iter().map(String::as_str).collect::<Vec<_>>(), &[])), wanted[20..25]);
    // A list, with lines or with NUL between names.
    let names: Vec<&str> = folder.iter().map(|row| row["path"].as_str().unwrap()).collect();
    for (option, end) in [(&[][..], "\n"), (&[], "\r\n"), (&["-0"], "\0"), (&["--null"], "\0")] {
        let list: String = names.iter().map(|name| format!("{name}{end}")).collect();
        let done = fed(&[&["predict", three().run(), "-", "--json"], option].concat(), list.as_bytes());
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert_eq!(answers(done.json().as_array().unwrap()), wanted);
    }
    // A table, by its header or by a name for it, with its labels.
    let dir = tempfile::tempdir().unwrap();
    let table = dir.path().join("covers.csv");
    let lines: String = names.iter().map(|name| format!("{name},Polka\n")).collect();
    fs::write(&table, format!("where,style\n{lines}")).unwrap();
    let found = rows(&[text(&table)], &["--path", "where"]);
    assert_eq!(answers(&found), wanted);
    assert_eq!((&found[0]["genre"], &found[0]["disagrees"]), (&"Polka".into(), &Value::Null));
    // The data set of the run, from its pack: in the order of its manifest, and with its labels.
    let set = text(&trained.run.join("data")).to_owned();
    let found = rows(&[&set], &[]);
    let mut sorted = answers(&found);
    sorted.sort();
    assert_eq!(sorted, wanted);
    for row in &found {
        assert_eq!(row["disagrees"].as_bool(), Some(row["label"] != row["genre"]), "{row}");
    }
    // Mixed, each in its place.
    let mixed = rows(&[names[3], &set, names[4]], &[]);
    assert_eq!(mixed.len(), 38);
    assert_eq!(answers(&mixed[..1]), wanted[3..4]);
    assert_eq!(answers(&mixed[37..]), wanted[4..5]);
    assert!(mixed[0]["genre"] == "" && mixed[0]["disagrees"].is_null(), "{}", mixed[0]);
}

#[test]
fn what_cannot_be_read_has_a_row_and_the_rest_is_answered() {
    let trained = three();
    let dir = tempfile::tempdir().unwrap();
    let (folder, run) = (dir.path().join("covers"), trained.run());
    fs::create_dir(&folder).unwrap();
    fs::copy(trained.image("Jazz/00.png"), folder.join("b.png")).unwrap();
    fs::write(folder.join("a.jpg"), "no picture").unwrap();
    fs::write(folder.join("c.heic"), "no matter").unwrap();
    // Passed over in silence, as in training.
    for name in [".DS_Store", "._b.png", "Thumbs.db", "notes.txt"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    fs::create_dir(folder.join(".hidden")).unwrap();
    fs::copy(trained.image("Jazz/01.png"), folder.join(".hidden/d.png")).unwrap();
    // Found in a folder: told, and no failure.
    let done = good(&["predict", run, text(&folder), "--json"]);
    let found = done.json();
    let found = found.as_array().unwrap();
    let errors: Vec<&str> = found.iter().map(|row| row["error"].as_str().unwrap_or("")).collect();
    assert_eq!((found.len(), errors[1]), (3, ""), "{found:?}");
    assert!(errors[0].starts_with("not a picture") && errors[2].contains("HEIC"), "{errors:?}");
    assert!(found[0]["label"].is_null() && found[0].get("logits").is_none() && found[1]["label"].is_string());
    assert!(done.stderr.contains("skipped 2 pictures:") && done.stderr.contains("a.jpg: not a picture"));
    // Named: exit code 2 and a line, after all others.
    let (bad, notes) = (folder.join("a.jpg"), folder.join("notes.txt"));
    let b = folder.join("b.png");
    let unix = cfg!(unix);
    let no_file = if unix { "/dev/null".into() } else { folder.join("gone.png") };
    let no_file_is = if unix { "not a file" } else { "gone.png" };
    for format in [&[][..], &["--json"], &["--jsonl"], &["--csv"], &["--csv-raw"]] {
        let call = [&["predict", run, text(&bad), text(&b), "none.png", text(&no_file)], format].concat();
        let done = gatefold(&call);
        assert_eq!((done.code, done.errors().len()), (2, 1), "{}", done.stderr);
        let error = done.errors()[0];
        assert!(error.contains("a.jpg: not a picture") && error.contains("2 more like it; all others"), "{error}");
        for part in ["a.jpg", "b.png", "none.png", "not a picture", "cannot be read", no_file_is] {
            assert!(done.stdout.contains(part), "{part} is missing in {}", done.stdout);
        }
    }
    let done = gatefold(&["predict", run, text(&notes), text(&b)]);
    assert!(done.code == 2 && done.stdout.contains("notes.txt: error: not a picture"), "{}", done.stderr);
    // But a text may be a list of pictures, and a table that cannot be understood is refused.
    let list = dir.path().join("list.txt");
    fs::write(&list, "covers/b.png\ncovers/b.png\n").unwrap();
    assert_eq!(good(&["predict", run, text(&list)]).stdout.lines().count(), 2);
    let table = dir.path().join("other.csv");
    fs::write(&table, "a,b\n1,2\n").unwrap();
    refused(&["predict", run, text(&b), text(&table)], &["other.csv: no column `path`", "--path"]);
    let done = gatefold(&["predict", run, text(&b), text(&folder.join("Thumbs.db"))]);
    assert!(done.code == 2 && done.stdout.contains("Thumbs.db: error: not a picture"), "{}", done.stdout);
    // A table of which some files are missing.
    let table = dir.path().join("t.csv");
    fs::write(&table, "path\ncovers/b.png\ncovers/gone.png\nhttps://x.example/a.jpg\n").unwrap();
    let done = gatefold(&["predict", run, text(&table), "--csv"]);
    let mut reader = csv::Reader::from_reader(done.stdout.as_bytes());
    let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let cells: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!((done.code, cells.len(), head.last().unwrap().as_str()), (2, 3, "error"));
    let last = |row: usize| cells[row].iter().next_back().unwrap().to_owned();
    assert_eq!((last(0).as_str(), last(1).as_str()), ("", "line 3: there is no such file"));
    assert!(last(2).contains("a link, not a file"), "{}", last(2));
    // Nothing that can be read prints nothing but an error.
    refused(
        &["predict", run, text(&bad), "none.png", "--json"],
        &["a.jpg: not a picture", "and 1 more", "no picture is left"],
    );
    // Very many of them cannot be held back, and are told all the same.
    let list: String = (0..500).map(|i| format!("none-{i}.png\n")).collect();
    let done = fed(&["predict", run, "-", "--jsonl"], list.as_bytes());
    assert_eq!((done.code, done.stdout.lines().count()), (2, 500), "{}", done.stderr);
    assert!(done.errors()[0].contains("499 more like it; no picture is left"), "{}", done.stderr);
}

#[test]
fn options_that_shape_the_answer() {
    let trained = three();
    let image = trained.image("Jazz/03.png");
    let numbers = |row: &Value, key: &str| -> Vec<f64> {
        row[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
    };
    let [plain] = &rows(&[&image], &[])[..] else { panic!() };
    // The best ones.
    let [top] = &rows(&[&image], &["--top", "2"])[..] else { panic!() };
    let best = top["top"].as_array().unwrap();
    assert_eq!((best.len(), &best[0]["label"], &best[0]["probability"]), (2, &plain["label"], &plain["probability"]));
    assert!(top.get("probabilities").is_none() && best[1]["probability"].as_f64() <= best[0]["probability"].as_f64());
    let csv = good(&["predict", trained.run(), &image, "--csv", "--top", "9"]).stdout;
    assert!(csv.starts_with(
        "path,label,probability,class_1,probability_1,class_2,probability_2,class_3,probability_3,error\n"
    ));
    assert_eq!(good(&["predict", trained.run(), &image, "--top", "1"]).stdout.matches('%').count(), 1);
    // What is too unsure has no label, and a row.
    let [unsure] = &rows(&[&image], &["--min-confidence", "1"])[..] else { panic!() };
    assert!(unsure["label"].is_null() && unsure["unsure"] == true && unsure["probability"] == plain["probability"]);
    let [sure] = &rows(&[&image], &["--min-confidence", "0.1"])[..] else { panic!() };
    assert_eq!((&sure["label"], &sure["unsure"]), (&plain["label"], &false.into()));
    let table = good(&["predict", trained.run(), &image, "--min-confidence", "1"]).stdout;
    assert!(table.contains(": unsure (") && table.lines().count() == 1, "{table}");
    // The mean of a picture and its mirror image.
    let dir = tempfile::tempdir().unwrap();
    let mirrored = dir.path().join("m.png");
    image::imageops::flip_horizontal(&image::open(&image).unwrap().to_rgb8()).save(&mirrored).unwrap();
    // The picture is scaled to the network's size, and mirroring commutes with that only where it is not.
    let square = dir.path().join("s.png");
    image::imageops::resize(&image::open(&image).unwrap().to_rgb8(), 32, 32, image::imageops::FilterType::Triangle)
        .save(&square)
        .unwrap();
    image::imageops::flip_horizontal(&image::open(&square).unwrap().to_rgb8()).save(&mirrored).unwrap();
    let both = rows(&[text(&square), text(&mirrored)], &[]);
    let mean = rows(&[text(&square), text(&mirrored)], &["--tta"]);
    for key in ["probabilities", "logits"] {
        let wanted = numbers(&both[0], key).into_iter().zip(numbers(&both[1], key)).map(|(a, b)| (a + b) / 2.0);
        for (mean, wanted) in numbers(&mean[0], key).into_iter().zip(wanted) {
            assert!((mean - wanted).abs() < 1e-6, "{key}: {mean} {wanted}");
        }
    }
    assert_eq!(answers(&mean[..1])[0].1, answers(&mean[1..])[0].1);
    let all = rows(&[text(&trained.data)], &["--tta"]);
    assert_eq!((all.len(), answers(&all[4..5])), (36, answers(&rows(&[all[4]["path"].as_str().unwrap()], &["--tta"]))));
    // A line of JSON each, and the time.
    let lines = good(&["predict", trained.run(), text(&trained.data), "--jsonl", "--timing"]);
    let each: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(each, rows(&[text(&trained.data)], &[]));
    assert!(lines.stderr.contains("timing: 36 pictures in "), "{}", lines.stderr);
}

#[test]
fn options_and_data_that_make_no_sense() {
    let (trained, dir) = (three(), tempfile::tempdir().unwrap());
    let (run, image) = (trained.run(), trained.image("Jazz/00.png"));
    refused(&["predict", run, &image, "--min-confidence", "1.5"], &["--min-confidence 1.5", "from 0 to 1"]);
    refused(&["predict", run, &image, "--min-confidence", "-1"], &["--min-confidence -1", "from 0 to 1"]);
    refused(&["predict", run, &image, "--top", "0"], &["--top 0"]);
    refused(&["predict", run, &image, "--path", "x"], &["--path is for a table"]);
    refused(&["predict", run, &image, "--images", "x"], &["--images is for a table"]);
    refused(&["predict", run, &image, "--genres", "x"], &["--genres is for a music library"]);
    refused(&["predict", run, &image, "-0"], &["--null is for a list"]);
    refused(&["predict", run, "-", "-"], &["standard input can be read once"]);
    refused(&["predict", run, &image, "--json", "--jsonl"], &["--json"]);
    refused(&["predict", run, text(dir.path())], &[text(dir.path()), "no picture in this folder"]);
    fs::write(dir.path().join("a.wma"), "x").unwrap();
    refused(&["predict", run, text(dir.path())], &["1 .wma file, whose tags cannot be read"]);
    let done = fed(&["predict", run, "-"], b"");
    assert!(done.code == 2 && done.errors()[0].contains("the list is empty"), "{}", done.stderr);
    let done = fed(&["predict", run, "-"], b"a.png\0b.png\0");
    assert!(done.code == 2 && done.errors()[0].contains("--null"), "{}", done.stderr);
    // A folder on standard input is no picture.
    let list = format!("{}\n{image}\n", text(&trained.data));
    let done = fed(&["predict", run, "-"], list.as_bytes());
    assert!(done.code == 2 && done.errors()[0].contains("not a file; all others"), "{}", done.stderr);
}

/// A track of an album of these tags.
fn track(root: &Path, (artist, album, genre): (&str, &str, &str), number: u32, cover: Option<u32>) {
    let genres = if genre.is_empty() { vec![] } else { vec![genre] };
    let tags = Tags { artist, album_artist: artist, album, genres: &genres, cover: cover.map(jpeg), ..Tags::default() };
    audio::write(&root.join(format!("{artist}/{album}/{number:02}.mp3")), &tags);
}

#[test]
fn a_music_library_gets_an_answer_an_album_and_tells_where_tags_disagree() {
    let (trained, dir) = (three(), tempfile::tempdir().unwrap());
    let root = dir.path();
    let kind = ("Miles", "Blue", "Jazz");
    // The same cover in each of twelve tracks; one beside tracks; a genre that the run does not know; none; no cover; no tags.
    (1..=12).for_each(|number| track(root, kind, number, Some(4)));
    (1..=2).for_each(|number| track(root, ("Iron", "Steel", "Heavy Metal"), number, None));
    fs::write(root.join("Iron/Steel/cover.jpg"), jpeg(7)).unwrap();
    fs::write(root.join("Iron/Steel/.DS_Store"), "x").unwrap();
    fs::write(root.join("Iron/Steel/._cover.jpg"), "x").unwrap();
    track(root, ("Ann", "Polkas", "Polka; Waltz"), 1, Some(9));
    track(root, ("Bob", "Nothing", ""), 1, Some(10));
    track(root, ("Cid", "Bare", "Folk"), 1, None);
    fs::write(root.join("broken.mp3"), "").unwrap();
    let done = good(&["predict", trained.run(), text(root), "--json"]);
    let found = done.json();
    let of = |album: &str| {
        let found: Vec<&Value> =
            found.as_array().unwrap().iter().filter(|row| row["album"] == album && row["artist"] != "").collect();
        assert_eq!(found.len(), 1, "{album}: {found:?}");
        found[0].clone()
    };
    assert_eq!(found.as_array().unwrap().len(), 6, "{found}");
    for (album, genre, label) in [
        ("Blue", "Jazz", Some("Jazz")),
        ("Steel", "Heavy Metal", Some("Metal")),
        ("Polkas", "Polka; Waltz", None),
        ("Nothing", "", None),
    ] {
        let row = of(album);
        assert_eq!((row["genre"].as_str(), row["genre_label"].as_str()), (Some(genre), label), "{row}");
        let disagrees = label.map(|label| row["label"] != label);
        assert_eq!(row["disagrees"].as_bool(), disagrees, "{row}");
        assert!(row["path"].as_str().unwrap().ends_with(if album == "Steel" { "cover.jpg" } else { ".mp3" }), "{row}");
    }
    let bare = of("Bare");
    assert!(bare["error"].as_str().unwrap().starts_with("no cover embedded") && bare["genre"] == "Folk", "{bare}");
    let broken = found.as_array().unwrap().iter().find(|row| row["path"].as_str().unwrap().ends_with("broken.mp3"));
    assert!(broken.unwrap()["error"].is_string());
    assert!(done.stderr.contains("a music library: 17 tracks, 5 albums, 4 of them with a cover"), "{}", done.stderr);
    // The same cover by itself.
    let track = root.join("Miles/Blue/05.mp3");
    assert_eq!(rows(&[text(&track)], &[])[0]["logits"], of("Blue")["logits"]);
    let csv = good(&["predict", trained.run(), text(root), "--csv"]).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = [
        "path",
        "label",
        "probability",
        "p(Folk)",
        "p(Jazz)",
        "p(Metal)",
        "artist",
        "album",
        "genre",
        "genre_label",
        "disagrees",
        "error",
    ];
    assert_eq!(reader.headers().unwrap(), &head[..]);
    let cells: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let row = cells.iter().find(|row| &row[7] == "Blue").unwrap();
    assert_eq!((&row[6], &row[8], &row[9]), ("Miles", "Jazz", "Jazz"));
    assert_eq!(row[10].parse(), Ok(&row[1] != "Jazz"));
    let table = good(&["predict", trained.run(), text(root)]).stdout;
    let line = table.lines().find(|line| line.contains("Blue")).unwrap();
    assert!(line.contains("[Miles, Blue; genre Jazz"), "{line}");
    assert_eq!(line.contains("which disagrees"), &row[10] == "true");
    // Another table of genres.
    let genres = root.join("genres.toml");
    fs::write(&genres, "Folk = [\"Polka\"]\n").unwrap();
    let found = rows(&[text(root)], &["--genres", text(&genres)]);
    let row = found.iter().find(|row| row["album"] == "Polkas").unwrap();
    assert_eq!(row["genre_label"], "Folk");
    // Where the network is unsure, it does not disagree.
    let found = rows(&[text(root)], &["--min-confidence", "1"]);
    assert!(found.iter().all(|row| row["label"].is_null() && row["disagrees"].is_null()));
}

#[cfg(unix)]
#[test]
fn folders_that_lead_astray() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (trained, dir) = (three(), tempfile::tempdir().unwrap());
    let root = dir.path().join("in");
    let locked = root.join("locked");
    fs::create_dir_all(&locked).unwrap();
    fs::copy(trained.image("Jazz/00.png"), root.join("a.png")).unwrap();
    symlink(&root, root.join("loop")).unwrap();
    symlink("nowhere.png", root.join("dangling.png")).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    let is_locked = fs::read_dir(&locked).is_err();
    let done = good(&["predict", trained.run(), text(&root), "--json"]);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o700)).unwrap();
    let found = done.json();
    let found = found.as_array().unwrap();
    assert!(found[0]["path"].as_str().unwrap().ends_with("/a.png") && found[0]["label"].is_string());
    let errors: Vec<&str> = found[1..].iter().map(|row| row["error"].as_str().unwrap()).collect();
    assert!(errors.iter().any(|error| error.contains("leads back to")), "{errors:?}");
    // Root may read everything.
    assert_eq!(errors.len(), if is_locked { 3 } else { 2 }, "{errors:?}");
}

#[cfg(unix)]
#[test]
fn a_list_without_end_ends_with_its_reader() {
    use std::io::{BufRead, BufReader};
    let (trained, dir) = (three(), tempfile::tempdir().unwrap());
    let odd = {
        use std::os::unix::ffi::OsStrExt;
        dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9.png"))
    };
    fs::copy(trained.image("Jazz/00.png"), &odd).unwrap();
    let mut child = command(&["predict", trained.run(), "-", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let name = {
        use std::os::unix::ffi::OsStrExt;
        [odd.as_os_str().as_bytes(), b"\n"].concat()
    };
    let writing = std::thread::spawn(move || while stdin.write_all(&name).is_ok() {});
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let row: Value = serde_json::from_str(&line).unwrap();
    assert!(row["path"].as_str().unwrap().ends_with("/caf\\xe9.png") && row["label"].is_string(), "{row}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    writing.join().unwrap();
}

/// Who types names, or writes them one by one and waits for each answer, would wait for ever for a batch to fill.
#[test]
fn a_name_is_answered_while_the_list_is_open() {
    use std::io::{BufRead, BufReader};
    let trained = three();
    let mut child = command(&["predict", trained.run(), "-", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut stdin, mut lines) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()).lines());
    for name in ["Jazz/00.png", "Folk/03.png"] {
        writeln!(stdin, "{}", trained.image(name)).unwrap();
        stdin.flush().unwrap();
        // With the list closed by nobody, only an answer ends this wait.
        let row: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert!(row["path"].as_str().unwrap().ends_with(name) && row["label"].is_string(), "{row}");
    }
    drop(stdin);
    assert!(lines.next().is_none() && child.wait().unwrap().success());
}
