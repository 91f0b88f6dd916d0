//! A search for settings in a given time, by successive halving (Karnin, Koren and Somekh, 2013; Jamieson and Talwalkar, 2016): many
//! candidates get a short run each, the best third of them a longer one, and so on. All are compared on covers that were cut from the
//! training covers. The winner alone is trained on the data's own sets, and scored once on the test set.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Intake, Split, untested};
use crate::score::Metrics;
use crate::train::choice::{FEW, candidates, tuned};
use crate::train::config::{Open, Origin};
use crate::train::folds::of_prepared;
use crate::train::run::{self, RunFolder};
use crate::train::{Augmentation, Config, Event, Outcome, Starter, Trainer, several};
use crate::weights::Best;
use crate::{Error, Result};

/// One candidate of so many goes on to the next round.
const KEPT: usize = 3;

/// Seconds that a run has at least.
const LEAST: f64 = 6.0;

/// Which settings were not given, so that they are varied. What is open of [`Config::open`] is varied, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    pub lr: bool,
    pub weight_decay: bool,
    pub dropout: bool,
    pub augment: bool,
}

/// What `search.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Search {
    #[serde(serialize_with = "crate::shown::path")]
    pub data: PathBuf,
    /// The settings that were given, and the time or the epochs: of the whole search, and of its last run.
    pub config: Config,
    /// Weights that all start from.
    pub weights: Option<PathBuf>,
    pub candidates: Vec<Candidate>,
    /// The number of the candidate that did best, once it is known.
    pub winner: Option<usize>,
    /// Of the winner, on the test set.
    pub test: Option<Metrics>,
}

/// Settings that are tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// From 1 on. The first one has the usual settings.
    pub number: usize,
    /// The options of `train` that give it.
    pub options: String,
    pub config: Config,
    /// Its runs, one for each round that it was in.
    pub runs: Vec<Tried>,
}

/// A candidate's run in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    pub epochs: u64,
    pub seconds: f64,
    /// The best epoch, on covers cut from the training covers.
    pub best: Best,
}

impl Candidate {
    /// How it did in the first `rounds` rounds: in how many of them it was, and then by the last one. The less the better.
    fn place(&self, rounds: usize) -> (usize, f64, f64) {
        let runs = &self.runs[..self.runs.len().min(rounds)];
        let (accuracy, loss) = runs.last().map_or((-1.0, f64::MAX), |run| (run.best.accuracy, run.best.loss));
        (usize::MAX - runs.len(), -accuracy, loss)
    }
}

/// How many candidates each round has.
fn rounds(candidates: usize) -> Vec<usize> {
    let mut rounds = vec![candidates];
    while let Some(&last) = rounds.last().filter(|&&last| last > KEPT) {
        rounds.push(last.div_ceil(KEPT));
    }
    rounds
}

/// `count` settings around `base`: the first one is `base`, at the first of `places`, the others are drawn.
fn draw(base: &Config, free: Free, places: &[(String, usize)], weights: bool, count: usize) -> Vec<Config> {
    let mut dice = ChaCha8Rng::seed_from_u64(base.seed);
    let changes: &[&str] = match weights {
        true => &["flip,crop=0.3", "flip,crop=0.5", "flip,crop=0.3,colour=0.2", "flip,crop=0.5,rotate=10"],
        false => &[
            "flip,shift=0.1",
            "flip,shift=0.1,colour=0.2,erase=0.25",
            "flip,crop=0.5,colour=0.2",
            "flip,crop=0.5,rotate=10",
            "flip,crop=0.3,mixup=0.2",
            "flip,crop=0.3,cutmix=1",
        ],
    };
    // Two digits are more than a search knows.
    let near = |value: f32, factor: f32| format!("{:.1e}", value * factor).parse().unwrap_or(value);
    (0..count)
        .map(|number| {
            let (net, size) = places[number % places.len()].clone();
            let mut config = Config { net, size, ..base.clone() };
            // As many numbers for each, so that what is said changes no other draw.
            let [lr, decay, dropout, change]: [f32; 4] = std::array::from_fn(|_| dice.random());
            if number == 0 {
                return config;
            }
            if free.lr {
                config.lr = near(base.lr, 16.0_f32.powf(lr - 0.5));
            }
            if free.weight_decay {
                config.weight_decay = near(base.weight_decay, 64.0_f32.powf(decay - 0.5));
            }
            if free.dropout {
                config.dropout = (10.0 * (0.1 + 0.5 * dropout)).round() / 10.0;
            }
            if free.augment {
                let place = (change * changes.len() as f32) as usize;
                config.augment =
                    changes[place.min(changes.len() - 1)].parse().unwrap_or_else(|_| Augmentation::default());
            }
            config
        })
        .collect()
}

