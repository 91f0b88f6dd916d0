// y = scale * the sums over runs of RUN pixels of each image: one level of a tree of sums, whose order is fixed.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    // All sums of all images.
    sums: u32,
    // Pixels of an image.
    pixels: u32,
    channels: u32,
    // Runs in an image.
    runs: u32,
    scale: f32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

// Pixels in a run: a multiple of four.
override RUN: u32 = 4u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    // Divided once for a whole run, so that nothing is gained by constants.
    let channels = params.channels / #{VECTOR}u;
    let sum = item / channels;
    let channel = item - sum * channels;
    if sum >= params.sums {
        return;
    }
    let first = (sum % params.runs) * RUN;
    let end = min(first + RUN, params.pixels);
    let image = sum / params.runs * params.pixels;
    let step = params.x_stride / #{VECTOR}u;
    var at = params.x_offset / #{VECTOR}u + (image + first) * step + channel;
    // Four sums at a time: loads need not wait for each other.
    var a = Element(0.0);
    var b = Element(0.0);
    var c = Element(0.0);
    var d = Element(0.0);
    var pixel = first;
    for (; pixel + 4u <= end; pixel += 4u) {
        a += x[at];
        b += x[at + step];
        c += x[at + 2u * step];
        d += x[at + 3u * step];
        at += 4u * step;
    }
    for (; pixel < end; pixel++) {
        a += x[at];
        at += step;
    }
    y[(params.y_offset + sum * params.y_stride) / #{VECTOR}u + channel] = ((a + b) + (c + d)) * params.scale;
}
