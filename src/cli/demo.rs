//! `gatefold demo`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::help::{NETWORK, OUTPUT, SCHEDULE, net, whole};
use super::train::{Limit, TrainingProgress};
use super::{GpuArguments, console, explain, report, sample, train};
use crate::Result;
use crate::data::{Columns, Dataset, Split};
use crate::explain::gallery;
use crate::sample::SampleOptions;
use crate::score::model::Model;
use crate::train::Config;
use crate::train::config::bounds::EPOCHS;
use crate::train::run::RunFolder;
use crate::train::tuning::When;

/// The main job on built-in data: sample, train, evaluate, report, explain
#[derive(Args)]
pub struct Arguments {
    /// Folder to write (an earlier demo in it is replaced)
    #[arg(long, default_value = "demo", help_heading = OUTPUT)]
    out: PathBuf,
    /// Network; `small` needs no GPU to be quick
    #[arg(long, default_value = "small", value_parser = net(), help_heading = NETWORK)]
    net: String,
    /// Times that all covers are shown
    #[arg(long, default_value_t = 20, help_heading = SCHEDULE, value_parser = whole::<u64>(EPOCHS))]
    epochs: u64,
    #[command(flatten)]
    gpu: GpuArguments,
}

/// Covers that the heat maps are shown for.
const SHOWN: usize = 12;

/// Nobody waits a day for a demonstration. One software driver takes a minute a step.
const LIMIT: Limit = Limit {
    time: Duration::from_secs(2 * 3600),
    what: "the demo",
    instead: "name another --adapter of `gatefold devices`, or fewer --epochs; without a GPU Mesa's software driver is the quickest \
              (Debian and Ubuntu: apt install mesa-vulkan-drivers)",
};

pub fn run(arguments: &Arguments) -> Result<()> {
    let (covers, run, maps) =
        (arguments.out.join("covers"), arguments.out.join("run"), arguments.out.join("heat-maps"));
    let table = sample::draw(&covers, &SampleOptions::default())?;
    let config = Config {
        net: arguments.net.clone(),
        size: 64,
        epochs: arguments.epochs,
        // Few covers: small batches make more steps of them.
        batch: 16,
        lr: 0.004,
        label_smoothing: 0.0,
        columns: Columns { group: vec!["artist".into()], label: Some("genre".into()), ..Columns::default() },
        ..Config::default()
    };
    config.check()?;
    RunFolder::new(&run).clear()?;
    let trainer =
        train::with_starter(&arguments.gpu, When::OnGpus, None, |starter| starter.start(&table, config, None, &run))?;
    let gpu = trainer.gpu();
    let progress = TrainingProgress::new(trainer.pictures_per_step(), None).within(LIMIT);
    let outcome = train::shown(trainer, progress)?;
    train::finish(&outcome, &run, false)?;
    report::after_training(&run, &gpu);

    let folder = RunFolder::open(&run)?;
    let dataset = Dataset::open(&folder.data())?;
    let test = dataset.manifest.indices(Split::Test);
    let step = test.len().div_ceil(SHOWN).max(1);
    let images: Vec<PathBuf> =
        test.iter().step_by(step).map(|&i| dataset.manifest.covers[i].strings.path().to_owned()).collect();
    let model = Model::load(&gpu, &folder.checkpoint()?)?;
    explain::explain(&model, &images, None, None, &maps)?;
    console::show(&format!(
        "\ncovers:    {}\nrun:       {}\nreport:    {}\nheat maps: {}\n",
        console::shown(table.display()),
        console::shown(run.display()),
        console::shown(folder.report().display()),
        console::shown(maps.join(gallery::SHEET).display())
    ));
    Ok(())
}
