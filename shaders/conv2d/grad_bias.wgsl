// Gradient of a convolution by its bias: dy summed over pixels, in as many splits as there are; `sum_splits` adds them up.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    pixels: u32,
    pixels_per_split: u32,
    splits: u32,
    dy_offset: u32,
    dy_stride: u32,
}

override CHANNELS: u32 = 1u;  // in units of Element

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Element>;
@group(0) @binding(2) var<storage, read_write> sums: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    let split = item / CHANNELS;
    let channel = item - split * CHANNELS;
    if split >= params.splits {
        return;
    }
    let first = split * params.pixels_per_split;
    let end = min(first + params.pixels_per_split, params.pixels);
    var sum = Element(0.0);
    for (var pixel = first; pixel < end; pixel++) {
        sum += dy[(params.dy_offset + pixel * params.dy_stride) / #{VECTOR}u + channel];
    }
    sums[item] = sum;
}
