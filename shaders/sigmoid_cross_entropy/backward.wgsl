// dlogits (+)= upstream * weight / total weight * (sigmoid(logit) - target)
#import gatefold::grid

struct Params {
    samples: u32,
    smoothing: f32,
    logits_offset: u32,
    logits_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
    dloss_offset: u32,
    dloss_stride: u32,
    dlogits_offset: u32,
    dlogits_stride: u32,
}

override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> records: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> stats: array<f32>;
@group(0) @binding(5) var<storage, read> dloss: array<f32>;
@group(0) @binding(6) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let sample = grid::linear_item(group, groups, lane);
    if sample >= params.samples {
        return;
    }
    let weight = records[sample].y;
    let total = stats[params.stats_offset + 1u];
    var gradient = 0.0;
    if weight > 0.0 && total > 0.0 {
        let half = 0.5 * params.smoothing;
        // Target and what is missing from it to 1, each without rounding where smoothing is 0.
        let share = select(half, 1.0 - half, labels[sample] != 0u);
        let rest = select(1.0 - half, half, labels[sample] != 0u);
        let logit = logits[params.logits_offset + sample * params.logits_stride];
        // sigmoid(z) - t over one denominator, so that a saturated sample keeps its small gradient.
        let e = exp(-abs(logit));
        gradient = select(e * rest - share, rest - e * share, logit > 0.0) / (1.0 + e);
        gradient *= dloss[params.dloss_offset] * (weight / total);
    }
    let to = params.dlogits_offset + sample * params.dlogits_stride;
    if ACCUMULATE {
        gradient += dlogits[to];
    }
    dlogits[to] = gradient;
}
