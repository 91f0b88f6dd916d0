//! Weights by name, from a server of this machine that answers as the Hugging Face Hub does.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::common::*;

const REPO: &str = "somebody/covers.net";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the server is not well.
#[derive(Clone, Copy, PartialEq)]
enum Ill {
    Not,
    /// Every first connection for a large file breaks half way.
    Breaks,
    /// Large files come with a flipped bit.
    Damages,
    Status(u16),
    /// Only for those who have a token.
    Private,
}

struct Hub {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Content {
    files: BTreeMap<String, Vec<u8>>,
    ill: Ill,
    broken: Mutex<Vec<String>>,
}

impl Hub {
    fn start(files: BTreeMap<String, Vec<u8>>, ill: Ill) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(vec![]));
        let (log, content) = (Arc::clone(&asked), Arc::new(Content { files, ill, broken: Mutex::default() }));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, content) = (Arc::clone(&log), Arc::clone(&content));
                std::thread::spawn(move || serve(stream, port, &content, &log));
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The program with this hub, and with a cache of its own.
    fn run(&self, cache: &Path, arguments: &[&str], more: &[(&str, &str)]) -> Output {
        let mut command = command(arguments);
        command.env("HF_ENDPOINT", format!("http://127.0.0.1:{}", self.port)).env("HF_HOME", cache);
        for variable in [
            "HF_HUB_CACHE",
            "HF_HUB_OFFLINE",
            "HF_TOKEN",
            "HF_TOKEN_PATH",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            command.env_remove(variable);
        }
        command.envs(more.iter().copied()).output().unwrap()
    }
}

/// Answers one request: a connection is not used again.
fn serve(stream: TcpStream, port: u16, content: &Content, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut range, mut token) = (None, String::new());
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_lowercase().as_str() {
            "range" => range = value.strip_prefix("bytes=").map(str::to_owned),
            "authorization" => token = value.to_owned(),
            _ => {}
        }
    }
    log.lock().unwrap().push(format!("{path} {token}").trim_end().to_owned());
    let ill = if content.ill == Ill::Private && token != "Bearer secret" { Ill::Status(401) } else { content.ill };
    answer(stream, port, content, ill, &path, range.as_deref());
}

fn answer(mut stream: TcpStream, port: u16, content: &Content, ill: Ill, path: &str, range: Option<&str>) {
    let mut send = |status: &str, headers: &str, body: &[u8], length: usize| {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
    };
    if let Ill::Status(code) = ill {
        return send(&format!("{code} No"), "", b"no", 2);
    }
    let names: Vec<_> = content.files.keys().map(|name| json!({ "rfilename": name })).collect();
    if [format!("/api/models/{REPO}/revision/main"), format!("/api/models/{REPO}/revision/{COMMIT}")]
        .contains(&path.to_owned())
    {
        let body = json!({ "sha": COMMIT, "siblings": names }).to_string();
        return send("200 OK", "Content-Type: application/json\r\n", body.as_bytes(), body.len());
    }
    let resolved = ["main", COMMIT].iter().find_map(|rev| path.strip_prefix(&format!("/{REPO}/resolve/{rev}/")));
    let file = resolved.or_else(|| path.strip_prefix("/cdn/"));
    let Some((name, bytes)) = file.and_then(|name| content.files.get_key_value(name)) else {
        return send("404 Not Found", "", b"", 0);
    };
    let large = !name.ends_with(".json") || name.ends_with("index.json") && bytes.len() > 100_000;
    if resolved.is_some() && large {
        let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let headers = format!(
            "Location: http://127.0.0.1:{port}/cdn/{name}\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{hash}\"\r\nETag: \"x\"\r\n"
        );
        return send("302 Found", &headers, b"", 0);
    }
    let (from, to) = range.and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let (from, to) =
        (from.parse::<usize>().unwrap(), to.parse::<usize>().map_or(bytes.len(), |to| (to + 1).min(bytes.len())));
    if from >= bytes.len() && !bytes.is_empty() {
        return send("416 Range Not Satisfiable", "", b"", 0);
    }
    let etag = format!("{:040x}", name.len());
    let headers = format!(
        "Content-Range: bytes {from}-{}/{}\r\nX-Repo-Commit: {COMMIT}\r\nETag: \"{etag}\"\r\nAccept-Ranges: bytes\r\n",
        to.max(1) - 1,
        bytes.len()
    );
    let mut part = bytes[from.min(to)..to].to_vec();
    let length = part.len();
    if large && length > 1 {
        let mut broken = content.broken.lock().unwrap();
        match ill {
            Ill::Breaks if !broken.contains(name) => {
                broken.push(name.clone());
                part.truncate(length / 2);
            }
            Ill::Damages => part[length / 2] ^= 1,
            _ => {}
        }
    }
    send("206 Partial Content", &headers, &part, length);
}

