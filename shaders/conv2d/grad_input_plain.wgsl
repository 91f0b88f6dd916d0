// Gradient of a convolution by its input, one number per invocation: the plain variant, for any alignment. Each input pixel
// gathers the windows that saw it.
#import gatefold::grid

struct Params {
    pixels: u32,       // n * height * width of dx
    height: u32,       // of dx
    width: u32,
    out_height: u32,   // of dy
    out_width: u32,
    cin: u32,
    cout: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override ACCUMULATE: bool = false;
override CIN: u32 = 1u;
override COUT: u32 = 1u;

@group(0) @binding(0) var<uniform> params: Params;
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
    let line = pixel / params.width;
    let picture = line / params.height;
    let top = i32(line - picture * params.height) + PAD_TOP;
    let left = i32(pixel - line * params.width) + PAD_LEFT;
    var sum = 0.0;
    for (var tap_row = 0u; tap_row < KERNEL_H; tap_row++) {
        let down = top - i32(tap_row);
        let row = down / i32(STRIDE_H);
        for (var tap_column = 0u; tap_column < KERNEL_W; tap_column++) {
            let across = left - i32(tap_column);
            let column = across / i32(STRIDE_W);
            let hit = down >= 0 && row * i32(STRIDE_H) == down && row < i32(params.out_height)
                && across >= 0 && column * i32(STRIDE_W) == across && column < i32(params.out_width);
            if !hit {
                continue;
            }
            let source = (picture * params.out_height + u32(row)) * params.out_width + u32(column);
            let base = params.dy_offset + source * params.dy_stride;
            let w = ((tap_row * KERNEL_W + tap_column) * CIN + channel) * COUT;
            for (var k = 0u; k < COUT; k++) {
                sum += dy[base + k] * weight[w + k];
            }
        }
    }
    let to = params.dx_offset + pixel * params.dx_stride + channel;
    if ACCUMULATE {
        sum += dx[to];
    }
    dx[to] = sum;
}
