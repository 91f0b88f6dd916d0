//! How training scales: the program itself, by one rank and by several, and what that says of more.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use gatefold::sample;
use gatefold::train::run::RunFolder;
use gatefold::train::{Config, log};
use gatefold_engine::{Error, Result};
use serde::Serialize;

use crate::json;
use crate::measure::median;

/// Train with several ranks, each on its own cores, and compare with one
#[derive(Args)]
pub struct Arguments {
    /// Network
    net: String,
    /// Numbers of ranks
    #[arg(long, value_delimiter = ',', default_value = "1,2,4")]
    ranks: Vec<usize>,
    /// Pictures of a rank in a step
    #[arg(long, default_value_t = 16)]
    batch: usize,
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Steps that are timed, after as many that are not
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// How often all is done, one number of ranks after the other; the medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Cores of each rank, to which it is bound; without it none is bound
    #[arg(long)]
    cores: Option<usize>,
    /// The program, built with --features mpi [default: the one beside this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One number of ranks.
#[derive(Clone, Copy, Debug, Serialize)]
struct Measured {
    ranks: usize,
    images_per_second: f64,
    /// Share of the time that was waited for messages and slower ranks.
    communication: f64,
    /// Share of the time in which gradients were summed up, also beside the backward pass.
    all_reduce: f64,
    /// Bytes that a rank sends in a step by the time in which gradients are summed up.
    bytes_per_second: Option<f64>,
    /// Images/s of a rank by those of one that is alone.
    efficiency: f64,
}

/// What the time of a step is made of where the sum begins when the backward pass is done, so that overlap makes it less:
/// `compute + 2 (N - 1) / N · bytes / bandwidth + latency · 2 (N - 1)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Model {
    /// Seconds of a step without messages.
    compute: f64,
    /// Of a gradient.
    bytes: f64,
    /// Bytes per second.
    bandwidth: f64,
    /// Seconds of a message.
    latency: f64,
}

impl Model {
    fn step(self, ranks: usize) -> f64 {
        let others = ranks as f64 - 1.0;
        self.compute + 2.0 * others / ranks as f64 * self.bytes / self.bandwidth + self.latency * 2.0 * others
    }

    fn efficiency(self, ranks: usize) -> f64 {
        self.step(1) / self.step(ranks)
    }

    /// Fitted to the times of messages in a step by numbers of ranks above 1: bandwidth and latency by least squares; of one number
    /// alone, or where a latency below 0 fits best, there is none.
    fn fit(compute: f64, bytes: f64, times: &[(usize, f64)]) -> Self {
        let terms = times.iter().map(|&(ranks, time)| {
            let others = ranks as f64 - 1.0;
            (2.0 * others / ranks as f64 * bytes, 2.0 * others, time)
        });
        let (mut aa, mut ab, mut bb, mut at, mut bt) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (a, b, time) in terms {
            (aa, ab, bb, at, bt) = (aa + a * a, ab + a * b, bb + b * b, at + a * time, bt + b * time);
        }
        let determinant = aa * bb - ab * ab;
        let both = ((at * bb - bt * ab) / determinant, (bt * aa - at * ab) / determinant);
        let is_good = determinant > 1e-9 * aa * bb && both.0 > 0.0 && both.1 >= 0.0;
        let (per_byte, latency) = if is_good { both } else { (at / aa, 0.0) };
        Self { compute, bytes, bandwidth: 1.0 / per_byte, latency }
    }
}

/// What the paper plan is for: ranks, and networks as bits per second with the time of a message on them.
const PLAN: [usize; 4] = [8, 64, 512, 4096];
const NETWORKS: [(&str, f64, f64); 2] = [("10 Gbit/s", 10e9 / 8.0, 30e-6), ("100 Gbit/s", 100e9 / 8.0, 3e-6)];

#[derive(Serialize)]
struct Planned {
    network: &'static str,
    ranks: usize,
    seconds_per_step: f64,
    efficiency: f64,
}