impl Search {
    fn file(folder: &Path) -> PathBuf {
        RunFolder::new(folder).search()
    }

    /// The folder of the winner's run on the data's own sets.
    pub fn best(folder: &Path) -> PathBuf {
        folder.join("best")
    }

    /// The covers that are not in the test set.
    fn covers(folder: &Path) -> PathBuf {
        folder.join("covers")
    }

    /// Reads the file; `None` if the folder has none.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        several::read(&Self::file(folder))
    }

    fn write(&self, folder: &Path) -> Result<()> {
        RunFolder::new(folder).write_json(&Self::file(folder), self)
    }

    /// The places of all candidates after so many rounds, the best first; of equals the one with the smaller number.
    pub fn best_after(&self, rounds: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.candidates.len()).collect();
        let of = |&place: &usize| self.candidates[place].place(rounds);
        places.sort_by(|a, b| of(a).partial_cmp(&of(b)).unwrap_or(Ordering::Equal));
        places
    }

    /// The settings of the winner's run, but for where it came from; `None` before it has begun.
    pub fn winners(&self, folder: &Path) -> Option<Config> {
        let winner = self.candidates.iter().find(|candidate| Some(candidate.number) == self.winner)?;
        let epochs = Config::read(&RunFolder::new(&Self::best(folder)).config()).ok()?.epochs;
        Some(Config { epochs, minutes: None, ..winner.config.clone() })
    }

    /// Runs of all rounds, the winner's on the data's own sets not counted.
    pub fn runs(&self) -> usize {
        self.candidates.iter().map(|candidate| candidate.runs.len()).sum()
    }

    /// `config` for a run of round `number` (from 0 on) of `of`, where the last one is the winner's: equal parts of the time for each
    /// round, equal parts of that for each candidate; or a third of the epochs for each round that follows.
    fn lasting(&self, config: &Config, number: usize, rounds: &[usize]) -> Config {
        let (after, candidates) = (rounds.len() - number, rounds.get(number).copied().unwrap_or(1));
        match self.config.minutes {
            Some(minutes) => {
                let minutes = minutes / ((rounds.len() + 1) * candidates) as f64;
                Config { minutes: Some(minutes), ..config.clone() }
            }
            None => {
                let epochs = self.config.epochs / (KEPT as u64).pow(after as u32);
                Config { epochs: epochs.max(1), minutes: None, ..config.clone() }
            }
        }
    }

    /// Checks a new search, draws `count` candidates, and prepares the covers.
    ///
    /// # Errors
    /// [`Error::Input`] if the time is too short, settings go against a search, or there are runs in `out` already; else as
    /// [`Starter::prepare`].
    pub fn begin(
        starter: &Starter,
        data: &Path,
        (config, free, count): (Config, Free, usize),
        weights: Option<&Path>,
        out: &Path,
    ) -> Result<Self> {
        let rounds = rounds(count);
        let least = ((rounds.len() + 1) * count) as f64 * LEAST / 60.0;
        if let Some(minutes) = config.minutes.filter(|minutes| *minutes < least) {
            return Err(Error::input(format!(
                "--minutes {minutes}: {count} candidates would have less than {LEAST:.0} seconds each at first; say --minutes {least:.1} or \
                 more, or fewer --candidates"
            )));
        }
        if config.fold.is_some() {
            return Err(Error::input("fold: a search cuts its own covers; leave the fold out of the recipe"));
        }
        several::check_new("search", Self::read(out)?.is_some(), weights, out)?;
        let intake = starter.open_data(data, &config)?;
        let covers: usize = intake.counts().iter().sum();
        let open = config.open;
        let mut base = if weights.is_some() { tuned(config.clone()) } else { config.clone() };
        base.open = Open::default();
        if open.batch && 0.7 * (covers as f64) < FEW {
            base.batch /= 2;
        }
        let places = candidates(&base, open, weights.is_some());
        // Fails on what is wrong with the weights before anything is decoded.
        starter.pretrained(base.clone(), weights, intake.classes().len())?;
        let folder = run::create(&RunFolder::new(out))?;
        let (_, size) = &places[0];
        let dataset = starter.prepare(intake, &Config { size: *size, ..base.clone() }, &folder)?;
        if dataset.manifest.indices(Split::Test).is_empty() {
            return Err(Error::input(format!(
                "{}: has no test set, so nothing would tell how good what was found is; split it again",
                data.display()
            )));
        }
        untested(&folder.data(), &Self::covers(out), base.seed)?;
        let of = |(number, config): (usize, Config)| {
            let told =
                Config { minutes: config.minutes.map(|_| 1.0), epochs: Config::default().epochs, ..config.clone() };
            let length = |option: &str| option == "--minutes" || option == "--epochs";
            let mut options = told.options().unwrap_or_default();
            while let Some(place) = options.iter().position(|option| length(option)) {
                options.drain(place..(place + 2).min(options.len()));
            }
            Candidate { number, options: options.join(" "), config, runs: vec![] }
        };
        let drawn = draw(&base, free, &places, weights.is_some(), count);
        let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        let weights = weights.map(Path::to_owned);
        let candidates = (1..).zip(drawn).map(of).collect();
        let all = Self {
            data,
            config: Config { open: Open::default(), ..config },
            weights,
            candidates,
            winner: None,
            test: None,
        };
        all.write(out)?;
        Ok(all)
    }

    /// What an earlier call began.
    ///
    /// # Errors
    /// [`Error::Input`] if the data are others.
    pub fn go_on(self, starter: &Starter, data: &Path, out: &Path) -> Result<Self> {
        several::check_same_data(starter, data, &self.config, out)?;
        Ok(self)
    }

    /// Goes through all rounds, then trains the winner on the data's own sets. `train` gets each run's folder and its trainer.
    ///
    /// # Errors
    /// As [`Starter::start`] and [`Starter::resume`], and what `train` gives.
    pub fn train(
        &mut self,
        starter: &Starter,
        out: &Path,
        mut train: impl FnMut(&Path, Trainer) -> Result<Outcome>,
    ) -> Result<()> {
        let folder = RunFolder::new(out).claimed()?;
        let rounds = rounds(self.candidates.len());
        let say = |line: String| starter.listener.event(Event::Note(line));
        for (number, &count) in rounds.iter().enumerate() {
            // Who is in a round was decided before it.
            for place in self.best_after(number).into_iter().take(count) {
                let candidate = &self.candidates[place];
                say(format!(
                    "\nround {} of {}, candidate {} of {}: {}",
                    number + 1,
                    rounds.len(),
                    candidate.number,
                    self.candidates.len(),
                    candidate.options
                ));
                if candidate.runs.len() > number {
                    say("is finished".to_owned());
                    continue;
                }
                let root = out.join(format!("round-{}", number + 1)).join(format!("candidate-{}", candidate.number));
                let config = self.lasting(&of_prepared(&candidate.config), number, &rounds);
                let covers = self.covers_at(starter, &config, out)?;
                let tried = self.one(starter, &covers, config, &root, &mut |root, trainer| train(root, trainer))?;
                self.candidates[place].runs.push(tried.0);
                self.write(out)?;
            }
        }
        let Some(winner) = self.best_after(rounds.len()).first().map(|&best| self.candidates[best].clone()) else {
            return Ok(());
        };
        self.winner = Some(winner.number);
        self.write(out)?;
        say(format!(
            "\ncandidate {} did best; it is trained on the data's own sets: {}",
            winner.number, winner.options
        ));
        let config = self.lasting(&of_prepared(&winner.config), rounds.len(), &rounds);
        let tried = Origin { tried: Some(self.candidates.len()), ..Origin::default() };
        let config = Config { run: Some(tried), ..config };
        self.test = self.one(starter, &folder.data(), config, &Self::best(out), &mut train)?.1;
        self.write(out)
    }

    /// The covers that candidates learn from and are compared on, at a candidate's size.
    fn covers_at(&self, starter: &Starter, config: &Config, out: &Path) -> Result<PathBuf> {
        let folder = out.join(format!("covers-{}", config.size));
        if !Dataset::is_at(&folder) {
            let intake = Intake::open(&Self::covers(out), &config.columns, &config.labelling)?;
            intake.prepare(&config.prepare_options(), &folder, &|done, of| starter.listener.decoding(done, of))?;
        }
        Ok(folder)
    }

    /// Trains in the folder `root`, or goes on with what is there.
    fn one(
        &self,
        starter: &Starter,
        data: &Path,
        config: Config,
        root: &Path,
        train: &mut dyn FnMut(&Path, Trainer) -> Result<Outcome>,
    ) -> Result<(Tried, Option<Metrics>)> {
        let run = RunFolder::new(root);
        // It knows already for how many epochs there is time.
        let config = if run.last().is_file() { Config::read(&run.config())? } else { config };
        let mut all = None;
        let (best, test) =
            several::train(starter, data, config, self.weights.as_deref(), root, &mut |root, trainer| {
                let outcome = train(root, trainer)?;
                all = Some((outcome.epochs, outcome.seconds));
                Ok(outcome)
            })?;
        let (epochs, seconds) = all.unwrap_or_default();
        let best = best.ok_or_else(|| Error::run(format!("{}: has no epoch", root.display())))?;
        Ok((Tried { epochs, seconds, best }, test))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_each_round_is_in_the_next_and_each_round_has_the_same_time() {
        assert_eq!((rounds(9), rounds(27), rounds(3), rounds(5)), (vec![9, 3], vec![27, 9, 3], vec![3], vec![5, 2]));
        let of = |config: Config| Search {
            data: PathBuf::new(),
            config,
            weights: None,
            candidates: vec![],
            winner: None,
            test: None,
        };
        let search = of(Config { minutes: Some(27.0), ..Config::default() });
        let minutes = |round| search.lasting(&Config::default(), round, &[9, 3]).minutes.unwrap();
        assert_eq!([minutes(0), minutes(1), minutes(2)], [1.0, 3.0, 9.0]);
        let search = of(Config { epochs: 20, ..Config::default() });
        let epochs = |round| search.lasting(&Config::default(), round, &[9, 3]).epochs;
        assert_eq!([epochs(0), epochs(1), epochs(2)], [2, 6, 20]);
    }

    #[test]
    fn candidates_are_the_usual_settings_and_others_near_them_but_for_what_was_said() {
        let (base, places) =
            (Config { lr: 0.004, ..Config::default() }, [("small".to_owned(), 64), ("prognet".to_owned(), 96)]);
        let free = Free { lr: false, weight_decay: true, dropout: true, augment: true };
        let drawn = draw(&base, free, &places, false, 9);
        assert_eq!(drawn[0], Config { net: "small".into(), size: 64, ..base.clone() });
        assert_eq!(drawn, draw(&base, free, &places, false, 9));
        for (number, config) in drawn.iter().enumerate() {
            config.check().unwrap();
            assert_eq!((&config.net, config.size, config.lr), (&places[number % 2].0, places[number % 2].1, 0.004));
            assert!((0.00124..=0.081).contains(&config.weight_decay), "{}", config.weight_decay);
        }
        let others: std::collections::HashSet<String> = drawn.iter().map(|config| format!("{config:?}")).collect();
        assert!(others.len() > 7);
    }

    #[test]
    fn a_candidate_that_came_further_is_better_then_the_more_accurate_one_then_the_one_of_less_loss() {
        let of = |runs: &[(f64, f64)]| Candidate {
            number: 1,
            options: String::new(),
            config: Config::default(),
            runs: runs
                .iter()
                .map(|&(accuracy, loss)| Tried { epochs: 1, seconds: 1.0, best: Best { epoch: 1, accuracy, loss } })
                .collect(),
        };
        let order = [
            of(&[(0.9, 0.1)]),
            of(&[(0.1, 2.0), (0.5, 1.5)]),
            of(&[(0.1, 2.0), (0.5, 1.0)]),
            of(&[(0.1, 9.0), (0.6, 3.0)]),
        ];
        for pair in order.windows(2) {
            assert!(pair[1].place(9) < pair[0].place(9), "{pair:?}");
        }
    }
}
