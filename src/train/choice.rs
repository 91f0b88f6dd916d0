//! What the user leaves open, chosen: network, size and epochs, and with weights what of them is trained. It goes by the covers and by
//! what a few steps take on the adapter, so that the run ends in a certain time. What the rules rest on is in `bench/accuracy.md`.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use gatefold_engine::gpu::{BufferPool, Gpu};
use gatefold_engine::ops::adam::Adam;
use gatefold_engine::params::{ParameterStore, StepWords};
use gatefold_engine::plan::{Choice, Plan};

use crate::nets::{Freeze, Head, NETS};
use crate::train::config::Open;
use crate::train::step::TrainingStep;
use crate::train::{Augmentation, Config, Needs};
use crate::{Error, Result};

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    pub config: Config,
    /// Lines for the user.
    pub reasons: Vec<String>,
}

impl Chosen {
    /// What was chosen, why, and the options that say it.
    pub fn lines(&self) -> Vec<String> {
        let Config { net, size, batch, epochs, minutes, .. } = &self.config;
        let long = minutes.map_or(format!("{epochs} epochs"), |minutes| format!("{minutes} minutes"));
        let mut lines = vec![format!("chosen: {net} at {size} px, batches of {batch}, {long}")];
        lines.extend(self.reasons.iter().map(|reason| format!("  {reason}")));
        if let Some(options) = self.config.options() {
            lines.push(format!("  the same without choosing: {}", options.join(" ")));
        }
        lines
    }
}

/// How weights of other pictures are trained further. What their layers see stays as it is, and is computed once, for a few versions
/// of each cover: a few thousand covers are soon known by heart. A linear layer picks from the middle and the end of the trunk, as the
/// end alone knows most of what the weights were made for; a strong decay keeps it from what single covers say.
///
/// With settings that say how, `config` stays as it is.
pub(super) fn tuned(config: Config) -> Config {
    if !config.open.tuning {
        return config;
    }
    let head = Head::usual(&config.net);
    // Our own networks drop values in their trunks, which cannot be kept; nor can what changes with the size.
    let views = (head.is_some() && config.start_size.is_none()).then_some(VIEWS);
    let usual = Config {
        head: head.unwrap_or_default(),
        freeze: Some(Freeze::Trunk),
        views,
        augment: Augmentation { flip: true, crop: 0.3, ..Augmentation::default() },
        lr: 0.001,
        weight_decay: 2.0,
        dropout: 0.5,
        ..Config::default()
    };
    Open::tuned_as(config, &usual)
}

/// Versions of each cover for [`tuned`].
const VIEWS: u64 = 4;

/// Minutes that a run without options may take.
const MINUTES: f64 = 35.0;

/// From what learns most of enough epochs, to what is quickest. The first with time for [`LEAST`] epochs is taken.
const CANDIDATES: [(&str, usize); 4] = [("prognet", 128), ("prognet", 96), ("prognet", 64), ("small", 64)];

/// Sizes for networks that are not among them.
const OTHER_SIZES: [usize; 3] = [128, 96, 64];

/// Sizes for weights to start from, which have seen larger pictures.
const SIZES: [usize; 4] = [224, 192, 160, 128];

/// Epochs below which a smaller network learns more in the same time: from random weights, and from others'.
const LEAST: u64 = 24;
const LEAST_TUNED: u64 = 3 * VIEWS;

/// Covers shown in all, above which nothing was gained; and the epochs that they may be of few covers.
const SHOWN: u64 = 120_000;
const SHOWN_TUNED: u64 = 30_000;
const MOST: u64 = 120;

/// Of fewer covers than this batches are halved, so that there are more steps.
pub(super) const FEW: f64 = 640.0;

/// Steps that are timed, after one that is not.
const TIMED: u32 = 3;

/// How much longer an epoch takes than its steps by themselves, with pictures to fetch and checkpoints to write.
const SLACK: f64 = 1.2;

/// The share of what is computed once that epochs may take in any case.
const BESIDE: f64 = 0.1;

/// What validation costs of a step, for as many covers: the forward pass alone.
const FORWARD: f64 = 1.0 / 3.0;

