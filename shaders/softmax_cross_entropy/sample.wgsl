// One record per sample: its loss and weight for the mean, and the largest logit and log-sum for the backward pass.
// LANES invocations share a sample: 64 on a GPU; 1 where barriers are dear.
#import gatefold::grid
#if LANES == 64
#import gatefold::reduce
#endif

struct Params {
    samples: u32,
    smoothing: f32,
    class_weight_sum: f32,
    logits_offset: u32,
    logits_stride: u32,
}

override CLASSES: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read> class_weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> records: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
#if LANES == 64
    let sample = grid::linear_group(group, groups);
    let first = lane;
#else
    let sample = grid::linear_item(group, groups, lane);
    let first = 0u;
#endif
    if sample >= params.samples {
        return;
    }
    let row = params.logits_offset + sample * params.logits_stride;
    // The host validates labels; a wrong one must still not read out of bounds.
    let label = min(labels[sample], CLASSES - 1u);
    let of_label = logits[row + label];

    var largest = -3.4028234e38;
    // Classes that an argmax which prefers the lowest index would take instead of the label.
    var beaten = 0.0;
    for (var c = first; c < CLASSES; c += #{LANES}u) {
        let logit = logits[row + c];
        largest = max(largest, logit);
        if logit > of_label || (logit == of_label && c < label) {
            beaten += 1.0;
        }
    }
#if LANES == 64
    largest = reduce::largest(lane, largest);
    beaten = reduce::sum(lane, beaten);
#endif

    var sum = 0.0;
    // Differences to the largest logit add up without cancellation.
    var below = 0.0;
    for (var c = first; c < CLASSES; c += #{LANES}u) {
        let distance = largest - logits[row + c];
        sum += exp(-distance);
        below += class_weights[c] * distance;
    }
#if LANES == 64
    sum = reduce::sum(lane, sum);
    below = reduce::sum(lane, below);
#endif

    if first == 0u {
        let weight = weights[sample];
        let log_sum = log(sum);
        let class_weight = class_weights[label];
        let hit = class_weight * ((largest - of_label) + log_sum);
        // All classes' terms, for smoothing.
        let spread = (below + params.class_weight_sum * log_sum) / f32(CLASSES);
        let loss = (1.0 - params.smoothing) * hit + params.smoothing * spread;
        var record = vec4<f32>(0.0);
        if weight > 0.0 {
            let correct = select(0.0, weight, beaten == 0.0 && of_label >= largest);
            record = vec4<f32>(weight * loss, weight * class_weight, correct, 1.0);
        }
        records[2u * sample] = record;
        records[2u * sample + 1u] = vec4<f32>(largest, log_sum, weight, 0.0);
    }
}
