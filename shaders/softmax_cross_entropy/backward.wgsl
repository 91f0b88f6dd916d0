// dlogits (+)= upstream * weight / total weight * derivative of the sample's loss
#import gatefold::grid

struct Params {
    length: u32,
    smoothing: f32,
    class_weight_sum: f32,
    logits_offset: u32,
    logits_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
    dloss_offset: u32,
    dloss_stride: u32,
    dlogits_offset: u32,
    dlogits_stride: u32,
}

override CLASSES: u32 = 1u;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> class_weights: array<f32>;
@group(0) @binding(4) var<storage, read> records: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> stats: array<f32>;
@group(0) @binding(6) var<storage, read> dloss: array<f32>;
@group(0) @binding(7) var<storage, read_write> dlogits: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.length {
        return;
    }
    let sample = item / CLASSES;
    let c = item - sample * CLASSES;
    let saved = records[2u * sample + 1u];
    let weight = saved.z;
    let total = stats[params.stats_offset + 1u];
    var gradient = 0.0;
    // A sample without weight counts for nothing, whatever its logits are.
    if weight > 0.0 && total > 0.0 {
        let label = min(labels[sample], CLASSES - 1u);
        let logit = logits[params.logits_offset + sample * params.logits_stride + c];
        let probability = exp((logit - saved.x) - saved.y);
        let hit = (1.0 - params.smoothing) * class_weights[label];
        let spread = params.smoothing / f32(CLASSES);
        gradient = probability * (hit + spread * params.class_weight_sum) - spread * class_weights[c];
        gradient -= select(0.0, hit, c == label);
        gradient *= dloss[params.dloss_offset] * (weight / total);
    }
    let to = params.dlogits_offset + sample * params.dlogits_stride + c;
    if ACCUMULATE {
        gradient += dlogits[to];
    }
    dlogits[to] = gradient;
}
