//! `gatefold train`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::GpuArguments;
use super::console::{self, duration, percent};
use super::data::{ColumnArguments, prepare_data};
use crate::data::source;
use crate::data::{Dataset, Fit, parse_ratios, write_atomically};
use crate::gpu::Gpu;
use crate::nets::Head;
use crate::plan::mib;
use crate::train::config::{Origin, WeightsFile};
use crate::train::run::{self, RunFolder};
use crate::train::{
    Augmentation, Config, EpochReport, Metrics, Needs, Observer, Outcome, Pretrained, Schedule, StepReport, Trainer,
};
use crate::weights::Best;
use crate::{Error, Result};

/// Train a network and score it on the test set
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, or an imported data set
    data: PathBuf,
    /// Run folder to write
    #[arg(long, required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Go on from the last checkpoint in --out, with that run's settings (--epochs may be raised)
    #[arg(long)]
    resume: bool,
    /// Network
    #[arg(long)]
    net: Option<String>,
    /// On the trunk of torchvision's networks: global pooling and a linear layer, or flatten and two dense layers
    #[arg(long, value_name = "linear|flatten")]
    head: Option<Head>,
    /// Start from these weights: a checkpoint, an exported file, or one of torchvision's or timm's (safetensors). A head of
    /// another class count is left out
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    weights: Option<PathBuf>,
    /// Built-in recipe (prog-rock, shazzzam-resnet50, shazzzam-densenet169, shazzzam-inception3) or TOML file; other options
    /// override it
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Height and width of the network's input in pixels
    #[arg(long)]
    size: Option<usize>,
    /// How pictures become squares: crop the centre, or pad with black
    #[arg(long, value_name = "crop|pad", value_parser = parse_fit)]
    fit: Option<Fit>,
    /// Pictures per step
    #[arg(long)]
    batch: Option<usize>,
    #[arg(long)]
    epochs: Option<u64>,
    /// Learning rate of Adam; the peak of a schedule
    #[arg(long)]
    lr: Option<f32>,
    #[arg(long)]
    schedule: Option<Schedule>,
    /// Decoupled weight decay
    #[arg(long)]
    weight_decay: Option<f32>,
    #[arg(long)]
    label_smoothing: Option<f32>,
    /// Random changes in training: flip, shift, shift=SHARE (of the side), separated by commas, or none
    #[arg(long)]
    augment: Option<Augmentation>,
    /// Share that dropout layers drop
    #[arg(long)]
    dropout: Option<f32>,
    /// Train, validation and test in percent (two numbers: train and test)
    #[arg(long, value_name = "70,15,15")]
    split: Option<String>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Decides the split, the first weights, the order, augmentation and dropout
    #[arg(long)]
    seed: Option<u64>,
    /// Print what the run needs (parameters, launches, operations, memory) and stop
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

fn parse_fit(text: &str) -> Result<Fit, String> {
    match text {
        "crop" => Ok(Fit::Crop),
        "pad" => Ok(Fit::Pad),
        _ => Err("must be crop or pad".into()),
    }
}

impl Arguments {
    /// Defaults, then the recipe, then the options.
    fn config(&self) -> Result<Config> {
        let mut config = self.recipe.as_deref().map_or_else(|| Ok(Config::default()), Config::recipe)?;
        config.run = None;
        self.override_with_options(&mut config)?;
        config.check()?;
        Ok(config)
    }

