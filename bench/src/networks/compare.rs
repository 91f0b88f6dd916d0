//! Gatefold beside others on the same machine, in turns: what is installed runs, the rest is named.

mod ours;
mod peers;

use std::path::PathBuf;

use clap::Args;
use gatefold::train::Precision;
use gatefold_engine::{Error, Result};
use serde::{Deserialize, Serialize};

use super::session::Load;
use crate::measure::median;
use crate::{Common, json};

/// Time single ops, or a training step, beside Burn and PyTorch
#[derive(Args)]
pub struct Arguments {
    /// A training step of this network; without it the ops of bench/peers/cases.json
    #[arg(long)]
    net: Option<String>,
    #[arg(long, default_value_t = 8, requires = "net")]
    batch: usize,
    #[arg(long, default_value_t = 128, requires = "net")]
    size: usize,
    /// Our precision of feature maps
    #[arg(long, default_value_t, requires = "net")]
    precision: Precision,
    /// Timed steps of each in a round
    #[arg(long, default_value_t = 3, requires = "net")]
    steps: usize,
    /// Only ops with this in their name
    #[arg(long)]
    only: Option<String>,
    /// Time for each pass of an op in a round, in seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often everybody has a turn
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Leave a peer out: burn or torch
    #[arg(long)]
    without: Vec<String>,
    /// A Python that has PyTorch
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Burn's program, where it is not built in its own folder
    #[arg(long)]
    burn: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// One pass of one op, or one step, by one of those who are compared.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Line {
    /// "gatefold", or the peer's name and mode.
    #[serde(default)]
    peer: String,
    name: String,
    pass: String,
    median_ms: f64,
    /// Processor time of all threads, where the work is done by the processor.
    cpu_ms: Option<f64>,
    /// From the start of the peer's recording to the end of the first step.
    #[serde(default)]
    first_step_s: Option<f64>,
}

/// A line of ours and one of a peer: the medians of all rounds.
#[derive(Serialize)]
struct Ratio {
    name: String,
    pass: String,
    peer: String,
    gatefold_ms: f64,
    peer_ms: f64,
    /// How many times as long the peer takes.
    ratio: f64,
    gatefold_cpu_ms: Option<f64>,
    peer_cpu_ms: Option<f64>,
    ratio_cpu: Option<f64>,
    gatefold_first_step_s: Option<f64>,
    peer_first_step_s: Option<f64>,
}

#[derive(Serialize)]
struct Report {
    adapter: String,
    driver: String,
    rounds: usize,
    ratios: Vec<Ratio>,
    /// Who did not run, and how to get them.
    missing: Vec<String>,
    /// Every line of every round.
    lines: Vec<Line>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    crate::check_seconds(arguments.seconds)?;
    if arguments.rounds == 0 || arguments.steps == 0 {
        return Err(Error::input("--rounds and --steps: must be at least 1"));
    }
    if let Some(unknown) = arguments.without.iter().find(|name| !["burn", "torch"].contains(&name.as_str())) {
        return Err(Error::input(format!("--without {unknown}: there is no such peer; there are: burn, torch")));
    }
    let load = arguments.net.as_ref().map(|net| {
        let Arguments { batch, size, precision, .. } = *arguments;
        Load { net: net.clone(), batch, size, classes: 5, precision }
    });
    load.as_ref().map(Load::config).transpose()?;
    let cases = ours::cases(arguments.only.as_deref())?;
    let gpu = arguments.common.open()?;
    let mut peers = peers::installed(arguments);
    let mut lines: Vec<Line> = vec![];
    let mut missing = std::mem::take(&mut peers.missing);
    for round in 1..=arguments.rounds {
        eprintln!("round {round}: gatefold");
        lines.extend(match &load {
            Some(load) => vec![ours::step(&gpu, load, arguments.steps)?],
            None => ours::ops(&gpu, &cases, arguments.seconds)?,
        });
        let mut failed = vec![];
        for peer in &peers.found {
            eprintln!("round {round}: {}", peer.name);
            match peer.run(load.as_ref(), arguments) {
                Ok(more) => lines.extend(more),
                Err(e) => {
                    missing.push(e.to_string());
                    failed.push(peer.name);
                }
            }
        }
        peers.found.retain(|peer| !failed.contains(&peer.name));
    }
    let ratios = ratios(&lines);
    let (adapter, driver) = (gpu.adapter().name.clone(), gpu.adapter().driver.clone());
    let report = Report { adapter, driver, rounds: arguments.rounds, ratios, missing, lines };
    if arguments.common.json {
        return json(&report);
    }
    report.show();
    Ok(())
}

