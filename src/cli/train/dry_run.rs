//! `gatefold train --dry-run`: what a run would need.

use std::time::Instant;

use gatefold_engine::plan::mib;

use super::{Arguments, with_starter};
use crate::cli::console;
use crate::cli::needs::{batch, operations};
use crate::train::Needs;
use crate::{Error, Result};

/// Prints the plan, also one that does not fit; that then ends with the error.
pub fn run(arguments: &Arguments) -> Result<()> {
    let (config, wanted) = (arguments.config()?, arguments.classes);
    if let Some(minutes) = config.minutes {
        return Err(Error::input(format!(
            "--minutes {minutes}: what an epoch takes is measured by training, which --dry-run does not; leave it out"
        )));
    }
    let (config, classes, gpu) = with_starter(&arguments.gpu, arguments.tuning.when(), wanted, |starter| {
        let intake = match (&arguments.data, wanted) {
            (Some(data), _) => Some(starter.open_data(data, &config)?),
            (None, Some(_)) => None,
            (None, None) => return Err(Error::input("--dry-run: give DATA, or the number of --classes")),
        };
        let classes = intake.as_ref().map_or(wanted.unwrap_or_default(), |intake| intake.classes().len());
        let (config, pretrained) = starter.pretrained(config, arguments.weights.as_deref(), classes)?;
        let gpu = arguments.gpu.open()?;
        // Without covers there is nothing to choose by.
        let config = match &intake {
            Some(intake) => starter.chosen(&gpu, config, pretrained.is_some(), intake, Instant::now())?,
            None => config,
        };
        Ok((config, classes, gpu))
    })?;
    let net = config.net_config(classes);
    let needs = Needs::measure(&config, &net, gpu.adapter())?;
    if arguments.json {
        console::json(&needs)?;
    } else {
        console::show(&table(&needs));
    }
    needs.check(&config, &net, gpu.adapter())
}

fn table(needs: &Needs) -> String {
    let Needs { parameters, trained_parameters, frozen_parameters, .. } = needs;
    let mut text = format!(
        "{} at {} px, batch {}, on {}\n\n\
         parameters       {parameters:>14}  {trained_parameters} trained, {frozen_parameters} frozen\n\
         peak memory      {:>14}\n\
         \x20 parameters     {:>14}  with gradients, both Adam moments and running statistics\n\
         \x20 activations    {:>14}  with their gradients and scratch\n\
         \x20 inputs         {:>14}  with results and uniform blocks\n\
         taken at most    {:>14}  since drivers give memory in blocks\n\
         launches         {:>14}  per optimiser step\n\
         operations       {:>14}  per optimiser step\n",
        needs.net,
        needs.size,
        batch(needs),
        needs.adapter,
        mib(needs.peak_bytes),
        mib(needs.parameter_bytes),
        mib(needs.activation_bytes),
        mib(needs.input_bytes),
        mib(needs.reserved_bytes),
        needs.launches_per_step,
        operations(needs.flops_per_step),
    );
    text += "\nlargest tensors\n";
    for tensor in &needs.largest_tensors {
        let [n, h, w, c] = tensor.shape;
        text += &format!("{:>12}  {:<18} {}\n", mib(tensor.bytes), format!("{n}x{h}x{w}x{c}"), tensor.what);
    }
    text += "\nlaunches  operations    op\n";
    for op in &needs.ops {
        text += &format!("{:>8}  {:<12}  {}\n", op.launches, operations(op.flops), op.op);
    }
    text
}
