//! A trained network as a local page and a JSON API: `gatefold serve`.
//!
//! One thread (`device.rs`) owns the network and all of the adapter; it takes questions from a queue, and answers those that wait together
//! in one batch. Another thread runs the server (`api.rs`), and pictures are decoded on all cores. `guard.rs` lets in only programs
//! of this machine and the page itself. `docs/serve.md` has the whole of it.

mod about;
mod api;
mod device;
mod folders;
mod guard;
mod limits;
mod map;
mod refusal;
mod training;
mod upload;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, mpsc};

use self::api::Shared;
use self::device::Device;
use self::folders::Folders;
use self::limits::{CONNECTIONS, HEADER_BYTES, HEADERS, WAITING};
use self::training::Training;
use self::upload::{Door, Eye};
use crate::{Error, Result};

pub use self::about::Known;

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub host: IpAddr,
    /// 0 takes a free one.
    pub port: u16,
    /// Folders whose pictures the page and the API may name by their paths.
    pub folders: Vec<PathBuf>,
    /// How many of the nearest training covers stand beside an answer; 0 looks for none.
    pub nearest: usize,
}

/// A server at work.
pub struct Server {
    address: SocketAddr,
    ends: mpsc::Sender<End>,
    server: JoinHandle<Result<()>>,
}

/// Why a server ends.
enum End {
    Asked,
    /// The thread that owned the device is gone.
    Device,
}

impl Server {
    /// Starts to serve a network.
    ///
    /// # Errors
    /// [`Error::Input`] if the address is taken, a folder is none, or the adapter has no room for the network.
    pub fn start(known: Known, options: &Options) -> Result<Self> {
        let folders = Folders::new(&options.folders)?;
        let listener = listen(options.host, options.port)?;
        let address = listener.local_addr().map_err(Error::run)?;
        let (ends, ended) = mpsc::channel(2);
        let Known { model, about, dataset, .. } = known;
        let training = dataset.and_then(|dataset| Training::new(&dataset, options.nearest)).map(Arc::new);
        let (jobs, queue) = sync_channel(WAITING);
        let eye = Eye::new(&model.header, model.pipeline());
        let device = Device::new(model, training.clone(), queue)?;
        let (folders, door) = (Arc::new(folders), Door::default());
        let walking = Arc::default();
        let shared = Shared { about, eye, folders, training, jobs, door, walking };
        let gone = Gone(ends.clone());
        let device = spawn("device", move || {
            let _gone = gone;
            Device::work(device);
        })?;
        let server = spawn("server", move || {
            let done = serve(listener, api::router(shared, address), ended);
            // The router is gone, and with it the queue's only sender.
            let _ = device.join();
            done
        })?;
        Ok(Self { address, ends, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the page.
    pub fn url(&self) -> String {
        format!("http://{}/", guard::shown(self.address))
    }

    /// Waits until it ends, which it does by itself only if the device fails for good.
    ///
    /// # Errors
    /// [`Error::Run`] then.
    pub fn wait(self) -> Result<()> {
        self.server.join().unwrap_or_else(|_| Err(Error::run("the server's thread ended")))
    }

    /// Ends it; what is under way gets no answer.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn stop(self) -> Result<()> {
        // If it has ended, there is nobody to tell.
        let _ = self.ends.try_send(End::Asked);
        self.wait()
    }
}

/// Tells the server when the device's thread is gone, however it ended.
struct Gone(mpsc::Sender<End>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.try_send(End::Device);
    }
}

fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.spawn(work).map_err(|e| Error::run(format!("no thread can be started ({e})")))
}

fn listen(host: IpAddr, port: u16) -> Result<TcpListener> {
    let failed = |e: std::io::Error| {
        let wish = SocketAddr::new(host, port);
        let option = if port == 0 { format!("--host {host}") } else { format!("--port {port}") };
        Error::input(format!("{option}: nothing can listen at {wish} ({e}); name another, or leave it out"))
    };
    let listener = TcpListener::bind((host, port)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Takes connections until it is told to end.
fn serve(listener: TcpListener, router: Router, mut ended: mpsc::Receiver<End>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let runtime = runtime.map_err(|e| Error::run(format!("the server cannot be started ({e})")))?;
    let why = runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(take_all(listener, router));
        Ok::<_, std::io::Error>(ended.recv().await)
    });
    match why.map_err(|e| Error::run(format!("the server cannot be started ({e})")))? {
        Some(End::Asked) | None => Ok(()),
        Some(End::Device) => {
            Err(Error::run("the thread that works with the device ended, so nothing is answered any more"))
        }
    }
}

async fn take_all(listener: tokio::net::TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // It is never closed.
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            // Too many files are open, or whoever called has hung up: others may be luckier in a moment.
            tokio::time::sleep(limits::AGAIN).await;
            continue;
        };
        // Answers are small and awaited.
        let _ = stream.set_nodelay(true);
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEADER_BYTES);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // Whoever breaks off or talks no HTTP is let go.
            let _ = connection.await;
            drop(place);
        });
    }
}
