// The weighted mean of all samples' losses from one record per sample, by one workgroup in a fixed order.
#import gatefold::reduce

struct Params {
    samples: u32,
    // vec4s from record to record.
    pitch: u32,
    loss_offset: u32,
    loss_stride: u32,
    stats_offset: u32,
    stats_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
// Each begins with weighted loss, weight, weighted hit, one.
@group(0) @binding(1) var<storage, read> records: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = vec4<f32>(0.0);
    for (var sample = lane; sample < params.samples; sample += 64u) {
        sum += records[sample * params.pitch];
    }
    let total = reduce::sum_of_quads(lane, sum);
    if lane == 0u {
        var mean = 0.0;
        if total.y > 0.0 {
            mean = total.x / total.y;
        }
        loss[params.loss_offset] = mean;
        stats[params.stats_offset] = total.x;
        stats[params.stats_offset + 1u] = total.y;
        stats[params.stats_offset + 2u] = total.z;
        stats[params.stats_offset + 3u] = total.w;
    }
}
