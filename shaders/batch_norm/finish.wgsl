// Mean and biased variance from the joined statistics, into (slices of) two vectors.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    channels: u32,
    pixels: u32,
    mean_offset: u32,
    mean_stride: u32,
    variance_offset: u32,
    variance_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> squares: array<Element>;
@group(0) @binding(2) var<storage, read> means: array<Element>;
@group(0) @binding(3) var<storage, read_write> mean: array<Element>;
@group(0) @binding(4) var<storage, read_write> variance: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = grid::linear_item(group, groups, lane);
    if channel >= params.channels / #{VECTOR}u {
        return;
    }
    mean[params.mean_offset / #{VECTOR}u + channel] = means[channel];
    variance[params.variance_offset / #{VECTOR}u + channel] = squares[channel] * (1.0 / f32(params.pixels));
}