/// A network of somebody: weights without our header, and the `config.json` beside them as timm writes it.
fn files() -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let data = &three().data;
    good(&train(data, &run, &["--net", "resnet18", "--epochs", "1", "--seed", "5"]));
    let bytes = fs::read(run.join("best.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let views = tensors.iter().filter(|(name, _)| !name.starts_with("optimizer."));
    let plain = safetensors::serialize(views, None).unwrap();
    let config = json!({
        "architecture": "resnet18",
        "num_classes": 3,
        "label_names": ["Folk", "Jazz", "Metal"],
        "pretrained_cfg": {
            "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "crop_pct": 1.0, "input_size": [3, 32, 32], "interpolation": "bilinear"
        }
    });
    BTreeMap::from([
        ("README.md".to_owned(), b"# Covers".to_vec()),
        ("config.json".to_owned(), config.to_string().into_bytes()),
        ("model.safetensors".to_owned(), plain),
    ])
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn snapshot(cache: &Path) -> PathBuf {
    cache.join(format!("hub/models--{}/snapshots/{COMMIT}", REPO.replace('/', "--")))
}

#[test]
fn a_network_is_trained_and_used_by_name() {
    let files = files();
    let out = tempfile::tempdir().unwrap();
    let cache = out.path().join("hf");
    let hub = Hub::start(files.clone(), Ill::Breaks);
    let image = three().image("Jazz/01.png");
    let predict =
        |name: &str, more: &[(&str, &str)]| hub.run(&cache, &["predict", "--weights", name, &image, "--json"], more);
    let first = predict(REPO, &[("HF_TOKEN", "secret")]);
    assert!(first.status.success(), "{}", said(&first));
    assert!(said(&first).contains(&format!("weights: {REPO}@{COMMIT}")), "{}", said(&first));
    let asked = hub.asked();
    // Nobody has to know who loads what all may have. The large file came in two connections.
    let whom = |part: &str| asked.iter().filter(|line| line.contains(part)).cloned().collect::<Vec<_>>();
    assert!(whom("secret").is_empty(), "{asked:?}");
    assert!(whom("/cdn/").len() >= 3, "{asked:?}");
    // config.json told the network, the size, the rule and the classes: the same as for the files by path.
    let row: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    assert!(["Folk", "Jazz", "Metal"].contains(&row[0]["label"].as_str().unwrap()), "{row}");
    let path = snapshot(&cache).join("model.safetensors");
    assert!(fs::read(&path).unwrap() == files["model.safetensors"]);
    assert_eq!(good(&["predict", "--weights", text(&path), &image, "--json"]).stdout.as_bytes(), first.stdout);

    // A part that was whole when its program was ended.
    let blob = fs::canonicalize(&path).unwrap();
    fs::rename(&blob, blob.with_extension("part")).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(predict(REPO, &[]).stdout == first.stdout);
    hub.asked();

    // What is there is not loaded again: by name, by commit, and without asking. No picture is there, so no network has to run.
    let find = |name: &str, more: &[(&str, &str)]| {
        let found = hub.run(&cache, &["predict", "--weights", name, "none.png"], more);
        assert!(found.status.code() == Some(2) && said(&found).contains("none.png"), "{name}: {}", said(&found));
        assert!(said(&found).contains(&format!("weights: {REPO}@{COMMIT}")), "{name}: {}", said(&found));
        said(&found)
    };
    for (name, more) in [
        (REPO.to_owned(), vec![]),
        (format!("{REPO}@{COMMIT}"), vec![]),
        (REPO.to_owned(), vec![("HF_HUB_OFFLINE", "1")]),
        (format!("{REPO}@{COMMIT}"), vec![("HF_HUB_OFFLINE", "1")]),
    ] {
        find(&name, &more);
        let asked = hub.asked();
        assert_eq!(asked.len(), usize::from(more.is_empty()), "{asked:?}");
    }
    // Without the Hub the cache will do, and that is said.
    let gone = find(REPO, &[("HF_ENDPOINT", "http://127.0.0.1:9")]);
    assert!(gone.contains("could not be asked for a newer version"), "{gone}");

    let private = Hub::start(files, Ill::Private);
    let ask = |token: &str| {
        let cache = out.path().join("private");
        private.run(&cache, &["predict", "--weights", REPO, &image, "--json"], &[("HF_TOKEN", token)])
    };
    assert!(ask("wrong").status.code() == Some(2) && ask("secret").stdout == first.stdout);

    let run = out.path().join("run");
    let data = &three().data;
    let trained = hub.run(
        &cache,
        &[
            "train",
            text(data),
            "--out",
            text(&run),
            "--weights",
            REPO,
            "--size",
            "32",
            "--batch",
            "8",
            "--epochs",
            "1",
            "--freeze",
            "trunk",
            "--no-tune",
        ],
        &[],
    );
    assert!(trained.status.success(), "{}", said(&trained));
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for part in ["net = \"resnet18\"", COMMIT, "fit = \"bilinear\""] {
        assert!(config.contains(part), "{part}: {config}");
    }
}

#[test]
fn what_goes_wrong_is_one_line_with_the_remedy() {
    let out = tempfile::tempdir().unwrap();
    let image = three().image("Jazz/01.png");
    let weights = vec![7; 300_000];
    let files = BTreeMap::from([("model.safetensors".to_owned(), weights)]);
    let fails = |hub: &Hub, name: &str, more: &[(&str, &str)], parts: &[&str]| {
        let cache = out.path().join(format!("hf-{}", hub.port));
        let output = hub.run(&cache, &["predict", "--weights", name, &image], more);
        let text = said(&output);
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error:")).collect();
        assert!(
            output.status.code() == Some(2) && errors.len() == 1 && !text.contains("panicked"),
            "{parts:?}: {text}"
        );
        assert!(parts.iter().all(|part| errors[0].contains(part)), "{parts:?}: {text}");
    };
    for (code, parts) in [
        (401, ["no such repository, or it is private", "HF_TOKEN"]),
        (403, ["let in", "accept its terms"]),
        (404, ["no such repository, or no revision main", "check the name"]),
        (429, ["asks to wait", "again"]),
        (503, ["HTTP 503", "again later"]),
    ] {
        fails(&Hub::start(files.clone(), Ill::Status(code)), REPO, &[], &[REPO, parts[0], parts[1]]);
    }
    let well = Hub::start(files.clone(), Ill::Not);
    fails(&well, "somebody/else", &[], &["somebody/else", "HTTP 404"]);
    fails(&well, &format!("{REPO}@v9"), &[], &["no revision v9"]);
    fails(&well, REPO, &[("HF_HUB_OFFLINE", "1")], &["is not in the cache", "HF_HUB_OFFLINE"]);
    fails(&well, REPO, &[("HF_ENDPOINT", "http://127.0.0.1:9")], &["cannot be reached", "HTTPS_PROXY"]);
    fails(&well, REPO, &[("HF_ENDPOINT", "no server")], &[REPO, "HF_ENDPOINT"]);
    let file = out.path().join("file");
    fs::write(&file, "x").unwrap();
    fails(&well, REPO, &[("HF_HUB_CACHE", text(&file))], &[REPO, "is a file: name a folder"]);
    fails(&well, "runs/best.safetensors", &[], &["runs/best.safetensors", "cannot be read"]);
    fails(&well, "no-such-file", &[], &["no-such-file", "cannot be read"]);
    let damaged = Hub::start(files, Ill::Damages);
    // The second time it is loaded anew, and not taken from what was damaged.
    for _ in 0..2 {
        fails(&damaged, REPO, &[], &["model.safetensors", "SHA-256", "start again"]);
        assert!(damaged.asked().iter().any(|line| line.starts_with("/cdn/")));
    }
    let empty = Hub::start(BTreeMap::from([("README.md".to_owned(), vec![])]), Ill::Not);
    fails(&empty, REPO, &[], &["holds no weights", "README.md"]);
    let config = BTreeMap::from([
        ("config.json".to_owned(), json!({ "architecture": "vit_base_patch16_224" }).to_string().into_bytes()),
        ("model.safetensors".to_owned(), vec![0; 9]),
    ]);
    let run = out.path().join("run");
    let other = Hub::start(config, Ill::Not);
    let output = other.run(
        &out.path().join("other"),
        &["train", text(&three().data), "--out", text(&run), "--weights", REPO],
        &[],
    );
    assert!(output.status.code() == Some(2) && said(&output).contains("vit_base_patch16_224"), "{}", said(&output));
    assert!(!run.exists());
}

#[test]
fn known_weights_are_listed_and_marked() {
    let out = tempfile::tempdir().unwrap();
    let list = |cache: &Path| {
        let output = command(&["weights", "--json"]).env("HF_HOME", cache).env_remove("HF_HUB_CACHE").output().unwrap();
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| (row["name"].as_str().unwrap().to_owned(), row["cached"] == true))
            .collect::<Vec<_>>()
    };
    let before = list(out.path());
    assert!(before.len() >= 5 && before.iter().all(|(_, cached)| !cached), "{before:?}");
    let repo = out.path().join("hub/models--timm--resnet50.tv_in1k");
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::create_dir_all(repo.join("snapshots").join(COMMIT)).unwrap();
    fs::write(repo.join("refs/main"), COMMIT).unwrap();
    fs::write(repo.join("snapshots").join(COMMIT).join("model.safetensors"), "x").unwrap();
    let after = list(out.path());
    assert!(after.iter().all(|(name, cached)| *cached == (name == "timm/resnet50.tv_in1k")), "{after:?}");
    assert!(good(&["weights"]).stdout.contains("timm/inception_v3.tv_in1k"));
    let run = out.path().join("run");
    refused(
        &["train", text(&three().data), "--out", text(&run), "--net", "small", "--pretrained"],
        &["--pretrained", "small", "resnet50"],
    );
}
