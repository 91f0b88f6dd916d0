// Sums of dy and of dy * (x - mean) over every `runs`-th pixel, per channel. Where the result was rectified, only over those
// that the ReLU let through.
#import gatefold::grid
#import gatefold::runs

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    map: runs::Map,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
}

override RELU: bool = false;
override RUN: u32 = 1u;
override WHOLE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read> mean: array<Element>;
@group(0) @binding(4) var<storage, read> scale: array<Element>;
@group(0) @binding(5) var<storage, read> beta: array<Element>;
// For each run the sums of dy for all channels, then those of dy * (x - mean).
@group(0) @binding(6) var<storage, read_write> sums: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let run = runs::run(grid::linear_item(group, groups, lane), params.map);
    if run.start >= params.map.runs {
        return;
    }
    let channel = run.channel;
    let centre = mean[channel];
    let factor = scale[channel];
    let shift = beta[channel];
    var sum = Element(0.0);
    var product = Element(0.0);
    for (var turn = 0u; turn < RUN; turn++) {
        let pixel = run.start + turn * params.map.runs;
        if !WHOLE && pixel >= params.map.pixels {
            break;
        }
        var gradient = dy[(params.dy_offset + pixel * params.dy_stride) / #{VECTOR}u + channel];
        let xmu = x[(params.x_offset + pixel * params.x_stride) / #{VECTOR}u + channel] - centre;
        if RELU {
            gradient = select(Element(0.0), gradient, xmu * factor + shift > Element(0.0));
        }
        sum += gradient;
        product += gradient * xmu;
    }
    let to = run.start * (2u * run.channels) + channel;
    sums[to] = sum;
    sums[to + run.channels] = product;
}
