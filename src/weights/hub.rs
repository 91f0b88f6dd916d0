//! Weights by name from the Hugging Face Hub, into the cache that other tools share.
//!
//! The crate `hf-hub` speaks to the Hub and lays out the cache. What it leaves to others is done here: which file of a repository is
//! meant, whether it is what was sent (large files are named by their SHA-256), doing without a network, and what to say.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hf_hub::api::Progress;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use sha2::{Digest, Sha256};

use crate::file::cannot_write;
use crate::panics::caught;
use crate::{Error, Result};

/// A repository of the Hub, at a revision: `owner/name` or `owner/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub repo: String,
    /// A branch, a tag, or a commit.
    pub revision: String,
}

/// A file that was found.
pub struct Found {
    pub path: PathBuf,
    /// What the user should know, a sentence each.
    pub notes: Vec<String>,
}

impl Name {
    /// `None` if a text cannot be one, as paths mostly cannot.
    pub fn parse(text: &str) -> Option<Self> {
        let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = repo.split_once('/')?;
        let good = |part: &str, more: &str| {
            let letter = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
            !part.is_empty()
                && part.len() <= 96
                && part.chars().all(letter)
                && !part.starts_with(['.', '-'])
                && !part.contains("..")
        };
        let named = !FILE_ENDINGS.iter().any(|ending| text.ends_with(ending))
            && good(owner, "-_.")
            && good(name, "-_.")
            && good(revision, "-_./");
        named.then(|| Self { repo: repo.to_owned(), revision: revision.to_owned() })
    }

    fn at(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repo.clone(), RepoType::Model, revision.to_owned())
    }
}

/// Files of weights, those that say most of themselves first.
const FILES: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

/// What says how a network wants its pictures; not every repository has it.
const CONFIG: &str = "config.json";

/// What ends so is a file that is not there, and no repository.
const FILE_ENDINGS: [&str; 8] = [".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".onnx", ".json", ".zip"];

/// Where the settings of the Hub's own tools are.
const HOME: &str = "HF_HOME";
const HUB_CACHE: &str = "HF_HUB_CACHE";
const OFFLINE: &str = "HF_HUB_OFFLINE";
const TOKEN: &str = "HF_TOKEN";

/// After so many connections that broke a download is given up; what has come stays for the next time.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);

fn set(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.trim().is_empty())
}

