// Mean, and sum of squared deviations from it, of each block of pixels, per channel.
//
// Four pixels at a time: their own mean and deviations, then Chan, Golub and LeVeque's formula joins them to the block's
// ("Updating formulae and a pairwise algorithm for computing sample variances", 1979). No difference of large squares:
// exact with any offset of the data.
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
}

// Counts Elements.
override CHANNELS: u32 = 1u;
// Pixels in a block; the last one may have fewer.
override BLOCK: u32 = 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> means: array<Element>;
@group(0) @binding(3) var<storage, read_write> squares: array<Element>;

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
    let step = params.x_stride / #{VECTOR}u;
    var at = params.x_offset / #{VECTOR}u + first * step + channel;
    // Counted from the block's first number, so that rounding is relative to the deviations and not to the offset.
    let origin = x[at];
    var mean = Element(0.0);
    var square = Element(0.0);
    var seen = 0u;
    for (; seen + 4u <= count; seen += 4u) {
        let a = x[at] - origin;
        let b = x[at + step] - origin;
        let c = x[at + 2u * step] - origin;
        let d = x[at + 3u * step] - origin;
        at += 4u * step;
        let mean4 = 0.25 * ((a + b) + (c + d));
        let square4 = ((a - mean4) * (a - mean4) + (b - mean4) * (b - mean4))
            + ((c - mean4) * (c - mean4) + (d - mean4) * (d - mean4));
        let share = 4.0 / f32(seen + 4u);
        let delta = mean4 - mean;
        mean += delta * share;
        square += square4 + delta * delta * (f32(seen) * share);
    }
    for (; seen < count; seen++) {
        let share = 1.0 / f32(seen + 1u);
        let delta = x[at] - origin - mean;
        at += step;
        mean += delta * share;
        square += delta * delta * (f32(seen) * share);
    }
    means[item] = origin + mean;
    squares[item] = square;
}
