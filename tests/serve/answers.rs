//! What the API answers: the same as the command line, as it is described, with what it is worth.

use serde_json::Value;

use crate::common::{good, refused, text};
use crate::schema::Schema;
use crate::server::{Server, three, two};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
fn near(a: &Value, b: &Value) {
    let (x, y) = (number(a), number(b));
    assert!((x - y).abs() < 1e-4 * y.abs().max(1.0), "{a} {b}");
}

#[test]
fn answers_are_those_of_the_command_line_and_as_the_api_is_described() {
    let run = three();
    let server = Server::start(&run.run, &["--nearest", "5"]);
    server.ready();
    let schema = Schema::of(&server);
    assert_eq!(schema.document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    let about = server.get("api/run").json();
    schema.holds("Run", &about);
    assert_eq!((&about["labels"][1], &about["name"], &about["audit"]), (&"Jazz".into(), &"run".into(), &Value::Null));
    let tested: Value = serde_json::from_slice(&std::fs::read(run.run.join("test.json")).unwrap()).unwrap();
    assert_eq!((&about["score"]["accuracy"], &about["score"]["majority"]), (&tested["accuracy"], &tested["majority"]));

    let path = run.others.join("Jazz 1.png");
    let answer = server.post("api/predict", &run.other("Jazz 1.png"));
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    schema.holds("Prediction", &answer);
    let wanted = &good(&["predict", text(&run.run), text(&path), "--json"]).json()[0];
    assert_eq!(answer["label"], wanted["label"]);
    near(&answer["probability"], &wanted["probability"]);
    assert_eq!((&answer["classes"][0]["label"], &answer["classes_left_off"]), (&wanted["label"], &0.into()));
    assert_eq!((&answer["in_training"], &answer["original"]["width"]), (&false.into(), &40.into()));
    // All covers of the data set are more than those of training.
    let training: Vec<String> = {
        let mut table = csv::Reader::from_path(run.run.join("data/manifest.csv")).unwrap();
        let rows = table.records().map(Result::unwrap).filter(|row| &row[2] == "train");
        rows.map(|row| row[0].to_owned()).collect()
    };
    let similar = good(&["similar", text(&run.run), text(&path), "--top", "36", "--json"]).json();
    let similar = similar[0]["similar"].as_array().unwrap().iter();
    let of_training: Vec<&Value> =
        similar.filter(|near| training.iter().any(|path| near["path"] == path.as_str())).take(5).collect();
    let nearest = answer["nearest"].as_array().unwrap();
    assert_eq!(nearest.len(), 5);
    for (got, wanted) in nearest.iter().zip(of_training) {
        near(&got["similarity"], &wanted["similarity"]);
        assert_eq!(got["label"], wanted["genre"]);
        let cover = server.get(got["picture"].as_str().unwrap().trim_start_matches('/'));
        assert_eq!((cover.status, cover.header("content-type")), (200, "image/jpeg"));
        assert_eq!(image::load_from_memory(&cover.bytes).unwrap().width(), 32);
    }
    // One that it was trained on.
    let known = server.post("api/predict?top=1", &std::fs::read(&training[0]).unwrap()).json();
    schema.holds("Prediction", &known);
    assert_eq!((&known["in_training"], known["classes"].as_array().unwrap().len()), (&true.into(), 1));
    assert_eq!(known["classes_left_off"], 2);
}

#[test]
fn each_answer_says_how_often_such_ones_were_right() {
    let run = three();
    let server = Server::start(&run.run, &["--nearest", "0"]);
    let answer = server.post("api/predict", &run.other("Folk 1.png")).json();
    assert_eq!((&answer["nearest"], &answer["in_training"]), (&Value::Null, &Value::Null));
    let (trust, probability) = (&answer["trust"], number(&answer["probability"]));
    assert!(number(&trust["from"]) <= probability && probability <= number(&trust["to"]) + 1e-6, "{trust}");
    // Counted from the table of answers.
    let mut table = csv::Reader::from_path(run.run.join("test-predictions.csv")).unwrap();
    let (mut covers, mut right) = (0, 0);
    for row in table.records().map(Result::unwrap) {
        let sure = row.iter().skip(4).map(|p| p.parse::<f64>().unwrap()).fold(0.0, f64::max);
        if number(&trust["from"]) < sure && sure <= number(&trust["to"]) {
            covers += 1;
            right += u64::from(row[2] == row[3]);
        }
    }
    assert_eq!((&trust["covers"], &trust["right"]), (&covers.into(), &right.into()));
    assert_eq!(trust["text"], answer["trust_text"]);
    let of_run = server.get("api/run").json();
    let bins = of_run["trust"].as_array().unwrap();
    let all: u64 = bins.iter().map(|bin| bin["covers"].as_u64().unwrap()).sum();
    assert_eq!((bins.len(), Some(all)), (10, of_run["score"]["covers"].as_u64()));

    // Where nothing is known, that is said.
    let dir = tempfile::tempdir().unwrap();
    let bare = dir.path().join("bare");
    std::fs::create_dir(&bare).unwrap();
    for file in ["config.toml", "best.safetensors"] {
        std::fs::copy(run.run.join(file), bare.join(file)).unwrap();
    }
    let server = Server::start(&bare, &[]);
    assert!(server.said().contains("data: is missing, so there is no score"), "{}", server.said());
    let schema = Schema::of(&server);
    schema.holds("Run", &server.get("api/run").json());
    let bare = server.post("api/predict", &run.other("Folk 1.png")).json();
    schema.holds("Prediction", &bare);
    assert_eq!((&bare["trust"], &bare["label"]), (&Value::Null, &answer["label"]));
    assert!(bare["trust_text"].as_str().unwrap().contains("no test set"), "{bare}");
}

#[test]
fn heat_maps_are_those_of_the_command_line() {
    for (run, class) in [(three(), "Metal"), (two(), "Folk")] {
        let server = Server::start(&run.run, &[]);
        let schema = Schema::of(&server);
        let (path, out) = (run.others.join("Jazz 1.png"), tempfile::tempdir().unwrap());
        let methods = "grad-cam,grad-cam++,hirescam,layercam,score-cam";
        let arguments = ["explain", text(&run.run), text(&path), "--method", methods, "--class", class, "--json"];
        let wanted = good(&[&arguments[..], &["--out", text(out.path())]].concat()).json();
        for (method, wanted) in methods.split(',').zip(wanted.as_array().unwrap()) {
            let query = format!("api/explain?class={class}&method={}", method.replace('+', "%2B"));
            let map = server.post(&query, &run.other("Jazz 1.png"));
            let map = map.json();
            schema.holds("Explanation", &map);
            for key in ["method", "layer", "class", "predicted", "resolution"] {
                assert_eq!(map[key], wanted[key], "{key}");
            }
            near(&map["score"], &wanted["score"]);
            near(&map["probability"], &wanted["probability"]);
            let (got, wanted) = (map["values"].as_array().unwrap(), wanted["values"].as_array().unwrap());
            let largest = wanted.iter().map(number).fold(1e-6, f64::max);
            assert_eq!(got.len(), wanted.len());
            for (got, wanted) in got.iter().zip(wanted) {
                assert!((number(got) - number(wanted)).abs() < 1e-3 * largest, "{method}: {got} {wanted}");
            }
        }
        // The predicted class, and each layer.
        let map = server.post("api/explain", &run.other("Jazz 1.png")).json();
        assert_eq!((&map["class"], &map["method"]), (&map["predicted"], &"grad-cam".into()));
        for layer in server.get("api/run").json()["layers"].as_array().unwrap() {
            let name = layer["name"].as_str().unwrap();
            let map = server.post(&format!("api/explain?layer={name}"), &run.other("Jazz 1.png")).json();
            assert_eq!((&map["layer"], &map["resolution"][0]), (&layer["name"], &layer["width"]), "{map}");
        }
    }
}

#[test]
fn pictures_of_allowed_folders_are_named_by_path_and_no_others() {
    let run = three();
    let folder = text(&run.others);
    let server = Server::start(&run.run, &["--allow-folder", folder]);
    let schema = Schema::of(&server);
    let listed = server.get("api/folder").json();
    schema.holds("Pictures", &listed);
    assert_eq!((listed["pictures"].as_array().unwrap().len(), &listed["left_off"]), (3, &0.into()));
    let path = listed["pictures"][1].as_str().unwrap().replace(' ', "%20");
    let answer = server.post(&format!("api/predict?path={path}"), b"").json();
    schema.holds("Prediction", &answer);
    let sent = server.post("api/predict", &run.other("Jazz 1.png")).json();
    assert_eq!(answer["label"], sent["label"]);
    near(&answer["probability"], &sent["probability"]);
    assert_eq!(server.post(&format!("api/explain?path={path}"), b"").status, 200);
    let outside = text(&run.data).to_owned();
    for path in [
        format!("{outside}/Jazz/00.png"),
        format!("{folder}/../data/Jazz/00.png"),
        "/etc/passwd".to_owned(),
        "x".to_owned(),
        String::new(),
    ] {
        for reply in [
            server.post(&format!("api/predict?path={path}"), b""),
            server.post(&format!("api/explain?path={path}"), b""),
            server.get(&format!("api/folder?path={path}")),
        ] {
            assert_eq!(reply.status, 403, "{path}");
            schema.holds("Refusal", &reply.json());
        }
    }
    let closed = Server::start(&run.run, &[]);
    let said = closed.post(&format!("api/predict?path={path}"), b"");
    assert!(said.status == 403 && said.json()["error"].as_str().unwrap().contains("--allow-folder DIR"));
    assert_eq!(closed.get("api/run").json()["folders"], Value::Array(vec![]));
}

#[test]
fn what_cannot_be_asked_is_refused_in_one_line() {
    let run = three();
    let server = Server::start(&run.run, &["--nearest", "1"]);
    let schema = Schema::of(&server);
    let good = run.other("Jazz 1.png");
    for (query, body, status, part) in [
        ("api/explain?class=Jaz", &good[..], 400, "did you mean Jazz?"),
        ("api/explain?method=cam", &good, 400, "grad-cam, grad-cam++"),
        ("api/explain?layer=nowhere", &good, 400, "there is no such layer"),
        ("api/predict?size=3", &good, 400, "size"),
        ("api/predict?top=many", &good, 400, "top"),
        ("api/predict", b"", 422, "empty"),
        ("api/predict", b"no picture", 422, "not a picture"),
        ("api/explain", &good[..good.len() / 2], 422, "truncated"),
        ("api/nothing", &good, 404, "openapi.json"),
        ("api/run", &good, 405, "another method"),
    ] {
        let reply = server.post(query, body);
        let said = reply.json();
        schema.holds("Refusal", &said);
        let text = said["error"].as_str().unwrap();
        assert!(
            reply.status == status && text.contains(part) && !text.contains('\n'),
            "{query}: {} {said}",
            reply.status
        );
    }
    for (path, status) in [
        ("api/predict", 405),
        ("api/cover/x", 404),
        ("api/cover/99999", 404),
        ("api/cover/-1", 404),
        ("api/cover/", 404),
        ("../Cargo.toml", 404),
        ("%2e%2e/Cargo.toml", 404),
        ("serve.js", 200),
        ("cards.js", 200),
        ("page.css", 200),
        ("serve.css", 200),
        ("", 200),
        ("api/folder", 403),
    ] {
        let reply = server.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert!(reply.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert_eq!((reply.header("x-content-type-options"), reply.header("cache-control")), ("nosniff", "no-store"));
    }
    // Not the covers of other sets.
    let mut table = csv::Reader::from_path(run.run.join("data/manifest.csv")).unwrap();
    for (i, row) in table.records().enumerate() {
        let wanted = if &row.unwrap()[2] == "train" { 200 } else { 404 };
        assert_eq!(server.get(&format!("api/cover/{i}")).status, wanted, "{i}");
    }
}

#[test]
fn a_port_that_is_taken_and_what_is_no_run_are_refused() {
    let run = three();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(
        &["serve", text(&run.run), "--no-open", "--port", &port],
        &[&format!("--port {port}: nothing can listen at 127.0.0.1:{port}")],
    );
    refused(
        &["serve", text(&run.run), "--no-open", "--host", "203.0.113.7"],
        &["--host 203.0.113.7: nothing can listen"],
    );
    refused(
        &["serve", text(&run.run), "--no-open", "--allow-folder", "none"],
        &["--allow-folder none: cannot be read"],
    );
    refused(&["serve", text(&run.data), "--no-open"], &["has no config.toml, so it is no run"]);
    refused(&["serve", text(&run.run), "--host", "here"], &["here"]);
    refused(&["serve", text(&run.run), "--port", "70000"], &["--port 70000: must be a whole number from 1 to 65535"]);
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_with_one_line() {
    let run = two();
    let server = Server::start(&run.run, &[]);
    assert_eq!(server.post("api/predict", &run.other("Jazz 1.png")).status, 200);
    let before = server.said();
    let (code, said) = server.signal("-INT");
    let after = said.strip_prefix(&before).unwrap();
    assert_eq!((code, after.lines().count()), (Some(130), 1), "{said}");
    assert!(after.starts_with("stopped; `gatefold serve ") && after.contains("starts it again"), "{said}");
}
