//! The same run on several folds: each cover is answered by a network that has not seen it, so the score is over all covers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::set::report::Report;
use crate::data::{Columns, Dataset, Fold, Labelling, Manifest, Split};
use crate::score::metrics::accuracy_of_groups;
use crate::score::{Metrics, Predictions};
use crate::train::run::RunFolder;
use crate::train::seeds::Spread;
use crate::train::{Config, Event, Outcome, Starter, Trainer, several};
use crate::weights::Best;
use crate::{Error, Result};

/// What `folds.json` in the folder of several folds says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Folds {
    /// What was cut into folds; the folder's own `data/` is made of it once.
    #[serde(serialize_with = "crate::shown::path")]
    pub data: PathBuf,
    pub folds: usize,
    /// The settings of all runs; its seed made the folds.
    pub config: Config,
    /// Weights that all start from.
    pub weights: Option<PathBuf>,
    /// Runs that are finished.
    pub runs: Vec<Finished>,
    /// Over all covers, once all runs are finished.
    pub score: Option<Score>,
}

/// The run of one fold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// From 1 on.
    pub fold: usize,
    #[serde(serialize_with = "crate::shown::path")]
    pub run: PathBuf,
    pub best: Option<Best>,
    pub test: Option<Metrics>,
}

/// A score over all covers, each answered by the network that had not seen it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The training counts behind the majority baseline are those of all covers.
    pub all: Metrics,
    /// Groups that were kept whole; as many as covers if none belong together.
    pub groups: usize,
    /// The 95 % interval of the accuracy with whole groups drawn again; as [`Metrics::accuracy_ci`] where each cover is alone.
    pub accuracy_ci: [f64; 2],
    /// Over the folds' own scores.
    pub spread: Spread,
}

impl Score {
    /// From the answers for all covers of a data set, in its order, whose groups were kept whole.
    fn new(answers: &Predictions, manifest: &Manifest, groups: &[usize], spread: Spread) -> Result<Self> {
        let mut counts = vec![0; manifest.classes.len()];
        manifest.covers.iter().for_each(|cover| counts[cover.label] += 1);
        let all = answers.metrics(&counts)?;
        let count = groups.iter().max().map_or(0, |most| most + 1);
        let accuracy_ci = if count == groups.len() {
            all.accuracy_ci
        } else {
            let right: Vec<bool> = answers.covers.iter().map(|cover| cover.answer.is_right()).collect();
            accuracy_of_groups(&right, groups)
        };
        Ok(Self { all, groups: count, accuracy_ci, spread })
    }
}

/// The settings for covers that were prepared with these: what said how to prepare them is left out, but for what keeps them
/// together.
pub(super) fn of_prepared(config: &Config) -> Config {
    let columns = Columns { group: config.columns.group.clone(), ..Columns::default() };
    Config { split: None, columns, labelling: Labelling::default(), run: None, ..config.clone() }
}

impl Folds {
    fn file(folder: &Path) -> PathBuf {
        RunFolder::new(folder).folds()
    }

    /// The folder of one fold's run.
    pub fn folder(folder: &Path, fold: usize) -> PathBuf {
        folder.join(format!("fold-{fold}"))
    }

    /// The folders of the runs that are finished.
    pub fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        self.runs.iter().map(|run| Self::folder(folder, run.fold)).collect()
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

    /// The settings of one fold's run.
    fn config(&self, fold: usize) -> Config {
        let fold = Some(Fold { number: fold, of: self.folds });
        Config { fold, ..of_prepared(&self.config) }
    }

