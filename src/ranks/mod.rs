//! The processes that mpirun has started together: which of them is this one, what do all do together, and what ends them all?
//!
//! A process by itself is the only one of its kind, and all that is done together is done at once. With the feature `mpi` and
//! several of them, `mpi.rs` carries the messages; nothing else knows of MPI. What is done together never fails: a fault of one
//! rank ends the processes of all, with one line.

mod collective;
pub mod launch;
#[cfg(feature = "mpi")]
mod mpi;
#[cfg(not(feature = "mpi"))]
#[path = "no_mpi.rs"]
mod mpi;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::collective::Wire;
use self::mpi::Link;
use crate::{Error, Result};

/// Says the line that all ranks end with; and whether it is that of a rank that could not say anything itself any more.
pub type Say = fn(text: &str, gone: bool);

/// Set by whoever ends this process: one line is enough.
static ENDING: AtomicBool = AtomicBool::new(false);

/// This rank, and all of them, for [`ended`].
static WORLD: OnceLock<(usize, Vec<Peer>)> = OnceLock::new();

/// One of the processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    pub host: String,
    pid: u32,
    version: String,
    /// What it was called with, hashed.
    options: String,
    /// How many ranks before it are on its host.
    #[serde(skip)]
    pub local: usize,
    /// Whether its process can be seen from here.
    #[serde(skip)]
    seen: bool,
}

/// All ranks, as one of them sees them.
#[derive(Clone)]
pub struct Ranks {
    rank: usize,
    peers: Arc<[Peer]>,
    /// `None` for a process by itself.
    link: Option<Arc<Link>>,
    /// Nanoseconds that were spent together with others.
    together: Arc<AtomicU64>,
    /// Nanoseconds in which sums were under way.
    summing: Arc<AtomicU64>,
}

/// A sum of all ranks' words, of which some may still be on their way.
pub enum Sum {
    /// Of a process by itself.
    Own(Vec<f32>),
    OfAll(Receiver<Vec<f32>>),
}

/// Waits for what a job of the link gives.
fn answer<T>(answered: &Receiver<T>) -> T {
    // The thread that speaks MPI is gone, and its panic has said why.
    answered.recv().unwrap_or_else(|_| std::process::exit(1))
}

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.count())
    }
}

impl Ranks {
    /// A process by itself.
    pub fn alone() -> Self {
        let peer = Peer {
            host: String::new(),
            pid: std::process::id(),
            version: String::new(),
            options: String::new(),
            local: 0,
            seen: false,
        };
        Self { rank: 0, peers: [peer].into(), link: None, together: Arc::default(), summing: Arc::default() }
    }

    /// Meets those that were started together with this process, if there are any. `options` is what it was called with.
    ///
    /// A rank with other options, or of another version, ends all with exit code 2.
    ///
    /// # Errors
    /// [`Error::Input`] if there are others and this build has no MPI, or another one than the launcher; [`Error::Run`] if it
    /// cannot be started.
    pub fn start(options: &str, say: Say) -> Result<Self> {
        if launch::size() == 1 {
            return Ok(Self::alone());
        }
        let (link, rank, count, host) = Link::open(say)?;
        if count != launch::size() {
            return Err(Error::input(format!(
                "started {} times at once, and MPI knows of {count}: start it with the mpirun of the MPI that it was built with",
                launch::size()
            )));
        }
        let (version, options) = (env!("CARGO_PKG_VERSION").to_owned(), blake3::hash(options.as_bytes()).to_string());
        let own = Peer { host, pid: std::process::id(), version, options, local: 0, seen: false };
        let own = serde_json::to_vec(&own).map_err(Error::run)?;
        let introduced = link.run(move |wire| collective::all_gather(wire, own));
        let peers = introduced.iter().map(|peer| serde_json::from_slice(peer).map_err(Error::run));
        let mut peers = peers.collect::<Result<Vec<Peer>>>()?;
        place(&mut peers, rank);
        let _ = WORLD.set((rank, peers.clone()));
        link.know(peers.clone());
        if let Some(other) = peers.iter().position(|peer| difference(&peers[0], peer).is_some()) {
            // The one that differs says so; this is not the moment to begin with anything.
            if let Some(text) = difference(&peers[0], &peers[rank]).filter(|_| other == rank) {
                link.fail(text, 2);
            }
            std::thread::sleep(REFUSAL);
            std::process::exit(2);
        }
        let link = Some(Arc::new(link));
        Ok(Self { rank, peers: peers.into(), link, together: Arc::default(), summing: Arc::default() })
    }

    pub fn is_alone(&self) -> bool {
        self.link.is_none()
    }

    pub fn count(&self) -> usize {
        self.peers.len()
    }

    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Whether this one writes and prints.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// All of them, this one included, in their order.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// The number of this rank among those of its host.
    pub fn local(&self) -> usize {
        self.peers[self.rank].local
    }

    /// The time that was spent with messages and in waiting for others, so far.
    pub fn together(&self) -> Duration {
        Duration::from_nanos(self.together.load(Ordering::Relaxed))
    }

