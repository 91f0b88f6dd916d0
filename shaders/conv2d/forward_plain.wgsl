// Convolution, one output number per invocation: the plain variant, for any alignment, that the others are checked against.
#import gatefold::conv
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::normalise

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override CIN: u32 = 1u;
override COUT: u32 = 1u;

@group(0) @binding(0) var<uniform> params: conv::Maps;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#ifdef BIAS
@group(0) @binding(#{BIAS}) var<storage, read> bias: array<f32>;
#endif

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
    let place = conv::position(pixel, params.height, params.width);
    let top = i32(place.row * STRIDE_H) - PAD_TOP;
    let left = i32(place.column * STRIDE_W) - PAD_LEFT;
    var sum = 0.0;
#ifdef BIAS
    sum = bias[channel];
#endif
    for (var tap_row = 0u; tap_row < KERNEL_H; tap_row++) {
        let row = top + i32(tap_row);
        for (var tap_column = 0u; tap_column < KERNEL_W; tap_column++) {
            let column = left + i32(tap_column);
            if !conv::inside(row, column, params.source_height, params.source_width) {
                continue;
            }
            let source = (place.picture * params.source_height + u32(row)) * params.source_width + u32(column);
            let base = params.source_offset + source * params.source_stride;
            let w = (tap_row * KERNEL_W + tap_column) * CIN * COUT + channel;
            for (var k = 0u; k < CIN; k++) {
                sum += normalise::one(x[base + k], normalise::one_of(k)) * weight[w + k * COUT];
            }
        }
    }
    y[params.offset + pixel * params.stride + channel] = epilogue::end_one(sum, pixel * COUT + channel, channel);
}
