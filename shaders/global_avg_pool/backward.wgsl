// dx (+)= scale * dy of the image, for runs of RUN pixels of an image.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    // All runs of all images.
    runs: u32,
    // Pixels of an image.
    pixels: u32,
    scale: f32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

// Counts Elements.
override CHANNELS: u32 = 1u;
override RUNS: u32 = 1u;
override RUN: u32 = 4u;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<Element>;
@group(0) @binding(2) var<storage, read_write> dx: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.runs * CHANNELS {
        return;
    }
    let channel = item % CHANNELS;
    let run = item / CHANNELS;
    let first = (run % RUNS) * RUN;
    let end = min(first + RUN, params.pixels);
    let image = run / RUNS;
    let value = dy[(params.dy_offset + image * params.dy_stride) / #{VECTOR}u + channel] * params.scale;
    for (var pixel = first; pixel < end; pixel++) {
        let to = (params.dx_offset + (image * params.pixels + pixel) * params.dx_stride) / #{VECTOR}u + channel;
        if ACCUMULATE {
            dx[to] += value;
        } else {
            dx[to] = value;
        }
    }
}