    fn override_with_options(&self, config: &mut Config) -> Result<()> {
        fn set<T: Clone>(to: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                *to = value.clone();
            }
        }
        set(&mut config.net, &self.net);
        set(&mut config.head, &self.head);
        set(&mut config.size, &self.size);
        set(&mut config.fit, &self.fit);
        set(&mut config.batch, &self.batch);
        set(&mut config.epochs, &self.epochs);
        set(&mut config.lr, &self.lr);
        set(&mut config.schedule, &self.schedule);
        set(&mut config.weight_decay, &self.weight_decay);
        set(&mut config.label_smoothing, &self.label_smoothing);
        set(&mut config.augment, &self.augment);
        set(&mut config.dropout, &self.dropout);
        set(&mut config.seed, &self.seed);
        set(&mut config.group, &self.columns.group);
        if let Some(split) = &self.split {
            config.split = Some(parse_ratios(split)?);
        }
        for (to, option) in [(&mut config.path, &self.columns.path), (&mut config.label, &self.columns.label)] {
            if option.is_some() {
                to.clone_from(option);
            }
        }
        Ok(())
    }

    /// A run's own settings; options may repeat them, and raise the number of epochs.
    fn resumed(&self, run: &RunFolder) -> Result<Config> {
        let stored = Config::read(&run.config())?;
        let mut wanted = stored.clone();
        self.override_with_options(&mut wanted)?;
        let epochs = wanted.epochs;
        if epochs < stored.epochs {
            return Err(Error::input(format!(
                "--epochs {epochs}: the run was made for {}; name at least as many",
                stored.epochs
            )));
        }
        wanted.epochs = stored.epochs;
        if self.recipe.is_some() || wanted != stored {
            let config = run.config();
            let text =
                format!("--resume: other options than in {}; leave them out, or start a new run", config.display());
            return Err(Error::input(text));
        }
        Ok(Config { epochs, ..stored })
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.dry_run {
        return dry_run(arguments);
    }
    let Some(out) = &arguments.out else { return Err(Error::input("--out RUN is missing")) };
    let (trainer, root) = if arguments.resume {
        resume(arguments, &RunFolder::open(out)?)?
    } else {
        let config = arguments.config()?;
        (start(&arguments.data, config, arguments.weights.as_deref(), out, &arguments.gpu)?, out.clone())
    };
    for note in trainer.notes() {
        console::say(format!("note: {note}"));
    }
    let mut progress = TrainingProgress::new(trainer.batch());
    let outcome = trainer.train(&mut progress)?;
    drop(progress);
    finish(&outcome, &root, arguments.json)
}

/// Prepares a new run up to its first step, from the seed or from a weights file.
pub fn start(
    data: &std::path::Path,
    config: Config,
    weights: Option<&std::path::Path>,
    out: &std::path::Path,
    gpu: &GpuArguments,
) -> Result<Trainer> {
    let run = RunFolder::new(out);
    run::check_new(&run)?;
    let columns =
        source::Columns { path: config.path.clone(), label: config.label.clone(), groups: config.group.clone() };
    let classes = source::classes(data, &columns)?;
    let (config, pretrained) = pretrained(config, weights, classes.len())?;
    let gpu = gpu.open()?;
    // Before an hour of decoding.
    let needs = Needs::of(&config, &config.net_config(classes.len()), gpu.adapter())?;
    run::create(&run)?;
    let prepared = prepare_data(data, &config, &run.data())?;
    describe(&needs, &config);
    let file = pretrained.as_ref().map(|pretrained| pretrained.file.clone());
    write_config(&run, &config, data, &gpu, &prepared.dataset, needs.parameters, file)?;
    let trainer = Trainer::new(&gpu, config, run, prepared.dataset, false)?;
    if let Some(pretrained) = &pretrained {
        trainer.start_from(pretrained)?;
    }
    Ok(trainer)
}

/// Reads the weights to start from, says what is left out of them, and takes over their normalisation.
fn pretrained(
    config: Config,
    weights: Option<&std::path::Path>,
    classes: usize,
) -> Result<(Config, Option<Pretrained>)> {
    let Some(file) = weights else { return Ok((config, None)) };
    let pretrained = Pretrained::read(file, &config, classes)?;
    for note in pretrained.notes() {
        console::say(format!("note: {note}"));
    }
    Ok((pretrained.settings(config), Some(pretrained)))
}

fn resume(arguments: &Arguments, run: &RunFolder) -> Result<(Trainer, PathBuf)> {
    let config = arguments.resumed(run)?;
    let dataset = Dataset::open(&run.data())?;
    run::check_same_data(&arguments.data, &config, &dataset, run)?;
    let gpu = arguments.gpu.open()?;
    let trainer = Trainer::new(&gpu, config, run.clone(), dataset, true)?;
    console::say(format!("resuming after epoch {}", trainer.epochs_done()));
    Ok((trainer, run.root().to_owned()))
}

fn write_config(
    run: &RunFolder,
    config: &Config,
    data: &std::path::Path,
    gpu: &Gpu,
    dataset: &Dataset,
    parameters: usize,
    weights: Option<WeightsFile>,
) -> Result<()> {
    let origin = Origin {
        data: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
        adapter: gpu.adapter().name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: dataset.manifest.classes.clone(),
        parameters,
        weights,
    };
    let text = Config { run: Some(origin), ..config.clone() }.to_toml()?;
    write_atomically(&run.config(), |file| std::io::Write::write_all(file, text.as_bytes()))
}

