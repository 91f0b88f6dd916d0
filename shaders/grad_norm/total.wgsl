// norm = sqrt(sum of partial sums), by one workgroup in a fixed order; with SCALED times the step's gradient scale
#import gatefold::reduce
#import gatefold::steps

struct Params {
    count: u32,
    norm_offset: u32,
    norm_stride: u32,
}

override SCALED: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> partial: array<f32>;
@group(0) @binding(2) var<storage, read> step: steps::StepWords;
@group(0) @binding(3) var<storage, read_write> norm: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < params.count; i += 64u) {
        sum += partial[i];
    }
    let total = reduce::sum(lane, sum);
    if lane == 0u {
        norm[params.norm_offset] = sqrt(total) * select(1.0, step.gradient_scale, SCALED);
    }
}
