// dx (+)= scale * (dy - level - (x - mean) * slope): the gradient through the batch's own statistics, with level the mean of
// dy and slope the mean of dy * (x - mean) times the inverse variance (Ioffe and Szegedy, 2015). Where the result was
// rectified, dy counts where the ReLU let it through.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    channels: u32,
    channel_share: f32,  // 1 / channels
    pixels: u32,
    runs: u32,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

override ACCUMULATE: bool = false;
override RELU: bool = false;
override RUN: u32 = 1u;
override WHOLE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read> mean: array<Element>;
@group(0) @binding(4) var<storage, read> scale: array<Element>;
@group(0) @binding(5) var<storage, read> beta: array<Element>;
@group(0) @binding(6) var<storage, read> level: array<Element>;
@group(0) @binding(7) var<storage, read> slope: array<Element>;
@group(0) @binding(8) var<storage, read_write> dx: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    // Counted in Elements.
    let channels = params.channels / #{VECTOR}u;
    let start = grid::quotient(item, channels, params.channel_share * #{VECTOR}.0);
    if start >= params.runs {
        return;
    }
    let channel = item - start * channels;
    let centre = mean[channel];
    let steepness = scale[channel];
    let shift = beta[channel];
    let flat = level[channel];
    let steep = slope[channel];
    // Several pixels per invocation: the loads above are shared. Every `runs`-th, so that neighbours stay neighbours.
    for (var turn = 0u; turn < RUN; turn++) {
        let pixel = start + turn * params.runs;
        if !WHOLE && pixel >= params.pixels {
            break;
        }
        let deviation = x[(params.x_offset + pixel * params.x_stride) / #{VECTOR}u + channel] - centre;
        var gradient = dy[(params.dy_offset + pixel * params.dy_stride) / #{VECTOR}u + channel];
        if RELU {
            gradient = select(Element(0.0), gradient, deviation * steepness + shift > Element(0.0));
        }
        var value = steepness * (gradient - flat - deviation * steep);
        let to = (params.dx_offset + pixel * params.dx_stride) / #{VECTOR}u + channel;
        if ACCUMULATE {
            value += dx[to];
        }
        dx[to] = value;
    }
}
