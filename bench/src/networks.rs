//! All that needs the networks, and with them the crate `gatefold`.

mod compare;
mod isa;
mod scale;
mod serve;
mod session;
mod step;
mod traffic;

use clap::{Args, Subcommand};
use gatefold::nets::{self, NETS};
use gatefold::train::Precision;
use gatefold::train::step::TrainingStep;
use gatefold_engine::Result;
use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::tape::Tape;
use session::{Load, check_precision};

#[derive(Subcommand)]
pub enum Command {
    Step(step::Arguments),
    Compare(compare::Arguments),
    Scale(scale::Arguments),
    Isa(isa::Arguments),
    Serve(serve::Arguments),
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Step(arguments) => step::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Scale(arguments) => scale::run(arguments),
        Command::Isa(arguments) => isa::run(arguments),
        Command::Serve(arguments) => serve::run(arguments),
    }
}

/// From where `kernels` takes its launches, if not from the rows.
#[derive(Args)]
pub struct Source {
    /// All launches of this network's training step that differ; `all` for the five large networks and prognet. Without it the
    /// rows of kernels-tests that are marked for the bench
    #[arg(long)]
    net: Option<String>,
    /// Pictures in a batch, with --net
    #[arg(long, default_value_t = 4, requires = "net")]
    batch: usize,
    /// Width of the pictures in pixels, with --net
    #[arg(long, default_value_t = 224, requires = "net")]
    size: usize,
    /// Precision of feature maps, with --net
    #[arg(long, default_value_t, requires = "net")]
    precision: Precision,
}

/// The networks of `--net all`.
const LARGE: [&str; 6] = ["prognet", "resnet18", "resnet50", "densenet121", "densenet169", "inception_v3"];

impl Source {
    /// The training steps of the networks that were named; `None` if none was.
    pub fn tapes(&self, adapter: &AdapterSummary) -> Result<Option<Vec<(String, Tape)>>> {
        let Some(net) = &self.net else { return Ok(None) };
        let names: Vec<&str> = if net == "all" { LARGE.to_vec() } else { vec![net] };
        let tape = |name: &&str| {
            let smallest = NETS.iter().find(|known| known.name == *name).map_or(0, |known| known.smallest);
            // `all` takes what fits each of them; a network that was named is refused by its own rule.
            let size = if net == "all" { self.size.max(smallest) } else { self.size };
            let (batch, precision) = (self.batch, self.precision);
            let load = Load { net: (*name).to_owned(), batch, size, classes: 5, precision };
            let config = load.config()?;
            let net_config = config.net_config(load.classes);
            nets::find(&net_config)?;
            Ok(((*name).to_owned(), TrainingStep::record_for(adapter, &config, &net_config, config.batch)?.tape))
        };
        names.iter().map(tape).collect::<Result<_>>().map(Some)
    }

    /// Fails if the adapter lacks what they need.
    pub fn check(&self, adapter: &AdapterSummary) -> Result<()> {
        check_precision(self.precision, adapter)
    }
}
