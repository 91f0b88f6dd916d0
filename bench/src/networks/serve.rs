//! `gatefold serve` under load: one client against many.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use gatefold::serve::{Known, Options, Server};
use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::{Error, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use serde::Serialize;
use ureq::Agent;

use super::session::rss;
use crate::measure::median;
use crate::{Common, check_seconds, json};

/// Time `gatefold serve`: images a second and latencies of one client and of many
#[derive(Args)]
pub struct Arguments {
    /// Run folder
    run: PathBuf,
    /// How many clients ask at a time, in turns; several with commas between
    #[arg(long, value_delimiter = ',', default_value = "1,64")]
    clients: Vec<usize>,
    /// For how long each of them asks
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How often each takes its turn; medians count
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Height and width of the JPEGs that are sent
    #[arg(long, default_value_t = 300)]
    picture: u32,
    #[command(flatten)]
    common: Common,
}

/// Different pictures that are sent.
const PICTURES: u64 = 32;
/// More clients than this find the server's queue full.
const MOST: usize = 128;

#[derive(Serialize)]
struct Served {
    run: String,
    picture: u32,
    picture_bytes: usize,
    clients: Vec<Load>,
    /// Images a second of the last number of clients, over those of the first.
    gain: f64,
    /// Of this process, server and clients, in bytes: after the first round and at the end.
    rss_after_first: u64,
    rss_at_end: u64,
    adapter: String,
    driver: String,
}

/// What so many clients got.
#[derive(Serialize)]
struct Load {
    clients: usize,
    requests: usize,
    /// Those without an answer.
    errors: usize,
    /// Medians of the rounds.
    images_per_second: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    #[serde(skip)]
    rounds: Vec<Round>,
}

struct Round {
    images_per_second: f64,
    /// In milliseconds: the 50th, 90th and 99th percentile.
    percentiles: [f64; 3],
}

pub fn run(arguments: &Arguments) -> Result<()> {
    check_seconds(arguments.seconds)?;
    if arguments.rounds == 0 || arguments.clients.iter().any(|clients| !(1..=MOST).contains(clients)) {
        return Err(Error::input(format!(
            "--rounds and --clients: must be at least 1, and no more than {MOST} clients"
        )));
    }
    if !(16..=8000).contains(&arguments.picture) {
        return Err(Error::input(format!("--picture {}: must be from 16 to 8000 pixels", arguments.picture)));
    }
    let pictures: Result<Vec<Vec<u8>>> = (0..PICTURES).map(|number| picture(arguments.picture, number)).collect();
    let pictures = pictures?;
    let gpu = arguments.common.open()?;
    let AdapterSummary { name, driver, .. } = gpu.adapter().clone();
    let known = Known::open(&arguments.run, &gpu)?;
    let options = Options { host: IpAddr::V4(Ipv4Addr::LOCALHOST), port: 0, folders: vec![], nearest: 6 };
    let server = Server::start(known, &options)?;
    let client = Client { url: format!("{}api/predict", server.url()), pictures };
    wait_for_training(&server)?;
    let load = |&clients: &usize| Load {
        clients,
        requests: 0,
        errors: 0,
        images_per_second: 0.0,
        p50_ms: 0.0,
        p90_ms: 0.0,
        p99_ms: 0.0,
        rounds: vec![],
    };
    let mut loads: Vec<Load> = arguments.clients.iter().map(load).collect();
    // Plans are made when they are needed first.
    for load in &loads {
        client.ask(load.clients, Duration::from_secs_f64(arguments.seconds.min(1.0)));
    }
    let mut rss_after_first = 0;
    for round in 0..arguments.rounds {
        for load in &mut loads {
            let time = Duration::from_secs_f64(arguments.seconds);
            let (answers, errors, took) = client.ask(load.clients, time);
            load.requests += answers.len() + errors;
            load.errors += errors;
            load.rounds.push(Round::new(answers, took));
        }
        if round == 0 {
            rss_after_first = rss()?;
        }
    }
    for load in &mut loads {
        let of = |value: &dyn Fn(&Round) -> f64| median(&load.rounds.iter().map(value).collect::<Vec<_>>());
        load.images_per_second = of(&|round| round.images_per_second);
        [load.p50_ms, load.p90_ms, load.p99_ms] = [0, 1, 2].map(|place| of(&|round| round.percentiles[place]));
    }
    let speed = |load: Option<&Load>| load.map_or(0.0, |load| load.images_per_second);
    let served = Served {
        run: arguments.run.display().to_string(),
        picture: arguments.picture,
        picture_bytes: client.pictures[0].len(),
        gain: speed(loads.last()) / speed(loads.first()).max(1e-9),
        clients: loads,
        rss_after_first,
        rss_at_end: rss()?,
        adapter: name,
        driver,
    };
    server.stop()?;
    if arguments.common.json {
        json(&served)?;
    } else {
        told(&served);
    }
    let failed: usize = served.clients.iter().map(|load| load.errors).sum();
    if failed > 0 { Err(Error::run(format!("{failed} requests got no answer"))) } else { Ok(()) }
}

fn told(served: &Served) {
    println!(
        "{:>8} {:>9} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "clients", "requests", "errors", "images/s", "p50 ms", "p90 ms", "p99 ms"
    );
    for load in &served.clients {
        let Load { clients, requests, errors, images_per_second, p50_ms, p90_ms, p99_ms, .. } = load;
        println!(
            "{clients:>8} {requests:>9} {errors:>7} {images_per_second:>9.1} {p50_ms:>9.2} {p90_ms:>9.2} {p99_ms:>9.2}"
        );
    }
    let mib = |bytes: u64| bytes >> 20;
    println!(
        "gain {:.2}; memory {} MiB after the first round, {} MiB at the end",
        served.gain,
        mib(served.rss_after_first),
        mib(served.rss_at_end)
    );
}

impl Round {
    fn new(mut milliseconds: Vec<f64>, took: Duration) -> Self {
        milliseconds.sort_by(f64::total_cmp);
        let last = milliseconds.len().saturating_sub(1);
        let at = |share: f64| milliseconds.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN);
        Self {
            images_per_second: milliseconds.len() as f64 / took.as_secs_f64(),
            percentiles: [0.5, 0.9, 0.99].map(at),
        }
    }
}

