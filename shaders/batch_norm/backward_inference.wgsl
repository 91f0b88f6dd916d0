// dx (+)= scale * dy, where the result was rectified only where the ReLU let dy through: running statistics are constants.
#import gatefold::grid
#import gatefold::runs

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

override ACCUMULATE: bool = false;
override RELU: bool = false;
override RUN: u32 = 1u;
override WHOLE: bool = false;

@group(0) @binding(0) var<uniform> params: runs::Backward;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read> mean: array<Element>;
@group(0) @binding(4) var<storage, read> scale: array<Element>;
@group(0) @binding(5) var<storage, read> beta: array<Element>;
@group(0) @binding(6) var<storage, read_write> dx: array<Element>;

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
        var value = dy[(params.dy_offset + pixel * params.dy_stride) / #{VECTOR}u + channel] * factor;
        if RELU {
            let xmu = x[(params.x_offset + pixel * params.x_stride) / #{VECTOR}u + channel] - centre;
            value = select(Element(0.0), value, xmu * factor + shift > Element(0.0));
        }
        let to = (params.dx_offset + pixel * params.dx_stride) / #{VECTOR}u + channel;
        if ACCUMULATE {
            value += dx[to];
        }
        dx[to] = value;
    }
}