#[derive(Serialize)]
struct Report {
    net: String,
    batch: usize,
    size: usize,
    measured: Vec<Measured>,
    model: Option<Model>,
    plan: Vec<Planned>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut counts = arguments.ranks.clone();
    counts.sort_unstable();
    counts.dedup();
    let (Some(1), Some(&most)) = (counts.first().copied(), counts.last()) else {
        return Err(Error::input("--ranks: must name 1, which the others are compared with"));
    };
    let beside = || std::env::current_exe().map(|own| own.with_file_name("gatefold"));
    let program = arguments.program.clone().map_or_else(beside, Ok).map_err(Error::run)?;
    let folder = tempfile::tempdir().map_err(Error::run)?;
    let covers = folder.path().join("covers");
    // Five genres; a fifth and a little more is left for tests.
    let shared = |batches: &usize| counts.iter().all(|&ranks| batches.is_multiple_of(ranks));
    let batches = (arguments.steps * most..).find(shared).unwrap_or_default();
    let trained = batches * arguments.batch;
    let per_genre = trained.div_ceil(4).max(4);
    let size = arguments.size.max(48).to_string();
    let drawn = ["--per-genre", &per_genre.to_string(), "--size", &size];
    finished(Command::new(&program).args(["sample", text(&covers)?]).args(drawn))?;
    let data = split(&covers.join(sample::TABLE), per_genre, trained)?;
    let data_text = text(&data)?;
    let (mut runs, mut parameters) = (vec![vec![]; counts.len()], 0);
    for round in 1..=arguments.rounds {
        for (&ranks, runs) in counts.iter().zip(&mut runs) {
            let run = RunFolder::new(&folder.path().join(format!("run-{ranks}-{round}")));
            finished(&mut training(arguments, &program, ranks, data_text, text(run.root())?))?;
            let (_, epochs) = log::read(&run.metrics())?;
            let last = epochs.last().ok_or_else(|| Error::run("a run of no epochs"))?;
            parameters = Config::read(&run.config())?.run.map_or(0, |run| run.parameters);
            eprintln!("{ranks} ranks, round {round}: {:.2} images/s", last.images_per_second);
            let [communication, all_reduce] = [last.communication, last.all_reduce].map(|share| share.unwrap_or(0.0));
            runs.push([last.images_per_second, communication, all_reduce]);
        }
    }
    let (mut measured, mut times, mut model_of_one): (Vec<Measured>, Vec<(usize, f64)>, _) = (vec![], vec![], None);
    for (&ranks, runs) in counts.iter().zip(&runs) {
        let [images_per_second, communication, all_reduce] =
            [0, 1, 2].map(|which| median(&runs.iter().map(|run: &[f64; 3]| run[which]).collect::<Vec<_>>()));
        let step = (arguments.batch * ranks) as f64 / images_per_second;
        let bytes = 4.0 * parameters as f64;
        let one = measured.first().map_or(images_per_second, |one| one.images_per_second);
        if ranks == 1 {
            model_of_one = Some((step, bytes));
        } else {
            times.push((ranks, all_reduce * step));
        }
        let sent = 2.0 * (ranks as f64 - 1.0) / ranks as f64 * bytes;
        measured.push(Measured {
            ranks,
            images_per_second,
            communication,
            all_reduce,
            bytes_per_second: (ranks > 1).then(|| sent / (all_reduce * step)),
            efficiency: images_per_second / one / ranks as f64,
        });
    }
    let model = model_of_one.filter(|_| !times.is_empty()).map(|(step, bytes)| Model::fit(step, bytes, &times));
    let plan = model.into_iter().flat_map(|model| {
        NETWORKS.into_iter().flat_map(move |(network, bandwidth, latency)| {
            let model = Model { bandwidth, latency, ..model };
            PLAN.map(|ranks| Planned {
                network,
                ranks,
                seconds_per_step: model.step(ranks),
                efficiency: model.efficiency(ranks),
            })
        })
    });
    let (net, batch, size) = (arguments.net.clone(), arguments.batch, arguments.size);
    let report = Report { net, batch, size, measured, model, plan: plan.collect() };
    if arguments.json {
        return json(&report);
    }
    show(&report);
    Ok(())
}

