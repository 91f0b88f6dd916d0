//! What a run needs, in words.

use gatefold_engine::plan::mib;

use crate::train::Needs;

/// The plan in one line, for the start of a run.
pub fn line(needs: &Needs) -> String {
    let frozen =
        if needs.frozen_parameters > 0 { format!(", {} frozen", needs.frozen_parameters) } else { String::new() };
    format!(
        "{} at {} px, batch {}: {} parameters{frozen}, {} launches and {} per step, {} of memory (largest tensor {})",
        needs.net,
        needs.size,
        batch(needs),
        needs.parameters,
        needs.launches_per_step,
        operations(needs.flops_per_step),
        mib(needs.peak_bytes),
        mib(needs.largest_tensor_bytes),
    )
}

/// "32", or "4 x 32" where gradients are accumulated.
pub fn batch(needs: &Needs) -> String {
    if needs.accumulate == 1 { needs.batch.to_string() } else { format!("{} x {}", needs.accumulate, needs.batch) }
}

/// "1.31 GFLOP".
pub fn operations(flops: u64) -> String {
    format!("{:.2} GFLOP", flops as f64 / 1e9)
}