/// Whether `HF_HUB_OFFLINE` forbids to ask the Hub.
fn offline() -> bool {
    set(OFFLINE).is_some_and(|value| matches!(value.to_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}

fn cache() -> Result<Cache> {
    if let Some(folder) = set(HUB_CACHE) {
        return Ok(Cache::new(folder.into()));
    }
    if set(HOME).is_some() {
        return Ok(Cache::from_env());
    }
    let cache = dirs::home_dir().map(|home| home.join(".cache/huggingface/hub"));
    cache
        .map(Cache::new)
        .ok_or_else(|| Error::input(format!("there is no home folder to keep weights in; set {HOME} to a folder")))
}

/// Whether the weights of a name are in the cache.
pub fn is_cached(name: &Name) -> bool {
    cache().is_ok_and(|cache| cached(&cache, name).is_some())
}

/// The weights of a name, if they are in the cache with all that belongs to them.
fn cached(cache: &Cache, name: &Name) -> Option<PathBuf> {
    // A commit is its own reference.
    let snapshot = |file: &str| {
        cache.repo(name.at(&name.revision)).get(file).or_else(|| of_commit(cache, name, &name.revision, file))
    };
    let file = FILES.iter().find_map(|file| snapshot(file))?;
    let missing = parts(&file).iter().any(|part| !file.with_file_name(part).exists());
    (!missing).then_some(file)
}

fn of_commit(cache: &Cache, name: &Name, commit: &str, file: &str) -> Option<PathBuf> {
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    let path = cache.repo(name.at(commit)).pointer_path(commit).join(file);
    (is_commit && path.exists()).then_some(path)
}

/// The files that an index names, beside it.
fn parts(index: &Path) -> Vec<String> {
    if !index.to_string_lossy().ends_with(".index.json") {
        return vec![];
    }
    let bytes = crate::read::read(index).unwrap_or_default();
    super::parts::parts(&bytes).into_iter().flatten().filter(|part| !part.contains(['/', '\\'])).collect()
}

/// Finds the weights of a name: those that the Hub has now, from the cache where it holds them already, or the cache's alone where
/// the Hub cannot or must not be asked. `progress` hears a file's name, the bytes that have come, and of how many.
///
/// # Errors
/// [`Error::Input`] with the cause and the remedy: there is no such repository, it is not open to everybody, there are no weights in
/// it, it cannot be reached, a file is not what was sent, or a disk is full.
pub fn fetch(name: &Name, progress: &mut dyn FnMut(&str, u64, u64)) -> Result<Found> {
    let cache = cache()?;
    let about = |text: String| Error::input(format!("{}: {text}", name.repo));
    if offline() {
        let text = format!("is not in the cache {}, and {OFFLINE} is set; unset it to load it", cache.path().display());
        let path = cached(&cache, name).ok_or_else(|| about(text))?;
        return checked(path, vec![]);
    }
    let ask = |token: Option<String>| {
        // The crate takes some answers of a server for impossible.
        let asked = caught(|| {
            let api = builder(&cache).with_token(token).build()?;
            let info = api.repo(name.at(&name.revision)).info()?;
            Ok::<_, ApiError>((api, info))
        });
        asked.unwrap_or(Err(ApiError::InvalidResume))
    };
    // The crate sends a token on to where the Hub keeps large files. So it goes only where nothing is to be had without.
    let asked = match ask(None) {
        Err(e) if matches!(status(&e), Some(401 | 403 | 404)) => token().map_or(Err(e), |token| ask(Some(token))),
        asked => asked,
    };
    let (api, info) = match asked {
        Ok(asked) => asked,
        Err(e) => {
            // As the Hub's own tools do: what is there is of use without the Hub.
            let path = cached(&cache, name).filter(|_| is_unreachable(&e));
            let path = path.ok_or_else(|| told(&e, name, &name.repo, &cache))?;
            let note = format!(
                "{}: the Hub could not be asked for a newer version ({}); the cache's is taken",
                name.repo,
                short(&e)
            );
            return checked(path, vec![note]);
        }
    };
    let names: Vec<&str> = info.siblings.iter().map(|file| file.rfilename.as_str()).collect();
    let file = weights_among(&names).ok_or_else(|| {
        let text = format!("holds no weights that can be read ({}); there are: {}", FILES.join(", "), few(&names));
        about(text)
    })?;
    let repo = name.at(&name.revision);
    let mut get = |file: &str| -> Result<PathBuf> {
        if let Some(path) = of_commit(&cache, name, &info.sha, file) {
            let _ = cache.repo(repo.clone()).create_ref(&info.sha);
            return Ok(path);
        }
        download(&api, &cache, &repo, file, progress)
            .map_err(|e| told(&e, name, &format!("{}: {file}", name.repo), &cache))
    };
    if names.contains(&CONFIG) {
        get(CONFIG)?;
    }
    let path = get(file)?;
    for part in parts(&path) {
        get(&part)?;
    }
    checked(path, vec![])
}

fn builder(cache: &Cache) -> ApiBuilder {
    // Its own tries again begin at the first byte, and add to what is there.
    let mut builder = ApiBuilder::from_env().with_progress(false).with_retries(0);
    builder = builder.with_cache_dir(cache.path().clone()).with_user_agent("gatefold", env!("CARGO_PKG_VERSION"));
    if let Some(endpoint) = set("HF_ENDPOINT") {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
    }
    builder
}

/// What the Hub knows its user by, from where its own tools keep it.
fn token() -> Option<String> {
    // Where the cache lies elsewhere, the token does not.
    let home = || Some(set(HOME).map_or(dirs::home_dir()?.join(".cache/huggingface"), PathBuf::from));
    let stored = || set("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| home().map(|home| home.join("token")));
    let read = || stored().and_then(|path| crate::read::read_text(&path).ok());
    let token = set(TOKEN).or_else(read).map(|token| token.trim().to_owned());
    token.filter(|token| !token.is_empty())
}

fn download(
    api: &Api,
    cache: &Cache,
    repo: &Repo,
    file: &str,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<PathBuf, ApiError> {
    let from = api.repo(repo.clone());
    let mut load = || {
        let tracked = Tracked { file, done: 0, of: 0, progress: &mut *progress };
        caught(|| from.download_with_progress(file, tracked)).unwrap_or(Err(ApiError::InvalidResume))
    };
    let mut tries = 0;
    loop {
        let done = load();
        let Err(e) = &done else { return done };
        tries += 1;
        if tries == TRIES {
            return done;
        }
        // A program that was ended between its last byte and the file's name left a part to which nothing can be added.
        if matches!(cause(e), ApiError::InvalidResume) || status(e) == Some(416) {
            let about = caught(|| api.metadata(&from.url(file))).unwrap_or(Err(ApiError::InvalidResume))?;
            let _ = std::fs::remove_file(cache.repo(repo.clone()).blob_path(about.etag()).with_extension("part"));
        } else if is_unreachable(e) {
            std::thread::sleep(PAUSE * tries);
        } else {
            return done;
        }
    }
}

/// The file of weights among those of a repository.
fn weights_among<'a>(names: &[&'a str]) -> Option<&'a str> {
    let known = FILES.iter().find_map(|file| names.iter().find(|name| *name == file));
    known.copied().or_else(|| {
        let ends =
            |ending: &'static str| names.iter().filter(move |name| name.ends_with(ending) && !name.contains('/'));
        let only = |ending| ends(ending).next().filter(|_| ends(ending).count() == 1).copied();
        only(".safetensors").or_else(|| only(".pth")).or_else(|| only(".pt"))
    })
}

/// Holds large files against the SHA-256 that the cache names them by.
fn checked(path: PathBuf, notes: Vec<String>) -> Result<Found> {
    let beside = parts(&path).into_iter().map(|part| path.with_file_name(part));
    for file in std::iter::once(path.clone()).chain(beside) {
        // Where a system has no links, the file itself lies there under its own name, and nothing tells its hash.
        let Ok(blob) = std::fs::canonicalize(&file) else { continue };
        let wanted = blob.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if wanted.len() != 64 || !wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            continue;
        }
        let hash = sha256(&blob).map_err(|e| crate::read::cannot_read(&file, &e))?;
        if hash != wanted {
            let _ = std::fs::remove_file(&blob);
            let text = format!(
                "{}: its SHA-256 is {hash}, and not what the Hub says: it was damaged on the way or on the disk, and is deleted; \
                 start again to load it once more",
                file.display()
            );
            return Err(Error::input(text));
        }
    }
    Ok(Found { path, notes })
}

fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher) = (std::fs::File::open(path)?, Sha256::new());
    let mut bytes = vec![0; 1 << 20];
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            count => hasher.update(&bytes[..count]),
        }
    }
    let mut text = String::new();
    for byte in hasher.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

/// Tells how far a download is.
struct Tracked<'a> {
    file: &'a str,
    done: u64,
    of: u64,
    progress: &'a mut dyn FnMut(&str, u64, u64),
}

impl Progress for Tracked<'_> {
    fn init(&mut self, size: usize, _: &str) {
        // Each further connection begins with what is there already.
        (self.done, self.of) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        (self.progress)(self.file, self.done, self.of);
    }

    fn finish(&mut self) {}
}

/// The error behind those that wrap it.
fn cause(error: &ApiError) -> &ApiError {
    match error {
        ApiError::TooManyRetries(inner) => cause(inner),
        other => other,
    }
}

/// The status that a server answered with.
fn status(error: &ApiError) -> Option<u16> {
    match cause(error) {
        ApiError::RequestError(e) => match **e {
            ureq::Error::StatusCode(code) => Some(code),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the Hub did not answer, or was not well.
fn is_unreachable(error: &ApiError) -> bool {
    match cause(error) {
        ApiError::RequestError(e) => !matches!(**e, ureq::Error::StatusCode(code) if code < 500 && code != 429),
        ApiError::IoError(e) => !is_of_the_disk(e),
        _ => false,
    }
}

/// Whether the cache's folder is at fault, and not the connection: the crate has one error for both.
fn is_of_the_disk(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::AlreadyExists
            | Kind::FileTooLarge
            | Kind::InvalidFilename
            | Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::NotFound
            | Kind::PermissionDenied
            | Kind::QuotaExceeded
            | Kind::ReadOnlyFilesystem
            | Kind::StorageFull
    )
}

fn short(error: &ApiError) -> String {
    match cause(error) {
        ApiError::RequestError(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// What went wrong with `what`, and what to do.
fn told(error: &ApiError, name: &Name, what: &str, cache: &Cache) -> Error {
    match cause(error) {
        ApiError::IoError(e) if is_of_the_disk(e) => match cannot_write(cache.path(), e) {
            Error::Input(text) => Error::input(format!("{what}: the cache {text}")),
            other => Error::run(format!("{what}: the cache {other}")),
        },
        _ => Error::input(format!("{what}: {}", told_of_the_hub(error, name))),
    }
}

fn told_of_the_hub(error: &ApiError, name: &Name) -> String {
    let Name { repo, revision } = name;
    let page = format!("https://huggingface.co/{repo}");
    match cause(error) {
        ApiError::RequestError(e) => match **e {
            ureq::Error::StatusCode(401) => format!(
                "there is no such file here, and the Hub has no such repository, or it is private (HTTP 401): check the name, or set {TOKEN} to a token that may read it"
            ),
            ureq::Error::StatusCode(403) => format!(
                "the Hub keeps it for those who were let in (HTTP 403): accept its terms on {page}, and set {TOKEN} to your token"
            ),
            ureq::Error::StatusCode(404) => {
                format!(
                    "there is no such file here, and the Hub has no such repository, or no revision {revision} of it (HTTP 404): check the \
                     name on {page}"
                )
            }
            ureq::Error::StatusCode(429) => "the Hub asks to wait (HTTP 429): start again in some minutes".to_owned(),
            ureq::Error::StatusCode(code) => format!("the Hub answers with HTTP {code}: start again later"),
            ureq::Error::HostNotFound
            | ureq::Error::Io(_)
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(_) => format!(
                "the Hub cannot be reached ({e}): check the network and HTTPS_PROXY, or load the file elsewhere and name its path; \
                 HF_ENDPOINT names another server"
            ),
            ureq::Error::InvalidProxyUrl => format!("the proxy's address cannot be used ({e}): check HTTPS_PROXY"),
            _ => format!("the Hub cannot be asked ({e}): check HF_ENDPOINT and the proxy's settings"),
        },
        ApiError::IoError(e) => {
            format!("the connection broke again and again ({e}): start again; what has come is kept")
        }
        ApiError::LockAcquisition(lock) => {
            format!("another program is loading it ({}): wait for it, and start again", lock.display())
        }
        other => format!("the server does not answer as the Hub does ({other}): check HF_ENDPOINT"),
    }
}

/// The first names of a list.
fn few(names: &[&str]) -> String {
    const MOST: usize = 8;
    let more = if names.len() > MOST { ", …" } else { "" };
    names.iter().take(MOST).copied().collect::<Vec<_>>().join(", ") + more
}

/// The name, with the commit, of a file in a cache of the Hub: `…/models--OWNER--NAME/snapshots/COMMIT/FILE`.
pub fn name_of(path: &Path) -> Option<String> {
    let mut folders = path.parent()?.ancestors().map(|folder| folder.file_name().and_then(|name| name.to_str()));
    let (commit, snapshots, repo) = (folders.next()??, folders.next()??, folders.next()??);
    let (owner, name) = repo.strip_prefix("models--").filter(|_| snapshots == "snapshots")?.split_once("--")?;
    Some(format!("{owner}/{name}@{commit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        let name = Name::parse("timm/resnet50.tv_in1k@v1.0/x").unwrap();
        assert_eq!((name.repo.as_str(), name.revision.as_str()), ("timm/resnet50.tv_in1k", "v1.0/x"));
        assert_eq!(Name::parse("timm/resnet50.tv_in1k").unwrap().revision, "main");
        for path in [
            "resnet50.pth",
            "/a/b",
            "./a/b",
            "../a",
            "a/b/c",
            "a/",
            "a/b c",
            "a/..",
            "a/b@",
            "a/b@../c",
            "C:\\a/b",
            "runs/best.safetensors",
            "a/b.pth",
        ] {
            assert_eq!(Name::parse(path), None, "{path}");
        }
    }

    #[test]
    fn the_weights_that_say_most_come_first() {
        assert_eq!(weights_among(&["README.md", "pytorch_model.bin", "model.safetensors"]), Some("model.safetensors"));
        assert_eq!(weights_among(&["config.json", "x.safetensors"]), Some("x.safetensors"));
        assert_eq!(weights_among(&["a.safetensors", "b.safetensors", "c.pth"]), Some("c.pth"));
        assert_eq!(weights_among(&["README.md", "sub/model.pt"]), None);
    }

    #[test]
    fn a_path_in_the_cache_tells_its_name() {
        let path = Path::new("/home/a/hub/models--timm--resnet50.tv_in1k/snapshots/abc/model.safetensors");
        assert_eq!(name_of(path).as_deref(), Some("timm/resnet50.tv_in1k@abc"));
        assert_eq!(name_of(Path::new("/home/a/model.safetensors")), None);
    }
}
