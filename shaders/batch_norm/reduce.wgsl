// Sums of dy and of dy * (x - mean) over each block of pixels, per channel.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    pixels: u32,
    blocks: u32,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
}

// Counts Elements.
override CHANNELS: u32 = 1u;
// Pixels in a block; the last one may have fewer.
override BLOCK: u32 = 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read> mean: array<Element>;
// For each block the sums of dy for all channels, then those of dy * (x - mean).
@group(0) @binding(4) var<storage, read_write> sums: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.blocks * CHANNELS {
        return;
    }
    let channel = item % CHANNELS;
    let first = item / CHANNELS * BLOCK;
    let count = min(BLOCK, params.pixels - first);
    let centre = mean[channel];
    let step = params.x_stride / #{VECTOR}u;
    let dy_step = params.dy_stride / #{VECTOR}u;
    var at = params.x_offset / #{VECTOR}u + first * step + channel;
    var dy_at = params.dy_offset / #{VECTOR}u + first * dy_step + channel;
    var sum = Element(0.0);
    var product = Element(0.0);
    // Two at a time: their loads need not wait for each other.
    var seen = 0u;
    for (; seen + 2u <= count; seen += 2u) {
        let a = dy[dy_at];
        let b = dy[dy_at + dy_step];
        sum += a + b;
        product += a * (x[at] - centre) + b * (x[at + step] - centre);
        at += 2u * step;
        dy_at += 2u * dy_step;
    }
    if seen < count {
        sum += dy[dy_at];
        product += dy[dy_at] * (x[at] - centre);
    }
    let to = item / CHANNELS * (2u * CHANNELS) + channel;
    sums[to] = sum;
    sums[to + CHANNELS] = product;
}