fn dry_run(arguments: &Arguments) -> Result<()> {
    let config = arguments.config()?;
    let columns =
        source::Columns { path: config.path.clone(), label: config.label.clone(), groups: config.group.clone() };
    let classes = source::classes(&arguments.data, &columns)?;
    let (config, _) = pretrained(config, arguments.weights.as_deref(), classes.len())?;
    let gpu = arguments.gpu.open()?;
    let needs = Needs::of(&config, &config.net_config(classes.len()), gpu.adapter())?;
    if arguments.json {
        return console::json(&needs);
    }
    describe(&needs, &config);
    Ok(())
}

fn describe(needs: &Needs, config: &Config) {
    console::say(format!(
        "{} at {} px, batch {}: {} parameters, {} launches and {:.2} GFLOP per step, {} of memory (largest tensor {})",
        config.net,
        config.size,
        config.batch,
        needs.parameters,
        needs.launches_per_step,
        needs.flops_per_step as f64 / 1e9,
        mib(needs.peak_bytes),
        mib(needs.largest_tensor_bytes),
    ));
}

#[derive(Serialize)]
struct Summary<'a> {
    run: &'a std::path::Path,
    seconds: f64,
    best: Option<Best>,
    test: Option<&'a Metrics>,
}

/// Prints what training ended with.
pub fn finish(outcome: &Outcome, root: &std::path::Path, as_json: bool) -> Result<()> {
    let Outcome { test, best, seconds } = outcome;
    if as_json {
        return console::json(&Summary { run: root, seconds: *seconds, best: *best, test: test.as_ref() });
    }
    let mut text = format!("\ntrained in {}", duration(*seconds));
    if let Some(best) = best {
        text += &format!(", best epoch {}", best.epoch);
    }
    match test {
        Some(metrics) => text += &format!("\n\ntest set:\n{metrics}"),
        None => text += "\nthere is no test set, so there is no score\n",
    }
    console::print(&format!("{text}run: {}\n", root.display()))
}

/// A bar with loss, accuracy, images/s and ETA on a terminal, plain lines elsewhere.
pub struct TrainingProgress {
    bar: Option<ProgressBar>,
    batch: usize,
    steps: u64,
    epochs: u64,
    start: Instant,
    /// Epochs done before this start, for the ETA.
    before: u64,
    said: Instant,
}

/// Between two plain lines within an epoch.
const EVERY: Duration = Duration::from_secs(10);

impl TrainingProgress {
    /// `batch` pictures make a step.
    pub fn new(batch: usize) -> Self {
        let now = Instant::now();
        Self { bar: None, batch, steps: 0, epochs: 0, start: now, before: 0, said: now }
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Observer for TrainingProgress {
    fn start(&mut self, steps: u64, epochs: u64, done: u64) {
        (self.steps, self.epochs, self.before, self.start) = (steps, epochs, done, Instant::now());
        if std::io::stderr().is_terminal() {
            let template = "{prefix} {bar:24} {pos}/{len} steps, {msg}, {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(steps * epochs).with_style(style);
            bar.set_position(steps * done);
            bar.reset_eta();
            self.bar = Some(bar);
        }
    }

    fn step(&mut self, report: &StepReport) {
        let StepReport { epoch, step, loss, accuracy, .. } = report;
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
            let done = (step - self.before * self.steps) as f64 * self.batch as f64;
            let rate = done / self.start.elapsed().as_secs_f64().max(1e-9);
            bar.set_message(format!("loss {loss:.3}, accuracy {}, {rate:.0} images/s", percent(*accuracy)));
            bar.set_position(*step);
        } else if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            let within = step - (epoch - 1) * self.steps;
            console::say(format!(
                "epoch {epoch}/{} step {within}/{} loss {loss:.3} accuracy {}",
                self.epochs,
                self.steps,
                percent(*accuracy)
            ));
        }
    }

    fn epoch(&mut self, report: &EpochReport, best: bool) {
        self.said = Instant::now();
        let here = report.epoch - self.before;
        let left = self.start.elapsed().as_secs_f64() / here as f64 * (self.epochs - report.epoch) as f64;
        let mut line = format!(
            "epoch {}/{}: loss {:.3} accuracy {}",
            report.epoch,
            self.epochs,
            report.train_loss,
            percent(report.train_accuracy)
        );
        if let (Some(loss), Some(accuracy)) = (report.val_loss, report.val_accuracy) {
            line += &format!(", validation loss {loss:.3} accuracy {}", percent(accuracy));
            line += if best { " (best)" } else { "" };
        }
        line += &format!(", {:.1} images/s, {}", report.images_per_second, duration(report.seconds));
        if left > 0.0 {
            line += &format!(", {} left", duration(left));
        }
        match &self.bar {
            Some(bar) => bar.println(line),
            None => console::say(line),
        }
    }
}
