// Joins the statistics of RUN neighbouring blocks to those of one (Chan, Golub and LeVeque), in order.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    pixels: u32,
    blocks: u32,
    joined: u32,
}

// Counts Elements.
override CHANNELS: u32 = 1u;
// Pixels in a block; the last one may have fewer.
override BLOCK: u32 = 4u;
override RUN: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> means: array<Element>;
@group(0) @binding(2) var<storage, read> squares: array<Element>;
@group(0) @binding(3) var<storage, read_write> joined_means: array<Element>;
@group(0) @binding(4) var<storage, read_write> joined_squares: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.joined * CHANNELS {
        return;
    }
    let channel = item % CHANNELS;
    let first = item / CHANNELS * RUN;
    let end = min(first + RUN, params.blocks);
    // Counted from the first block's mean, as the blocks count from their first number.
    let origin = means[first * CHANNELS + channel];
    var mean = Element(0.0);
    var square = Element(0.0);
    for (var block = first; block < end; block++) {
        let seen = f32((block - first) * BLOCK);
        let count = f32(min(BLOCK, params.pixels - block * BLOCK));
        let share = count / (seen + count);
        let delta = means[block * CHANNELS + channel] - origin - mean;
        mean += delta * share;
        square += squares[block * CHANNELS + channel] + delta * delta * (seen * share);
    }
    joined_means[item] = origin + mean;
    joined_squares[item] = square;
}