    /// The time in which gradients were summed up so far, also while this rank did other things.
    pub fn summing(&self) -> Duration {
        Duration::from_nanos(self.summing.load(Ordering::Relaxed))
    }

    fn run<T: Send + 'static>(&self, link: &Link, job: impl FnOnce(&mut dyn Wire) -> T + Send + 'static) -> T {
        self.timed(|| link.run(job))
    }

    /// What counts as spent together with others.
    fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        self.together.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
        done
    }

    /// Begins to sum all ranks' words up, in the order of the ranks, while this one does other things. They must all begin their sums
    /// in the same order.
    pub fn begin_sum(&self, mut words: Vec<f32>) -> Sum {
        let Some(link) = &self.link else { return Sum::Own(words) };
        let summing = Arc::clone(&self.summing);
        Sum::OfAll(link.begin(move |wire| {
            let start = Instant::now();
            collective::all_combine(wire, &mut words, &collective::sum);
            summing.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
            words
        }))
    }

    /// Waits for a sum.
    pub fn end_sum(&self, sum: Sum) -> Vec<f32> {
        match sum {
            Sum::Own(words) => words,
            Sum::OfAll(answered) => self.timed(|| answer(&answered)),
        }
    }

    /// Running statistics as if the ranks' batches had come one after the other, from `before`, which all had. Each rank has followed
    /// so many of its own, and kept the share `keeps` of the old value at each.
    pub fn follow(&self, before: Vec<f32>, mut words: Vec<f32>, batches: Vec<usize>, keeps: f64) -> Vec<f32> {
        let Some(link) = &self.link else { return words };
        self.run(link, move |wire| {
            let follow = |place, parts: &mut [&mut [f32]]| collective::follow(&before, &batches, keeps, place, parts);
            collective::all_combine(wire, &mut words, &follow);
            words
        })
    }

    /// What each rank has to say, in their order, on all of them.
    pub fn all_gather(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(link) = &self.link else { return vec![own] };
        self.run(link, move |wire| collective::all_gather(wire, own))
    }

    /// What each rank has to say, in their order, on the first one; nothing on the others.
    pub fn gather(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(link) = &self.link else { return vec![own] };
        self.run(link, move |wire| collective::gather(wire, own))
    }

    /// Gives each rank its own of the first one's messages; the others have none to give.
    pub fn scatter(&self, mut messages: Vec<Vec<u8>>) -> Vec<u8> {
        let Some(link) = &self.link else { return messages.swap_remove(0) };
        self.run(link, move |wire| collective::scatter(wire, messages))
    }

    /// The first rank's message, on all ranks.
    pub fn broadcast(&self, message: Vec<u8>) -> Vec<u8> {
        let Some(link) = &self.link else { return message };
        self.run(link, move |wire| collective::broadcast(wire, message))
    }

    /// What the first rank has, on all ranks; what the others have does not count.
    ///
    /// # Errors
    /// [`Error::Run`] if it is nothing that can be sent.
    pub fn of_first<T: Serialize + DeserializeOwned>(&self, own: T) -> Result<T> {
        if self.is_alone() {
            return Ok(own);
        }
        let message = if self.is_first() { serde_json::to_vec(&own).map_err(Error::run)? } else { vec![] };
        serde_json::from_slice(&self.broadcast(message)).map_err(Error::run)
    }

    /// Which of `count` things this rank does, if they are dealt out in whole portions of `portion`.
    pub fn part(&self, count: usize, portion: usize) -> std::ops::Range<usize> {
        let portions = count.div_ceil(portion);
        let at = |rank: usize| (portions * rank / self.count() * portion).min(count);
        at(self.rank)..at(self.rank + 1)
    }

    /// Ends all ranks with one line, which names this one and its host, and with this exit code. Alone it does nothing.
    pub fn fail(&self, text: String, code: u8) {
        if let Some(link) = &self.link {
            link.fail(text, code);
        }
    }

    /// Waits until all are done, and ends MPI.
    pub fn finish(&self) {
        if let Some(link) = &self.link {
            link.finish();
        }
    }
}

/// How long those that agree wait for the one that does not to end them.
const REFUSAL: Duration = Duration::from_secs(5);

/// In what a rank differs from the first one such that they cannot work together.
fn difference(first: &Peer, other: &Peer) -> Option<String> {
    if other.version != first.version {
        return Some(format!(
            "is gatefold {}, rank 0 is {}: start the same version everywhere",
            other.version, first.version
        ));
    }
    (other.options != first.options)
        .then(|| "was started with other options than rank 0: give all ranks the same".to_owned())
}

/// Numbers the ranks of each host, and finds out whose processes can be seen from here.
fn place(peers: &mut [Peer], rank: usize) {
    for at in 0..peers.len() {
        peers[at].local = peers[..at].iter().filter(|peer| peer.host == peers[at].host).count();
        // Two containers can have one name and see each other's processes not.
        peers[at].seen = peers[at].host == peers[rank].host && !is_gone(peers[at].pid);
    }
}