/// What is compared, the best first.
pub(super) fn candidates(config: &Config, open: Open, weights: bool) -> Vec<(String, usize)> {
    let mut all: Vec<(String, usize)> = match (open.net, open.size) {
        (true, true) => CANDIDATES.iter().map(|&(net, size)| (net.to_owned(), size)).collect(),
        (true, false) => CANDIDATES.iter().map(|&(net, _)| (net.to_owned(), config.size)).collect(),
        (false, true) if weights => SIZES.iter().map(|&size| (config.net.clone(), size)).collect(),
        (false, true) => {
            let own = CANDIDATES.iter().filter(|(net, _)| *net == config.net).map(|&(_, size)| size);
            let own: Vec<usize> = own.collect();
            let sizes = if own.is_empty() { OTHER_SIZES.to_vec() } else { own };
            sizes.into_iter().map(|size| (config.net.clone(), size)).collect()
        }
        (false, false) => vec![(config.net.clone(), config.size)],
    };
    let least = config.start_size.map_or(0, |start| start + 1);
    let fits = |net: &str, size: usize| NETS.iter().any(|known| known.name == net && known.smallest.max(least) <= size);
    let mut seen = HashSet::new();
    all.retain(|(net, size)| fits(net, *size) && seen.insert((net.clone(), *size)));
    // What is wrong with it will be said.
    if all.is_empty() {
        all.push((config.net.clone(), config.size));
    }
    all
}

/// Seconds that a picture takes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// Once, for what frozen layers make of it.
    once: f64,
    /// In each epoch.
    each: f64,
}

/// Chooses what is open in `config` for covers of which each class has so many; with `weights` there are some to start from, and
/// `config` says already which head stands on them. The run began at `since`. Networks are measured only where something is open.
///
/// # Errors
/// [`Error::Input`] if nothing fits the adapter, [`Error::Run`] if the device fails.
pub fn choose(gpu: &Arc<Gpu>, config: Config, weights: bool, counts: &[usize], since: Instant) -> Result<Chosen> {
    let left = 60.0 * config.minutes.unwrap_or(MINUTES) - since.elapsed().as_secs_f64();
    decide(config, weights, counts, left, |candidate| cost(gpu, candidate, counts.len()))
}

/// [`choose`] with `left` seconds, where `measure` gives those of a step for each picture.
fn decide(
    config: Config,
    weights: bool,
    counts: &[usize],
    left: f64,
    mut measure: impl FnMut(&Config) -> Result<Cost>,
) -> Result<Chosen> {
    let (open, covers) = (config.open, counts.iter().sum::<usize>());
    let minutes = config.minutes.unwrap_or(MINUTES);
    let mut config = Config { open: Open { lr: open.lr, ..Open::default() }, ..config };
    let [train, val, test] = config.split.unwrap_or([0.7, 0.15, 0.15]);
    let [train, val, test] = [train, val, test].map(|share| covers as f64 * share / (train + val + test));
    let train = train.max(1.0);
    if open.batch && train < FEW {
        config.batch /= 2;
    }
    let (least, shown) = if weights { (LEAST_TUNED, SHOWN_TUNED) } else { (LEAST, SHOWN) };
    let candidates = candidates(&config, open, weights);
    let last = candidates.len() - 1;
    // Seconds of an epoch, and those before the first and after the last one.
    let (mut best, mut measured): (Option<(Config, f64, f64)>, _) = (None, vec![]);
    for (place, (net, size)) in candidates.into_iter().enumerate() {
        let mut candidate = Config { net, size, ..config.clone() };
        let Cost { once, each } = match measure(&candidate) {
            Ok(cost) => cost,
            // A smaller one may fit.
            Err(Error::Input(_)) if place < last || best.is_some() => continue,
            Err(e) => return Err(e),
        };
        let epoch = each * (train + FORWARD * val);
        let around =
            |views: Option<u64>| once * (views.unwrap_or(1) as f64 * train + val) + (once + FORWARD * each) * test;
        // A version of each cover less is better than a smaller picture.
        while let Some(views @ 2..) = candidate.views.filter(|_| open.tuning)
            && around(candidate.views) + least as f64 * epoch > left
        {
            candidate.views = Some(views / 2);
        }
        let around = around(candidate.views);
        let before = if once > 0.0 { format!(" after {}", time(around)) } else { String::new() };
        measured.push(format!("{} at {} px {epoch:.1} s{before}", candidate.net, candidate.size));
        // Without time for any, the quickest comes furthest.
        let enough = |epoch: f64, around: f64| around + least as f64 * epoch;
        if best.as_ref().is_none_or(|&(_, than, beside)| enough(epoch, around) < enough(than, beside)) {
            best = Some((candidate, epoch, around));
        }
        if (left - around) / epoch >= least as f64 {
            break;
        }
    }
    let Some((mut config, epoch, around)) = best else {
        return Err(Error::input("no network fits this adapter; name one with --net, and a small --size"));
    };

    let mut reasons = vec![format!(
        "{covers} covers of {} classes, {} in the rarest and {} in the most frequent",
        counts.len(),
        counts.iter().min().unwrap_or(&0),
        counts.iter().max().unwrap_or(&0)
    )];
    if weights && open.tuning {
        reasons.push(match &config.head {
            Head::Layers(names) => {
                format!(
                    "the weights stay as they are; a new linear layer learns from what they make of covers up to {}",
                    names.join(", ")
                )
            }
            _ => "the weights stay as they are up to the head, which learns".to_owned(),
        });
    }
    reasons.push(format!("an epoch takes about: {}", measured.join(", ")));
    if open.epochs {
        // Beside what is computed once, a few more of what costs next to nothing do not matter.
        let room = ((left - around) / epoch).max(BESIDE * around / epoch).floor().max(1.0) as u64;
        let most = (shown / train as u64).clamp(least, MOST);
        config.epochs = room.min(most);
        let takes = time(around + epoch * config.epochs as f64);
        reasons.push(match room > most {
            true => format!("{most} epochs take {takes} in all, and more would gain little"),
            false => format!("{room} epochs take {takes} in all; --minutes gives another time than {minutes:.0}"),
        });
    }
    Ok(Chosen { config, reasons })
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s => format!("{:.0} minutes", s / 60.0),
    }
}

