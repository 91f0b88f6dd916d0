//! All that speaks MPI. One thread makes all calls, so the library need not know of threads; between jobs, and while it waits in
//! one, it hears whether the others still live. What goes wrong ends the process, and with it all ranks: no rank waits for ever.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mpi::environment::{Universe, processor_name};
use mpi::point_to_point::{Destination, MatchedReceiveVec, Message, Source};
use mpi::topology::{Communicator, SimpleCommunicator};
use mpi::traits::Equivalence;
use mpi::{Tag, Threading, request};

use super::collective::Wire;
use super::{ENDING, Peer, Say, answer, first_here, gone_here};
use crate::{Error, Result};

const DATA: Tag = 1;
const BEAT: Tag = 2;
const FAULT: Tag = 3;
const SAID: Tag = 4;

/// How often a rank says that it lives, and asks whether the others' processes do, and after how long without a word it is given up. A
/// process that is not scheduled for so long is of no use to the others either.
const EVERY: Duration = Duration::from_millis(500);
const SILENCE: Duration = Duration::from_secs(8);

/// Whoever has not looked for so long was stopped itself, and cannot tell whether the others were silent.
const STOPPED: Duration = Duration::from_secs(2);

/// Between two looks while there is no job.
const TICK: Duration = Duration::from_millis(20);

/// How long the others have to hear that all has been said, before their processes are ended.
const HEARD: Duration = Duration::from_millis(100);

/// How long the first rank has to say what another one has told it. Then that one says it itself.
const GRACE: Duration = Duration::from_secs(3);

/// The watchdog looks this often, and gives a call of MPI up that has not come back after so many looks.
const LOOK: Duration = Duration::from_millis(500);
const LOOKS: u32 = 18;

/// While a message is waited for: so many polls at once, then one after each pause, so that a slow peer costs no core.
const POLLS: u32 = 1000;
const PAUSE: Duration = Duration::from_micros(50);

/// The longest text of a fault, so that it is sent at once, without the other side's help.
const TEXT: usize = 2000;

type Job = Box<dyn FnOnce(&mut Mpi) + Send>;

/// The thread that speaks MPI, as the others see it.
pub struct Link {
    jobs: Mutex<Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Link {
    /// Starts MPI. Gives this rank, their number, and the host's name too.
    ///
    /// # Errors
    /// [`Error::Run`] if MPI cannot be started.
    pub fn open(say: Say) -> Result<(Self, usize, usize, String)> {
        let (send, jobs) = channel();
        let (tell, told) = channel();
        let speak = move || {
            let Some((universe, _)) = mpi::initialize_with_threading(Threading::Funneled) else { return };
            let mut mpi = Mpi::new(universe, say);
            let _ = tell.send((mpi.rank, mpi.count, mpi.host.clone()));
            mpi.serve(&jobs);
            let looks = Arc::clone(&mpi.looks);
            // MPI ends here, on all ranks.
            drop(mpi);
            looks.store(DONE, Ordering::Relaxed);
        };
        let thread = thread::Builder::new().name("mpi".into()).spawn(speak).map_err(Error::run)?;
        let (rank, count, host) = told.recv().map_err(|_| Error::run("MPI could not be started"))?;
        Ok((Self { jobs: Mutex::new(send), thread: Mutex::new(Some(thread)) }, rank, count, host))
    }

    /// Does what needs MPI, and waits for it.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce(&mut dyn Wire) -> T + Send + 'static) -> T {
        self.with(move |mpi| job(mpi))
    }

    /// Does what needs MPI, after all that it was given before. Whoever waits for the answer hears that there will be none if the
    /// thread is gone.
    pub fn begin<T: Send + 'static>(&self, job: impl FnOnce(&mut dyn Wire) -> T + Send + 'static) -> Receiver<T> {
        self.give(move |mpi| job(mpi))
    }

    fn give<T: Send + 'static>(&self, job: impl FnOnce(&mut Mpi) -> T + Send + 'static) -> Receiver<T> {
        let (answer, answered) = channel();
        let job: Job = Box::new(move |mpi| {
            let _ = answer.send(job(mpi));
        });
        // Without the thread nobody holds the other end of `answered`.
        let _ = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).send(job);
        answered
    }

    fn with<T: Send + 'static>(&self, job: impl FnOnce(&mut Mpi) -> T + Send + 'static) -> T {
        answer(&self.give(job))
    }

    /// From now on these are watched.
    pub fn know(&self, peers: Vec<Peer>) {
        self.with(|mpi| mpi.peers = peers);
    }

    /// Ends all ranks with one line.
    pub fn fail(&self, text: String, code: u8) -> ! {
        self.with(move |mpi| mpi.tell(text, code));
        std::process::exit(i32::from(code))
    }

    /// Ends MPI when all ranks are done.
    pub fn finish(&self) {
        self.with(|mpi| {
            super::collective::gather(mpi, vec![]);
            super::collective::broadcast(mpi, vec![]);
            mpi.done = true;
        });
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = thread.map(JoinHandle::join);
    }
}

