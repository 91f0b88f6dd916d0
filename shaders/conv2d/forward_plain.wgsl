// Convolution, one output number per invocation: the plain variant, for any alignment, that the others are checked against.
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::normalise

struct Params {
    pixels: u32,       // n * output height * output width
    height: u32,       // of x
    width: u32,
    out_height: u32,
    out_width: u32,
    cin: u32,
    cout: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override BIAS: bool = false;
override CIN: u32 = 1u;
override COUT: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
#ifdef NORMALISE
@group(0) @binding(3) var<storage, read> mean: array<f32>;
@group(0) @binding(4) var<storage, read> scale: array<f32>;
@group(0) @binding(5) var<storage, read> shift: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
#else
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
#endif

fn norm_of(channel: u32) -> normalise::One {
#ifdef NORMALISE
    return normalise::One(mean[channel], scale[channel], shift[channel]);
#else
    return normalise::One(0u);
#endif
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    let pixel = item / COUT;
    let channel = item - pixel * COUT;
    if pixel >= params.pixels {
        return;
    }
    let line = pixel / params.out_width;
    let picture = line / params.out_height;
    let top = i32((line - picture * params.out_height) * STRIDE_H) - PAD_TOP;
    let left = i32((pixel - line * params.out_width) * STRIDE_W) - PAD_LEFT;
    var sum = 0.0;
#ifndef NORMALISE
    if BIAS {
        sum = bias[channel];
    }
#endif
    for (var tap_row = 0u; tap_row < KERNEL_H; tap_row++) {
        let row = top + i32(tap_row);
        for (var tap_column = 0u; tap_column < KERNEL_W; tap_column++) {
            let column = left + i32(tap_column);
            if row < 0 || row >= i32(params.height) || column < 0 || column >= i32(params.width) {
                continue;
            }
            let source = (picture * params.height + u32(row)) * params.width + u32(column);
            let base = params.x_offset + source * params.x_stride;
            let w = (tap_row * KERNEL_W + tap_column) * CIN * COUT + channel;
            for (var k = 0u; k < CIN; k++) {
                sum += normalise::one(x[base + k], norm_of(k)) * weight[w + k * COUT];
            }
        }
    }
    y[params.y_offset + pixel * params.y_stride + channel] = epilogue::end_one(sum, pixel * COUT + channel, channel);
}
