//! Chromium through its WebDriver, where both are found: the few commands that the tests of the page need, as
//! <https://www.w3.org/TR/webdriver2/> has them. The crates that speak it bring procedural macros' parts that nothing else here needs, so
//! that every dependency would be compiled once for the program and once more for the tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use ureq::Agent;

use crate::common::text;
use crate::server::agent;

/// What WebDriver calls an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that have no letter.
pub const ENTER: &str = "\u{e007}";
pub const HOME: &str = "\u{e011}";

/// A window of a browser, which ends with this.
pub struct Browser {
    driver: Child,
    session: String,
    agent: Agent,
    /// The driver says more, and ends if it cannot.
    _said: BufReader<ChildStdout>,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser, of which the driver is not the only process.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn found(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|file| file.is_file())
}

impl Browser {
    /// A window of this width; none where there is no Chromium, which is said even if tests are quiet. `GATEFOLD_BROWSER` asks for one.
    pub fn open(width: u32, dark: bool) -> Option<Self> {
        let browser = found(&["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]);
        let Some((browser, driver)) = browser.zip(found(&["chromedriver"])) else {
            assert!(std::env::var_os("GATEFOLD_BROWSER").is_none(), "no Chromium with its chromedriver is found");
            let said = "SKIPPED: the tests of the page, since no Chromium with its chromedriver is found; .ci/setup-browser.sh installs them\n";
            // Not captured, as what is printed would be.
            let _ = std::io::stderr().write_all(said.as_bytes());
            return None;
        };
        let mut driver = Command::new(driver);
        let mut driver = driver.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        // It begins with the port that it was given, which is 0.
        let told = |line: String| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok();
        let port = said.by_ref().lines().map_while(Result::ok).find_map(told);
        let port = port.expect("the driver tells no port");
        let profile = tempfile::tempdir().unwrap();
        let mut arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
                .map(str::to_owned)
                .to_vec();
        arguments.extend([format!("--user-data-dir={}", text(profile.path())), format!("--window-size={width},1400")]);
        if dark {
            arguments.push("--blink-settings=preferredColorScheme=0".into());
        }
        let mut options = json!({"binary": text(&browser), "args": arguments});
        // A window is at least 500 pixels wide, but a phone's may be narrower.
        if width < 500 {
            let metrics = json!({"width": width, "height": 844, "pixelRatio": 2.0, "touch": true});
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        let wanted = json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}, "timeouts": {"script": 60_000}});
        let sessions = format!("http://127.0.0.1:{port}/session");
        let mut this = Self { driver, session: sessions, agent: agent(), _said: said, _profile: profile };
        let made = this.post("", &json!({"capabilities": {"alwaysMatch": wanted}}));
        this.session += &format!("/{}", made["sessionId"].as_str().unwrap());
        Some(this)
    }

    #[track_caller]
    fn post(&self, command: &str, body: &Value) -> Value {
        let sent = self.agent.post(format!("{}{command}", self.session)).content_type("application/json");
        Self::value(command, sent.send(body.to_string()))
    }

    #[track_caller]
    fn value(command: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
        let mut answer = answer.unwrap();
        // A picture of the window is large.
        let text = answer.body_mut().with_config().limit(100 << 20).read_to_string().unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(answer.status().is_success(), "{command}: {value}");
        value["value"].clone()
    }

    #[track_caller]
    pub fn goto(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs a script with these arguments.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: &[Value]) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": arguments}))
    }

    /// The value of an expression.
    #[track_caller]
    pub fn eval(&self, expression: &str) -> Value {
        self.run(&format!("return {expression}"), &[])
    }

    /// Waits until something holds on the page.
    #[track_caller]
    pub fn until(&self, expression: &str) {
        for _ in 0..600 {
            if self.eval(expression) == true {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it never became so: {expression}\n{}\n{:?}", self.eval("document.body.innerText"), self.console());
    }

    #[track_caller]
    fn element(&self, css: &str) -> String {
        let element = self.post("/element", &json!({"using": "css selector", "value": css}));
        element[ELEMENT].as_str().unwrap().to_owned()
    }

    /// A click as a mouse does it: it fails where something else lies above.
    #[track_caller]
    pub fn click(&self, css: &str) {
        self.post(&format!("/element/{}/click", self.element(css)), &json!({}));
    }

    /// Types into something, or, of an input of files, chooses them: one a line.
    #[track_caller]
    pub fn send_keys(&self, css: &str, keys: &str) {
        self.post(&format!("/element/{}/value", self.element(css)), &json!({ "text": keys }));
    }

    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let read = self.agent.get(format!("{}/element/{}/text", self.session, self.element(css))).call();
        Self::value("text", read).as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn count(&self, css: &str) -> u64 {
        self.run("return document.querySelectorAll(arguments[0]).length", &[css.into()]).as_u64().unwrap()
    }

    /// What the browser has said on its console since it was asked last: errors, and what broke the page's policy.
    pub fn console(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let line = |line: &Value| format!("{} {}", line["level"].as_str().unwrap(), line["message"].as_str().unwrap());
        log.as_array().unwrap().iter().map(line).collect()
    }

    /// Writes what the window shows, if `GATEFOLD_SCREENSHOTS` names a folder.
    pub fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("GATEFOLD_SCREENSHOTS") {
            let picture = Self::value("screenshot", self.agent.get(format!("{}/screenshot", self.session)).call());
            std::fs::write(PathBuf::from(folder).join(name), STANDARD.decode(picture.as_str().unwrap()).unwrap())
                .unwrap();
        }
    }
}
