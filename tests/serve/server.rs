//! A server under test, and a client for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;

use crate::common::{THREE, TWO, draw, good, picture, text, train};

/// A run that no test changes, and pictures that it was not trained on.
pub struct Run {
    pub data: PathBuf,
    pub run: PathBuf,
    pub others: PathBuf,
}

fn made(name: &str, classes: &[(&str, usize)]) -> Run {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("serve-{name}"));
    if root.exists() {
        std::fs::remove_dir_all(&root).unwrap();
    }
    let (data, run, others) = (root.join("data"), root.join("run"), root.join("others"));
    draw(&data, classes);
    std::fs::create_dir_all(&others).unwrap();
    for (class, (name, _)) in classes.iter().enumerate() {
        picture(class, 1000 + class).save(others.join(format!("{name} 1.png"))).unwrap();
    }
    good(&train(&data, &run, &["--net", "small", "--epochs", "3", "--seed", "3"]));
    Run { data, run, others }
}

/// Three classes.
pub fn three() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| made("three", &THREE))
}

/// Two classes: one logit.
pub fn two() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| made("two", &TWO))
}

impl Run {
    /// A picture that the network was not trained on.
    pub fn other(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.others.join(name)).unwrap()
    }
}

/// The program at work.
pub struct Server {
    child: Child,
    pub url: String,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
    agent: Agent,
}

/// An answer.
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A client that keeps connections, for as many threads as may be.
pub fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).proxy(None).max_idle_connections_per_host(256);
    config.max_idle_connections(256).timeout_global(Some(Duration::from_secs(120))).build().new_agent()
}

impl Server {
    /// Starts it for a run, and waits for its address.
    pub fn start(run: &Path, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
        command.args(["serve", text(run), "--no-open"]).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        default_signals(&mut command);
        let mut child = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stderr, heard) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&said));
        let listener = std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                *heard.lock().unwrap() += &(line + "\n");
            }
        });
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        let this = Self { child, url: url.trim().to_owned(), said, listener: Some(listener), agent: agent() };
        assert!(this.url.starts_with("http://"), "no address: {}", this.said());
        this
    }

    pub fn address(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said on stderr.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub fn get(&self, path: &str) -> Reply {
        reply(self.agent.get(format!("{}{path}", self.url)).call())
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        self.post_with(&self.agent, path, body)
    }

    /// With a client of one's own.
    pub fn post_with(&self, agent: &Agent, path: &str, body: &[u8]) -> Reply {
        reply(agent.post(format!("{}{path}", self.url)).content_type("application/octet-stream").send(body))
    }

    /// Sends bytes as they are; gives all that comes back.
    pub fn raw(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Some refusals close the connection while bytes are still on their way.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Waits until it has looked at all training covers.
    pub fn ready(&self) {
        let start = Instant::now();
        loop {
            let nearest = &self.get("api/run").json()["nearest"];
            if nearest["done"] == nearest["covers"] {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60) && nearest["error"].is_null(), "{nearest}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Bytes of memory that it holds, where the system tells.
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
    }

    /// Sends a signal; gives the exit code and what was said.
    #[cfg(unix)]
    pub fn signal(mut self, name: &str) -> (Option<i32>, String) {
        assert!(Command::new("kill").args([name, &self.pid().to_string()]).status().unwrap().success());
        let code = self.child.wait().unwrap().code();
        self.listener.take().unwrap().join().unwrap();
        (code, self.said())
    }

    /// Nothing went wrong within it.
    #[track_caller]
    pub fn is_sound(&mut self) {
        let said = self.said();
        assert!(self.child.try_wait().unwrap().is_none(), "it ended: {said}");
        assert!(!said.contains("fault in gatefold") && !said.contains("panicked"), "{said}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Signals as a terminal gives them, whatever the caller of the test has set.
#[cfg(unix)]
fn default_signals(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let usual = || {
        // SAFETY: sets what is done with a signal, which is allowed after a fork.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        Ok(())
    };
    // SAFETY: `usual` allocates nothing and takes no lock.
    unsafe { command.pre_exec(usual) };
}

#[track_caller]
fn reply(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Reply {
    let mut answer = answer.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Reply { status, headers, bytes: answer.body_mut().read_to_vec().unwrap() }
}
