// Gradient of a convolution by its input, one number per invocation: the plain variant, for any alignment. Each input pixel
// gathers the windows that saw it.
#import gatefold::conv
#import gatefold::grid

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override ACCUMULATE: bool = false;
override CIN: u32 = 1u;
override COUT: u32 = 1u;

@group(0) @binding(0) var<uniform> params: conv::Maps;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    let pixel = item / CIN;
    let channel = item - pixel * CIN;
    if pixel >= params.pixels {
        return;
    }
    let place = conv::position(pixel, params.height, params.width);
    let top = i32(place.row) + PAD_TOP;
    let left = i32(place.column) + PAD_LEFT;
    var sum = 0.0;
    for (var tap_row = 0u; tap_row < KERNEL_H; tap_row++) {
        let down = top - i32(tap_row);
        let row = down / i32(STRIDE_H);
        for (var tap_column = 0u; tap_column < KERNEL_W; tap_column++) {
            let across = left - i32(tap_column);
            let column = across / i32(STRIDE_W);
            let hit = down >= 0 && row * i32(STRIDE_H) == down && row < i32(params.source_height)
                && across >= 0 && column * i32(STRIDE_W) == across && column < i32(params.source_width);
            if !hit {
                continue;
            }
            let source = (place.picture * params.source_height + u32(row)) * params.source_width + u32(column);
            let base = params.source_offset + source * params.source_stride;
            let w = ((tap_row * KERNEL_W + tap_column) * CIN + channel) * COUT;
            for (var k = 0u; k < COUT; k++) {
                sum += dy[base + k] * weight[w + k];
            }
        }
    }
    let to = params.offset + pixel * params.stride + channel;
    if ACCUMULATE {
        sum += dx[to];
    }
    dx[to] = sum;
}
