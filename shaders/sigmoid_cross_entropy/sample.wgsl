// One record per sample: weighted loss, weight, weighted hit, one.
#import gatefold::grid

struct Params {
    samples: u32,
    smoothing: f32,
    class_weight0: f32,
    class_weight1: f32,
    logits_offset: u32,
    logits_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> records: array<vec4<f32>>;

// log(1 + e) for e in [0, 1]; by its series where 1 + e would round e away.
fn log1p(e: f32) -> f32 {
    let series = e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - e * 0.25)));
    return select(log(1.0 + e), series, e < 0.015625);
}

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
    let positive = labels[sample] != 0u;
    let target_share = select(0.5 * params.smoothing, 1.0 - 0.5 * params.smoothing, positive);
    let logit = logits[params.logits_offset + sample * params.logits_stride];
    // softplus(z) - t z, in two forms without cancellation.
    let linear = select(-logit * target_share, logit * (1.0 - target_share), logit > 0.0);
    let loss = linear + log1p(exp(-abs(logit)));
    let weight = weights[sample];
    var record = vec4<f32>(0.0);
    if weight > 0.0 {
        let weighted = weight * select(params.class_weight0, params.class_weight1, positive);
        record = vec4<f32>(weighted * loss, weighted, select(0.0, weight, (logit > 0.0) == positive), 1.0);
    }
    records[sample] = record;
}