    /// Checks a new call of several folds, and prepares the covers that all runs share.
    ///
    /// # Errors
    /// [`Error::Input`] if a class cannot be in each fold or there are runs in `out` already; else as [`Starter::check`].
    pub fn begin(
        starter: &Starter,
        data: &Path,
        config: Config,
        folds: usize,
        weights: Option<&Path>,
        out: &Path,
    ) -> Result<Self> {
        if config.split.is_some() {
            return Err(Error::input("--folds: takes the place of a split; leave the split out of the recipe"));
        }
        if let Some(patience) = config.patience {
            return Err(Error::input(format!(
                "--patience {patience}: goes by a validation set, and folds have none; leave it out"
            )));
        }
        several::check_new("--folds", Self::read(out)?.is_some(), weights, out)?;
        // What DATA has of sets does not count, but each class must be in training and in test.
        let config = Config { split: Some([1.0 - 1.0 / folds as f64, 0.0, 1.0 / folds as f64]), ..config };
        let intake = starter.open_data(data, &config)?;
        intake.check_folds(folds, &config.prepare_options())?;
        let config = several::prepare(starter, intake, &config, weights, out)?;
        // Near-duplicates that decoding found are groups too.
        let (prepared, again) = (RunFolder::new(out).data(), of_prepared(&config));
        starter.open_data(&prepared, &again)?.check_folds(folds, &again.prepare_options())?;
        let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        let config = Config { split: None, ..config };
        let all = Self { data, folds, config, weights: weights.map(Path::to_owned), runs: vec![], score: None };
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

    /// Trains all that are not finished, one after the other: `train` gets each run's folder and its trainer. Then writes down the
    /// answers for all covers and their score, and gives the answers.
    ///
    /// # Errors
    /// As [`Starter::start`] and [`Starter::resume`], and what `train` gives.
    pub fn train(
        &mut self,
        starter: &Starter,
        out: &Path,
        mut train: impl FnMut(&Path, Trainer) -> Result<Outcome>,
    ) -> Result<Predictions> {
        let folder = RunFolder::new(out).claimed()?;
        (self.runs, self.score) = (vec![], None);
        for fold in 1..=self.folds {
            let say = |line: String| starter.listener.event(Event::Note(line));
            say(format!("\nfold {fold} of {}", self.folds));
            let (root, config) = (Self::folder(out, fold), self.config(fold));
            // A score without its answers is made again.
            let answered = RunFolder::new(&root).predictions().is_file();
            let (best, test) = match several::ended(&root, &config)?.filter(|_| answered) {
                Some(ended) => {
                    say("is finished".to_owned());
                    ended
                }
                None => several::train(starter, &folder.data(), config, self.weights.as_deref(), &root, &mut train)?,
            };
            self.runs.push(Finished { fold, run: root, best, test });
            self.write(out)?;
        }
        let dataset = Dataset::open(&folder.data())?;
        let answers = self.answers(out, &dataset)?;
        let tests: Vec<&Metrics> = self.runs.iter().filter_map(|run| run.test.as_ref()).collect();
        let spread = Spread::of(&tests).ok_or_else(|| Error::run("fewer than two folds have a score"))?;
        let grouped_by = Report::read(&RunFolder::new(&Self::folder(out, 1)).data())?.grouped_by;
        let groups = dataset.manifest.groups_by(&grouped_by);
        self.score = Some(Score::new(&answers, &dataset.manifest, &groups, spread)?);
        answers.write(&folder.out_of_fold())?;
        self.write(out)?;
        Ok(answers)
    }

    /// The answers for all covers of the folds' data set, in its order, from the runs that are finished.
    ///
    /// # Errors
    /// [`Error::Input`] if a run's answers are missing or of other covers.
    fn answers(&self, out: &Path, dataset: &Dataset) -> Result<Predictions> {
        let covers = &dataset.manifest.covers;
        let mut answers = vec![None; covers.len()];
        for fold in 1..=self.folds {
            let run = RunFolder::new(&Self::folder(out, fold));
            let of_fold = Predictions::read(&run.predictions(), &dataset.manifest.classes)?;
            let tested = Dataset::open(&run.data())?.manifest.indices(Split::Test);
            if !of_fold.are_of(covers, &tested) {
                let path = run.predictions();
                return Err(Error::input(format!(
                    "{}: is not of this fold's covers; delete it, and the same command scores the fold again",
                    path.display()
                )));
            }
            tested.into_iter().zip(of_fold.covers).for_each(|(i, answer)| answers[i] = Some(answer));
        }
        let covers: Option<Vec<_>> = answers.into_iter().collect();
        let covers =
            covers.ok_or_else(|| Error::run(format!("{}: the folds do not have all covers", out.display())))?;
        Ok(Predictions { labels: dataset.manifest.classes.clone(), covers })
    }
}