/// The ranks of this host whose processes are gone.
fn gone_here(peers: &[Peer], rank: usize) -> Vec<usize> {
    let here = (0..peers.len()).filter(|&other| other != rank && peers[other].seen);
    here.filter(|&other| is_gone(peers[other].pid)).collect()
}

/// The first rank of this host that is not gone: it says who is.
fn first_here(peers: &[Peer], gone: &[usize]) -> Option<usize> {
    (0..peers.len()).find(|rank| peers[*rank].seen && !gone.contains(rank))
}

fn gone_text(peers: &[Peer], gone: &[usize]) -> String {
    let names: Vec<String> = gone.iter().map(|&rank| format!("rank {rank} on {}", peers[rank].host)).collect();
    let is = if gone.len() == 1 { "is" } else { "are" };
    format!("{} {is} gone: killed, or out of memory", names.join(", "))
}

/// Whether there is no such process any more, or only what is left of it.
#[cfg(unix)]
fn is_gone(pid: u32) -> bool {
    // SAFETY: signal 0 is none; it only asks whether one could be sent.
    let missing = unsafe { libc::kill(pid as libc::pid_t, 0) } == -1
        && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
    // Its parent has not asked how it ended.
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let left = |stat: String| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X']));
    missing || state().is_some_and(left)
}

/// The system does not tell.
#[cfg(not(unix))]
fn is_gone(_: u32) -> bool {
    false
}

/// What a rank does that was asked by a signal to end.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Says what is said without others.
    Said,
    /// Says nothing: another one does.
    Quietly,
    /// Says that another one is gone, which is why the launcher ends this one.
    Since(String),
}

/// What this process does that was asked by a signal to end.
pub fn ended() -> Ended {
    let Some((rank, peers)) = WORLD.get() else { return Ended::Said };
    let gone = gone_here(peers, *rank);
    let speaks = if gone.is_empty() { *rank == 0 } else { first_here(peers, &gone) == Some(*rank) };
    // Whoever says nothing here must not say later that those are gone who end now.
    if ENDING.swap(true, Ordering::SeqCst) || !speaks {
        return Ended::Quietly;
    }
    if gone.is_empty() { Ended::Said } else { Ended::Since(gone_text(peers, &gone)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: &str, version: &str, options: &str) -> Peer {
        let (host, version, options) = (host.to_owned(), version.to_owned(), options.to_owned());
        Peer { host, pid: std::process::id(), version, options, local: 0, seen: false }
    }

    #[test]
    fn a_rank_that_differs_is_told_why() {
        let first = peer("a", "1.0.0", "train x");
        assert_eq!(difference(&first, &peer("b", "1.0.0", "train x")), None);
        let version = difference(&first, &peer("b", "1.1.0", "train x")).unwrap();
        assert!(version.contains("1.1.0") && version.contains("1.0.0"), "{version}");
        assert!(difference(&first, &peer("b", "1.0.0", "train y")).unwrap().contains("other options"));
    }

    #[test]
    fn ranks_are_numbered_on_each_host() {
        let mut peers = ["a", "b", "a", "a", "b"].map(|host| peer(host, "", "")).to_vec();
        place(&mut peers, 0);
        assert_eq!(peers.iter().map(|peer| peer.local).collect::<Vec<_>>(), [0, 0, 1, 2, 1]);
        assert_eq!(peers.iter().map(|peer| peer.seen).collect::<Vec<_>>(), [true, false, true, true, false]);
        assert_eq!(first_here(&peers, &[0]), Some(2));
        assert_eq!(gone_text(&peers, &[0, 2]), "rank 0 on a, rank 2 on a are gone: killed, or out of memory");
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_has_ended_is_gone_even_before_anybody_asked_how() {
        assert!(!is_gone(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        if cfg!(target_os = "linux") {
            std::thread::sleep(Duration::from_millis(200));
            assert!(is_gone(child.id()));
        }
        child.wait().unwrap();
        assert!(is_gone(child.id()));
    }

    #[test]
    fn alone_all_is_done_at_once() {
        let ranks = Ranks::alone();
        assert_eq!((ranks.count(), ranks.is_first(), ranks.part(10, 4)), (1, true, 0..10));
        assert_eq!(ranks.end_sum(ranks.begin_sum(vec![1.0, 2.0])), [1.0, 2.0]);
        assert_eq!(ranks.of_first(7).unwrap(), 7);
    }

    #[test]
    fn parts_are_whole_portions_and_leave_nothing_out() {
        for count in [0, 1, 7, 8, 33] {
            let peers: Arc<[Peer]> = vec![peer("a", "", ""); 3].into();
            let part = |rank| Ranks { rank, peers: Arc::clone(&peers), ..Ranks::alone() }.part(count, 4);
            assert_eq!((part(0).start, part(2).end), (0, count));
            assert!((0..2).all(|rank| part(rank).end == part(rank + 1).start));
            assert!((0..2).all(|rank| part(rank).end.is_multiple_of(4) || part(rank).end == count));
        }
    }
}