/// Each of the peers' lines beside ours, in the order of their first appearance.
fn ratios(lines: &[Line]) -> Vec<Ratio> {
    let mut done: Vec<(&str, &str, &str)> = vec![];
    let mut ratios = vec![];
    for line in lines.iter().filter(|line| line.peer != OURS) {
        let key = (line.name.as_str(), line.pass.as_str(), line.peer.as_str());
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let of = |peer: &str, value: fn(&Line) -> Option<f64>| {
            let same = |l: &&Line| (l.name.as_str(), l.pass.as_str(), l.peer.as_str()) == (key.0, key.1, peer);
            let values: Vec<f64> = lines.iter().filter(same).filter_map(value).collect();
            (!values.is_empty()).then(|| median(&values))
        };
        let both = |value: fn(&Line) -> Option<f64>| (of(OURS, value), of(key.2, value));
        let (Some(gatefold_ms), Some(peer_ms)) = both(|l| Some(l.median_ms)) else { continue };
        let (gatefold_cpu_ms, peer_cpu_ms) = both(|l| l.cpu_ms);
        let (gatefold_first_step_s, peer_first_step_s) = both(|l| l.first_step_s);
        ratios.push(Ratio {
            name: key.0.to_owned(),
            pass: key.1.to_owned(),
            peer: key.2.to_owned(),
            gatefold_ms,
            peer_ms,
            ratio: peer_ms / gatefold_ms,
            gatefold_cpu_ms,
            peer_cpu_ms,
            ratio_cpu: peer_cpu_ms.zip(gatefold_cpu_ms).map(|(peer, ours)| peer / ours),
            gatefold_first_step_s,
            peer_first_step_s,
        });
    }
    ratios
}

/// Our own name among the lines.
const OURS: &str = "gatefold";

impl Report {
    fn show(&self) {
        for r in &self.ratios {
            let cpu = match (r.gatefold_cpu_ms, r.peer_cpu_ms, r.ratio_cpu) {
                (Some(ours), Some(theirs), Some(ratio)) => {
                    format!("; processor time {ours:.1} and {theirs:.1} ms: {ratio:.2}x")
                }
                _ => String::new(),
            };
            let first = match r.gatefold_first_step_s.zip(r.peer_first_step_s) {
                Some((ours, theirs)) => format!("; first step {ours:.1} and {theirs:.1} s"),
                None => String::new(),
            };
            println!(
                "{:<30} {:<12} gatefold {:>9.2} ms, {} {:.2} ms: {:.2}x{cpu}{first}",
                r.name, r.pass, r.gatefold_ms, r.peer, r.peer_ms, r.ratio
            );
        }
        self.missing.iter().for_each(|line| println!("{line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(peer: &str, median_ms: f64, cpu_ms: Option<f64>) -> Line {
        let (peer, name, pass) = (peer.to_owned(), "matmul".to_owned(), "forward".to_owned());
        Line { peer, name, pass, median_ms, cpu_ms, first_step_s: None }
    }

    #[test]
    fn a_ratio_is_the_peers_median_over_ours() {
        let ours = [2.0, 1.0, 30.0].map(|ms| line(OURS, ms, Some(ms)));
        let theirs = [8.0, 9.0, 6.0].map(|ms| line("burn", ms, None));
        let lines: Vec<Line> = ours.into_iter().chain(theirs).collect();
        let ratios = ratios(&lines);
        assert_eq!(ratios.len(), 1);
        assert_eq!((ratios[0].ratio, ratios[0].ratio_cpu), (4.0, None));
        assert_eq!(ratios[0].gatefold_cpu_ms, Some(2.0));
    }
}