/// What the watchdog reads once there is nothing to watch any more.
const DONE: u64 = u64::MAX;

struct Mpi {
    rank: usize,
    count: usize,
    host: String,
    say: Say,
    /// Empty until they have introduced themselves.
    peers: Vec<Peer>,
    /// When each was heard last. The first rank hears all others, and they hear it.
    heard: Vec<Instant>,
    beat: Instant,
    looked: Instant,
    /// Counts looks, for the watchdog.
    looks: Arc<AtomicU64>,
    done: bool,
    /// Last, since the end of MPI is its drop.
    _universe: Universe,
}

impl Mpi {
    fn new(universe: Universe, say: Say) -> Self {
        let world = universe.world();
        let (rank, count) = (world.rank() as usize, world.size() as usize);
        let host = processor_name().unwrap_or_else(|_| "a host without a name".to_owned());
        let (now, looks) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        watch_over(Arc::clone(&looks), format!("rank {rank} on {host}"), say);
        Self {
            rank,
            count,
            host,
            say,
            peers: vec![],
            heard: vec![now; count],
            beat: now,
            looked: now,
            looks,
            done: false,
            _universe: universe,
        }
    }

    fn serve(&mut self, jobs: &Receiver<Job>) {
        while !self.done {
            match jobs.recv_timeout(TICK) {
                Ok(job) => job(self),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn name(&self, rank: usize) -> String {
        let host = self.peers.get(rank).map_or("a host that has not said its name", |peer| peer.host.as_str());
        format!("rank {rank} on {}", if rank == self.rank { self.host.as_str() } else { host })
    }

    /// Says that this rank lives, and ends all if another does not any more.
    fn look(&mut self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        if now - self.looked > STOPPED {
            self.heard.fill(now);
        }
        self.looked = now;
        let others = if self.rank == 0 { 1..self.count } else { 0..1 };
        let due = now - self.beat >= EVERY;
        if due {
            self.beat = now;
            // So small that it is sent at once.
            others.clone().for_each(|other| {
                SimpleCommunicator::world().process_at_rank(other as i32).send_with_tag(&[0_u8][..], BEAT)
            });
        }
        let world = SimpleCommunicator::world();
        let any = world.any_process();
        while let Some(found) = any.immediate_matched_probe_with_tag(BEAT) {
            let (_, status) = found.matched_receive_vec::<u8>();
            self.heard[status.source_rank() as usize] = now;
        }
        if let Some(found) = any.immediate_matched_probe_with_tag(FAULT) {
            let (bytes, status) = found.matched_receive_vec::<u8>();
            let code = bytes.first().copied().unwrap_or(1);
            let text = String::from_utf8_lossy(bytes.get(1..).unwrap_or_default()).into_owned();
            self.end(&format!("{}: {text}", self.name(status.source_rank() as usize)), code, false);
        }
        if let Some(found) = any.immediate_matched_probe_with_tag(SAID) {
            let (code, _) = found.matched_receive_vec::<u8>();
            ENDING.store(true, Ordering::SeqCst);
            // The launcher ends this process, now or very soon.
            thread::sleep(GRACE);
            std::process::exit(i32::from(code.first().copied().unwrap_or(1)));
        }
        if self.peers.is_empty() {
            return;
        }
        // Asked at every look it takes a two-hundredth of a core.
        let gone = if due { gone_here(&self.peers, self.rank) } else { vec![] };
        if !gone.is_empty() && first_here(&self.peers, &gone) == Some(self.rank) {
            self.end(&super::gone_text(&self.peers, &gone), 1, true);
        }
        if let Some(silent) = others.into_iter().find(|&other| now - self.heard[other] > SILENCE) {
            let text = format!("{}: has said nothing for {} s", self.name(silent), SILENCE.as_secs());
            self.end(&text, 1, true);
        }
    }

    /// Looks after the others while a message is waited for.
    fn wait(&mut self, polls: &mut u32) {
        *polls += 1;
        if *polls > POLLS {
            thread::sleep(PAUSE);
        } else {
            thread::yield_now();
        }
        if self.looked.elapsed() >= TICK {
            self.look();
        }
    }

    /// Sends to one rank, does something else meanwhile, and waits until the message is sent.
    fn while_sending<T>(&mut self, to: usize, message: &[u8], meanwhile: impl FnOnce(&mut Self) -> T) -> T {
        let world = SimpleCommunicator::world();
        request::scope(|scope| {
            let mut sending = world.process_at_rank(to as i32).immediate_send_with_tag(scope, message, DATA);
            let done = meanwhile(self);
            let mut polls = 0;
            while let Err(unfinished) = sending.test() {
                sending = unfinished;
                self.wait(&mut polls);
            }
            done
        })
    }

    /// The next message of a rank, and its bytes.
    fn found(&mut self, from: usize) -> (Message, usize) {
        let world = SimpleCommunicator::world();
        let mut polls = 0;
        loop {
            if let Some((found, status)) = world.process_at_rank(from as i32).immediate_matched_probe_with_tag(DATA) {
                return (found, status.count(u8::equivalent_datatype()) as usize);
            }
            self.wait(&mut polls);
        }
    }

    /// Waits for all of a message.
    fn take(&mut self, found: Message, into: &mut [u8]) {
        request::scope(|scope| {
            let mut receiving = found.immediate_matched_receive_into(scope, into);
            let mut polls = 0;
            while let Err(unfinished) = receiving.test() {
                receiving = unfinished;
                self.wait(&mut polls);
            }
        });
    }

    /// Tells the first rank what ends this one, which then ends all.
    fn tell(&mut self, mut text: String, code: u8) {
        if self.rank == 0 {
            self.end(&format!("{}: {text}", self.name(0)), code, false);
        }
        while text.len() > TEXT {
            text.pop();
        }
        let message = [&[code], text.as_bytes()].concat();
        SimpleCommunicator::world().process_at_rank(0).send_with_tag(&message[..], FAULT);
        let told = Instant::now();
        while told.elapsed() < GRACE {
            thread::sleep(TICK);
            self.look();
        }
        self.end(&format!("{}: {text}", self.name(self.rank)), code, false);
    }

    fn end(&self, text: &str, code: u8, gone: bool) -> ! {
        if ENDING.swap(true, Ordering::SeqCst) {
            // A signal has come first, and its thread is about to end the process.
            thread::sleep(GRACE);
        } else {
            (self.say)(text, gone);
            let (code, others) = ([code], (0..self.count).filter(|&other| other != self.rank));
            let world = SimpleCommunicator::world();
            others.for_each(|other| world.process_at_rank(other as i32).send_with_tag(&code[..], SAID));
            thread::sleep(HEARD);
        }
        SimpleCommunicator::world().abort(i32::from(code))
    }
}

/// Ends the process if a call of MPI does not come back: then the others are not looked after any more. Looks are counted, not
/// seconds, so that a process that was stopped and goes on is not taken for a stuck one.
fn watch_over(looks: Arc<AtomicU64>, name: String, say: Say) {
    let watch = move || {
        let (mut seen, mut same) = (0, 0);
        loop {
            thread::sleep(LOOK);
            let now = looks.load(Ordering::Relaxed);
            same = if now == seen { same + 1 } else { 0 };
            seen = now;
            if now == DONE {
                return;
            }
            if same >= LOOKS && !ENDING.swap(true, Ordering::SeqCst) {
                say(&format!("{name}: a call of MPI has not come back for {} s", LOOKS / 2), true);
                std::process::exit(1);
            }
        }
    };
    // Without it all works, but for what it watches.
    let _ = thread::Builder::new().name("watchdog".into()).spawn(watch);
}

impl Wire for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn exchange(&mut self, to: usize, message: &[u8], from: usize) -> Vec<u8> {
        self.while_sending(to, message, |mpi| mpi.receive(from))
    }

    fn exchange_words(&mut self, to: usize, message: &[f32], from: usize, words: &mut [f32]) {
        self.while_sending(to, bytemuck::cast_slice(message), |mpi| {
            let (found, bytes) = mpi.found(from);
            assert_eq!(bytes, size_of_val(words), "rank {from} has another number of words");
            mpi.take(found, bytemuck::cast_slice_mut(words));
        });
    }

    fn send(&mut self, to: usize, message: &[u8]) {
        self.while_sending(to, message, |_| ());
    }

    fn receive(&mut self, from: usize) -> Vec<u8> {
        let (found, bytes) = self.found(from);
        let mut message = vec![0_u8; bytes];
        self.take(found, &mut message);
        message
    }
}