/// A table beside this one, which says of the first covers of each genre, so many in all, that they are for training. A batch that is not
/// full, or one more on some ranks, would count as time that is lost between them.
fn split(table: &Path, per_genre: usize, trained: usize) -> Result<PathBuf> {
    let read = fs::read_to_string(table).map_err(Error::run)?;
    let mut lines = read.lines();
    let mut split = format!("{},split\n", lines.next().unwrap_or_default());
    let rows: Vec<&str> = lines.collect();
    let genres = rows.len() / per_genre;
    for (at, row) in rows.into_iter().enumerate() {
        let (genre, number) = (at / per_genre, at % per_genre);
        split += &format!("{row},{}\n", if number * genres + genre < trained { "train" } else { "test" });
    }
    let path = table.with_file_name("split.csv");
    fs::write(&path, split).map_err(Error::run)?;
    Ok(path)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::run("the folder for temporary files has no name in UTF-8"))
}

/// Two epochs, of which the second counts.
fn training(arguments: &Arguments, program: &Path, ranks: usize, data: &str, run: &str) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "-n", &ranks.to_string()]);
    match arguments.cores {
        Some(cores) => {
            command.args(["--map-by", &format!("slot:PE={cores}"), "--bind-to", "core"]);
            command.env("LP_NUM_THREADS", cores.to_string()).env("RAYON_NUM_THREADS", cores.to_string());
        }
        None => {
            command.args(["--bind-to", "none"]);
        }
    }
    let (size, batch) = (arguments.size.to_string(), arguments.batch.to_string());
    command.arg(program).args(["train", data, "--out", run, "--net", &arguments.net, "--size", &size]);
    command.args(["--batch", &batch, "--epochs", "2", "--no-tensorboard"]);
    command
}

fn finished(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().map_err(|e| Error::input(format!("{name}: cannot be started ({e})")))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let line = said.lines().find(|line| line.starts_with("error:")).or_else(|| said.lines().last()).unwrap_or_default();
    Err(Error::run(format!("{name} failed: {line}")))
}

fn show(Report { measured, model, plan, .. }: &Report) {
    println!(
        "{:>6}  {:>9}  {:>10}  {:>13}  {:>10}  {:>9}",
        "ranks", "images/s", "efficiency", "communication", "all-reduce", "Gbyte/s"
    );
    for of in measured {
        let bandwidth = of.bytes_per_second.map_or(String::new(), |bytes| format!("{:.2}", bytes / 1e9));
        println!(
            "{:>6}  {:>9.2}  {:>8.1} %  {:>11.1} %  {:>8.1} %  {bandwidth:>9}",
            of.ranks,
            of.images_per_second,
            100.0 * of.efficiency,
            100.0 * of.communication,
            100.0 * of.all_reduce
        );
    }
    let Some(Model { compute, bytes, bandwidth, latency }) = model else { return };
    println!(
        "\nmodel: {compute:.3} s of computing, {:.1} Mbyte of gradient, {:.2} Gbyte/s, {:.0} µs a message",
        bytes / 1e6,
        bandwidth / 1e9,
        latency * 1e6
    );
    println!("\n{:>10}  {:>6}  {:>9}  {:>10}", "network", "ranks", "s a step", "efficiency");
    for Planned { network, ranks, seconds_per_step, efficiency } in plan {
        println!("{network:>10}  {ranks:>6}  {seconds_per_step:>9.3}  {:>8.1} %", 100.0 * efficiency);
    }
}

#[cfg(test)]
mod tests {
    use super::Model;

    #[test]
    fn the_model_is_found_in_its_own_times() {
        let truth = Model { compute: 0.5, bytes: 4e7, bandwidth: 1e9, latency: 2e-4 };
        let times = |ranks: &[usize]| -> Vec<_> { ranks.iter().map(|&n| (n, truth.step(n) - truth.compute)).collect() };
        let fitted = Model::fit(0.5, 4e7, &times(&[2, 4, 8]));
        assert!(
            (fitted.bandwidth / 1e9 - 1.0).abs() < 1e-6 && (fitted.latency / 2e-4 - 1.0).abs() < 1e-6,
            "{fitted:?}"
        );
        // One number tells one thing.
        let one = Model::fit(0.5, 4e7, &times(&[2]));
        assert!(one.latency == 0.0 && (one.step(2) / truth.step(2) - 1.0).abs() < 1e-9, "{one:?}");
        assert!(truth.efficiency(64) < truth.efficiency(8) && truth.efficiency(1) == 1.0);
    }
}