/// What asks.
struct Client {
    url: String,
    pictures: Vec<Vec<u8>>,
}

fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent()
}

impl Client {
    /// So many clients ask again and again for this long; gives the milliseconds of each answer, how many were none, and the time from
    /// the first question to the last answer.
    fn ask(&self, clients: usize, time: Duration) -> (Vec<f64>, usize, Duration) {
        let (all, errors, start) = (Mutex::new(vec![]), AtomicUsize::new(0), Instant::now());
        std::thread::scope(|scope| {
            for client in 0..clients {
                let (all, errors) = (&all, &errors);
                scope.spawn(move || {
                    let (agent, mut took) = (agent(), vec![]);
                    let mut pictures = self.pictures.iter().cycle().skip(client);
                    while start.elapsed() < time {
                        let asked = Instant::now();
                        let picture = pictures.next().map_or(&[][..], Vec::as_slice);
                        let done = agent.post(&self.url).content_type("image/jpeg").send(picture);
                        let read = done.and_then(|mut answer| Ok((answer.status(), answer.body_mut().read_to_vec()?)));
                        match read {
                            Ok((status, _)) if status.is_success() => took.push(1000.0 * asked.elapsed().as_secs_f64()),
                            _ => {
                                errors.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    if let Ok(mut all) = all.lock() {
                        all.extend(took);
                    }
                });
            }
        });
        (all.into_inner().unwrap_or_default(), errors.into_inner(), start.elapsed())
    }
}

/// Until then the device is busy beside.
fn wait_for_training(server: &Server) -> Result<()> {
    let (agent, url) = (agent(), format!("{}api/run", server.url()));
    loop {
        let failed = |e: ureq::Error| Error::run(format!("the server does not answer: {e}"));
        let text = agent.get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string()).map_err(failed)?;
        let run: serde_json::Value = serde_json::from_str(&text).map_err(Error::run)?;
        let nearest = &run["nearest"];
        if nearest["done"] == nearest["covers"] || !nearest["error"].is_null() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A JPEG with shapes and noise, about as large as a cover's.
fn picture(side: u32, number: u64) -> Result<Vec<u8>> {
    let mut state = number.wrapping_mul(0x9e37_79b9) as u32 + 1;
    let picture = RgbImage::from_fn(side, side, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = state >> 28;
        let wave = ((x * (3 + number as u32 % 5) + y * 2) / 7 % 200) as u8;
        Rgb([wave + noise as u8, 200 - wave, (x ^ y) as u8 / 2 + noise as u8])
    });
    let mut bytes = vec![];
    let encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    picture.write_with_encoder(encoder).map_err(Error::run)?;
    Ok(bytes)
}
