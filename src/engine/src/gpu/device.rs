//! Asking a driver for a device, and once more for less where it refuses.

use super::adapter::{MATRIX_FEATURES, summarise};
use super::attempts::{Attempt, Attempts};
use super::faults::Faults;
use super::{AdapterSummary, Switch, Switches};
use crate::panics::caught;
use crate::{Error, Result};

/// A device, and what it was in the end.
pub struct Opened {
    pub device: (wgpu::Device, wgpu::Queue),
    pub summary: AdapterSummary,
    pub note: Option<String>,
}

/// Asks for all features that the engine can use; where that is refused, without matrices; then without any.
///
/// # Errors
/// [`Error::Run`] if the driver refuses all of them.
pub fn open(
    adapter: &wgpu::Adapter,
    index: usize,
    switches: &Switches,
    attempts: &Attempts,
    faults: &Faults,
) -> Result<Opened> {
    let optional = Switch::ALL.into_iter().filter(|&switch| switch != Switch::LargeLimits);
    let fewer = [vec![], vec![Switch::Matrix], optional.collect()];
    let mut refusals: Vec<String> = vec![];
    for less in fewer {
        let switches = switches.clone().and_without(less);
        let summary = summarise(index, adapter, &switches);
        let asked: Vec<Switch> = summary.cooperative_matrix.map(|_| Switch::Matrix).into_iter().collect();
        // Only what is new in drivers has ended programs here.
        let request = || request(adapter, &switches, &summary, faults);
        let answer = if asked.is_empty() { request() } else { attempts.during(&Attempt::Open(asked), request) };
        match answer {
            Ok(device) => {
                let without = summary.without.iter().map(|switch| switch.name()).collect::<Vec<_>>().join(", ");
                let note = refusals.first().map(|why| {
                    format!(
                        "adapter {}: the driver refused a device ({why}); it is used without {without}",
                        summary.name
                    )
                });
                return Ok(Opened { device, summary, note });
            }
            Err(why) => refusals.push(why),
        }
    }
    let name = summarise(index, adapter, switches).name;
    let why = refusals.pop().unwrap_or_default();
    Err(Error::run(format!("adapter {name}: the driver refuses a device ({why}); try another adapter")))
}

fn request(
    adapter: &wgpu::Adapter,
    switches: &Switches,
    summary: &AdapterSummary,
    faults: &Faults,
) -> Result<(wgpu::Device, wgpu::Queue), String> {
    let mut features = switches.features(adapter);
    let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
    if summary.cooperative_matrix.is_some() {
        features |= MATRIX_FEATURES;
        // SAFETY: wgpu asks for this because an experimental feature may have bugs of its own. Kernels with matrices are the
        // crate's own and their results are compared with those without.
        experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
    } else {
        features.remove(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX);
    }
    let ask = || {
        faults.refuse_device();
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("gatefold"),
            required_features: features,
            required_limits: switches.limits(adapter),
            experimental_features,
            memory_hints: wgpu::MemoryHints::Performance,
            ..Default::default()
        }))
    };
    // wgpu panics where a driver answers other than it said it would.
    match caught(ask) {
        Some(Ok(device)) => Ok(device),
        Some(Err(e)) => Err(e.to_string()),
        None => Err("it gave an answer that wgpu does not expect".to_owned()),
    }
}
