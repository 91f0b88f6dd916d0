// y = (x - mean) * inverse deviation * gamma + beta. The mean is taken off first: folded into beta, a large common offset
// would cost the digits that matter.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    pixels: u32,
    runs: u32,
    eps: f32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

// Counts Elements.
override CHANNELS: u32 = 1u;
// Whether `spread` is the variance (running statistics) or the inverse deviation.
override VARIANCE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> mean: array<Element>;
@group(0) @binding(3) var<storage, read> spread: array<Element>;
@group(0) @binding(4) var<storage, read> gamma: array<Element>;
@group(0) @binding(5) var<storage, read> beta: array<Element>;
@group(0) @binding(6) var<storage, read_write> y: array<Element>;

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
    var inverse = spread[channel];
    if VARIANCE {
        inverse = 1.0 / sqrt(inverse + params.eps);
    }
    let centre = mean[channel];
    let scale = inverse * gamma[channel];
    let shift = beta[channel];
    // Several pixels per invocation: the loads above are shared. Every `runs`-th, so that neighbours stay neighbours.
    for (var pixel = item / CHANNELS; pixel < params.pixels; pixel += params.runs) {
        let value = x[(params.x_offset + pixel * params.x_stride) / #{VECTOR}u + channel];
        y[(params.y_offset + pixel * params.y_stride) / #{VECTOR}u + channel] = (value - centre) * scale + shift;
    }
}
