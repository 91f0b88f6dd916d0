// y = (x - mean) * scale + beta, rectified if wanted; scale is gamma over the standard deviation. The mean is taken off first: folded into
// beta, a large common offset would cost the digits that matter.
#import gatefold::epilogue
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
    y_offset: u32,
    y_stride: u32,
}

override RELU: bool = false;
override RUN: u32 = 1u;
override WHOLE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> mean: array<Element>;
@group(0) @binding(3) var<storage, read> scale: array<Element>;
@group(0) @binding(4) var<storage, read> beta: array<Element>;
@group(0) @binding(5) var<storage, read_write> y: array<Element>;

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
    for (var turn = 0u; turn < RUN; turn++) {
        let pixel = run.start + turn * params.map.runs;
        if !WHOLE && pixel >= params.map.pixels {
            break;
        }
        let xmu = x[(params.x_offset + pixel * params.x_stride) / #{VECTOR}u + channel] - centre;
        var value = xmu * factor + shift;
        if RELU {
            value = max(value, Element(0.0));
        }
#if VECTOR == 4
        value = epilogue::end_four(value, pixel * run.channels + channel, channel);
#else
        value = epilogue::end_one(value, pixel * run.channels + channel, channel);
#endif
        y[(params.y_offset + pixel * params.y_stride) / #{VECTOR}u + channel] = value;
    }
}