/// Measures a few training steps of random weights on grey pictures: what is in them costs no time.
fn cost(gpu: &Arc<Gpu>, config: &Config, classes: usize) -> Result<Cost> {
    let (_, step) = Needs::record(config, &config.net_config(classes), gpu.adapter())?;
    let full = cost_of(gpu, config, &step)?;
    let Some(small) = step.at_start(gpu.adapter(), config)? else { return Ok(full) };
    Ok(Cost { each: (full.each + cost_of(gpu, config, &small)?.each) / 2.0, ..full })
}

fn cost_of(gpu: &Arc<Gpu>, config: &Config, step: &TrainingStep) -> Result<Cost> {
    let store = ParameterStore::for_training(gpu, step.tape.spec(), step.tape.frozen_words())?;
    store.initialise(gpu, config.seed)?;
    let mut plan = Plan::with_choice(gpu, &step.tape, &store, &BufferPool::default(), Choice::Rule)?;
    let [bias_correction1, bias_correction2] = Adam::default().bias_corrections(0);
    let words = StepWords { bias_correction1, bias_correction2, gradient_scale: 1.0, ..StepWords::default() };
    if let Some(input) = step.tape.step_input() {
        plan.write(input, &[words])?;
    }
    plan.write(step.pixels, &vec![0x80_u8; 4 * step.pixels.shape.len()])?;
    plan.write(step.weights, &vec![1.0_f32; config.batch])?;
    let mut seconds = |phases: Range<usize>| {
        let mut start = Instant::now();
        for number in 0..=TIMED {
            let ticket = plan.submit_phases(phases.clone())?;
            plan.results(ticket)?;
            if number == 0 {
                start = Instant::now();
            }
        }
        Ok::<_, Error>(SLACK * start.elapsed().as_secs_f64() / f64::from(TIMED) / config.batch as f64)
    };
    let first = step.batch_phase();
    let once = if first > 0 { seconds(0..first)? } else { 0.0 };
    Ok(Cost { once, each: seconds(step.phases(first > 0, true))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Cost = Cost { once: 0.0, each: 1e-4 };

    /// What `decide` makes of 1,000 covers where each pixel of a picture takes so many seconds.
    fn decided(config: Config, of_pixel: f64) -> Chosen {
        let costs = |config: &Config| match config.net.as_str() {
            "small" => 1.0,
            "prognet" => 4.0,
            _ => 16.0,
        };
        decide(config, false, &[300, 700], 60.0 * MINUTES, |config| {
            Ok(Cost { once: 0.0, each: of_pixel * costs(config) * (config.size * config.size) as f64 })
        })
        .unwrap()
    }

    #[test]
    fn the_best_network_that_has_time_for_enough_epochs_is_taken() {
        let open = || Config { open: Open::ALL, ..Config::default() };
        let quick = decided(open(), 1e-9).config;
        assert_eq!((quick.net.as_str(), quick.size, quick.epochs), (CANDIDATES[0].0, CANDIDATES[0].1, MOST));
        assert_eq!(quick.open, Open::default());
        let slow = decided(open(), 1.0);
        assert_eq!((slow.config.net.as_str(), slow.config.epochs), ("small", 1));
        for cost in [1e-7, 1e-6, 1e-5] {
            let Config { epochs, .. } = decided(open(), cost).config;
            assert!((LEAST..=MOST).contains(&epochs), "{epochs} at {cost}");
        }
        let lines = slow.lines().join("\n");
        for part in ["chosen: small at 64 px", "1000 covers of 2 classes, 300 in the rarest", "--net small --size 64"] {
            assert!(lines.contains(part), "{part}: {lines}");
        }
    }

    #[test]
    fn what_was_asked_for_stays() {
        let asked = Config { net: "densenet121".into(), size: 80, epochs: 7, batch: 9, ..Config::default() };
        for open in [Open { epochs: true, ..Open::default() }, Open { size: true, ..Open::default() }] {
            let Config { net, size, epochs, batch, .. } = decided(Config { open, ..asked.clone() }, 1e-9).config;
            assert_eq!((net.as_str(), batch), ("densenet121", 9));
            assert_eq!((size == 80, epochs == 7), (!open.size, !open.epochs));
        }
        let size = Config { open: Open { net: true, ..Open::default() }, size: 32, ..Config::default() };
        let Config { net, size, .. } = decided(size, 1e-9).config;
        assert_eq!((net.as_str(), size), (CANDIDATES[0].0, 32));
    }

    #[test]
    fn few_covers_get_small_batches_and_what_does_not_fit_is_passed_over() {
        let open = Config { open: Open::ALL, ..Config::default() };
        let few = decide(open.clone(), false, &[50, 50], 60.0, |_| Ok(QUICK)).unwrap().config;
        assert_eq!(few.batch, Config::default().batch / 2);
        let refused = |config: &Config| if config.net == "small" { Ok(QUICK) } else { Err(Error::input("too large")) };
        assert_eq!(decide(open.clone(), false, &[500, 500], 60.0, refused).unwrap().config.net, "small");
        let none = decide(open, false, &[500, 500], 60.0, |_| Err(Error::input("too large"))).unwrap_err();
        assert_eq!(none.to_string(), "too large");
    }

    #[test]
    fn weights_to_start_from_are_tuned_at_the_largest_size_that_there_is_time_for() {
        let config = Config { net: "resnet50".into(), open: Open { net: false, ..Open::ALL }, ..Config::default() };
        let by_size = |once: f64| {
            let chosen = decide(tuned(config.clone()), true, &[500, 500], 60.0 * MINUTES, |config| {
                Ok(Cost { once: once * (config.size * config.size) as f64, each: 1e-3 })
            });
            chosen.unwrap()
        };
        let Chosen { config: quick, reasons } = by_size(1e-7);
        assert_eq!((quick.size, quick.freeze.clone()), (224, Some(Freeze::Trunk)));
        assert!(quick.kept_views() == Some(VIEWS) && Some(&quick.head) == Head::usual("resnet50").as_ref());
        assert!(reasons.iter().any(|reason| reason.contains("layer3.5, layer4.0")), "{reasons:?}");
        let Config { size, views, .. } = by_size(2e-5).config;
        assert_eq!((size, views), (224, Some(VIEWS / 2)));
        assert!(by_size(1e-4).config.size < 224);
        // Where even that takes too long, it is not thrown away with a single epoch.
        let Config { views, epochs, .. } = by_size(1e-2).config;
        assert!(views == Some(1) && epochs > 10, "{epochs}");
        // How does not hang on what else is said.
        let all = Config { open: Open { tuning: true, ..Open::default() }, size: 64, epochs: 3, ..config.clone() };
        assert!(all.open.any(true) && !all.open.any(false));
        let all = decide(tuned(all), true, &[500, 500], 60.0, |_| Ok(QUICK)).unwrap().config;
        assert_eq!((all.size, all.epochs, all.freeze, all.views), (64, 3, Some(Freeze::Trunk), Some(VIEWS)));
        let growing = tuned(Config { start_size: Some(96), ..config.clone() });
        assert_eq!((growing.views, growing.freeze), (None, Some(Freeze::Trunk)));
        let open = Config { start_size: Some(96), open: Open::ALL, ..Config::default() };
        assert_eq!(candidates(&open, open.open, false), [("prognet".to_owned(), 128)]);
        // Whoever says how, is not overruled.
        let own = Config { lr: 0.5, open: Open { net: false, tuning: false, ..Open::ALL }, ..config.clone() };
        let own = decide(tuned(own), true, &[500, 500], 60.0, |_| Ok(QUICK)).unwrap().config;
        assert_eq!((own.lr, own.freeze), (0.5, None));
    }
}
