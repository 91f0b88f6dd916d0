// dx (+)= dy of the windows that hold the pixel, each divided by what its sum was divided by.
//
// Gathered, so that no two invocations add to one number: an invocation has 2x2 pixels of the input and looks at every
// window that touches them, in a fixed order.
#import gatefold::grid
#import gatefold::pool

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

// Counts Elements.
override CHANNELS: u32 = 1u;
// Squares of 2x2 pixels: how many, how far before the input the first starts, how many windows can touch one.
override SQUARES_Y: u32 = 1u;
override SQUARES_X: u32 = 1u;
override SHIFT_Y: i32 = 0;
override SHIFT_X: i32 = 0;
override TOUCHING_Y: i32 = 1;
override TOUCHING_X: i32 = 1;
override KERNEL_Y: i32 = 1;
override KERNEL_X: i32 = 1;
override STRIDE_Y: i32 = 1;
override STRIDE_X: i32 = 1;
override TOP: i32 = 0;
override LEFT: i32 = 0;
override COUNT_PADDING: bool = true;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: pool::Backward;
@group(0) @binding(1) var<storage, read> dy: array<Element>;
@group(0) @binding(2) var<storage, read_write> dx: array<Element>;

fn put(n: u32, iy: i32, ix: i32, channel: u32, value: Element) {
    if iy < 0 || iy >= params.height || ix < 0 || ix >= params.width {
        return;
    }
    let pixel = (n * u32(params.height) + u32(iy)) * u32(params.width) + u32(ix);
    let to = (params.dx_offset + pixel * params.dx_stride) / #{VECTOR}u + channel;
    if ACCUMULATE {
        dx[to] += value;
    } else {
        dx[to] = value;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.squares * CHANNELS {
        return;
    }
    let square = pool::square(item, CHANNELS, SQUARES_Y, SQUARES_X);
    let n = square.picture;
    let channel = square.channel;

    let y0 = i32(2u * square.row) - SHIFT_Y;
    let x0 = i32(2u * square.column) - SHIFT_X;
    // The last windows that can touch the square. Not negative: a shift is never larger than the padding.
    let last_y = (y0 + 1 + TOP) / STRIDE_Y;
    let last_x = (x0 + 1 + LEFT) / STRIDE_X;
    let zero = Element(0.0);
    var upper_left = zero;
    var upper_right = zero;
    var lower_left = zero;
    var lower_right = zero;
    for (var back_y = TOUCHING_Y - 1; back_y >= 0; back_y--) {
        let oy = last_y - back_y;
        if oy < 0 || oy >= params.out_height {
            continue;
        }
        // The square's upper row, counted from the window's first.
        let row = y0 + TOP - oy * STRIDE_Y;
        let rows = pool::inside(oy * STRIDE_Y - TOP, KERNEL_Y, params.height);
        var left = zero;
        var right = zero;
        for (var back_x = TOUCHING_X - 1; back_x >= 0; back_x--) {
            let ox = last_x - back_x;
            if ox < 0 || ox >= params.out_width {
                continue;
            }
            let column = x0 + LEFT - ox * STRIDE_X;
            var count = KERNEL_Y * KERNEL_X;
            if !COUNT_PADDING {
                count = rows * pool::inside(ox * STRIDE_X - LEFT, KERNEL_X, params.width);
            }
            let pixel = (n * u32(params.out_height) + u32(oy)) * u32(params.out_width) + u32(ox);
            let part = dy[(params.dy_offset + pixel * params.dy_stride) / #{VECTOR}u + channel] * (1.0 / f32(count));
            left += select(zero, part, column >= 0 && column < KERNEL_X);
            right += select(zero, part, column >= -1 && column + 1 < KERNEL_X);
        }
        let has_upper = row >= 0 && row < KERNEL_Y;
        let has_lower = row >= -1 && row + 1 < KERNEL_Y;
        upper_left += select(zero, left, has_upper);
        upper_right += select(zero, right, has_upper);
        lower_left += select(zero, left, has_lower);
        lower_right += select(zero, right, has_lower);
    }
    put(n, y0, x0, channel, upper_left);
    put(n, y0, x0 + 1, channel, upper_right);
    put(n, y0 + 1, x0, channel, lower_left);
    put(n, y0 + 1, x0 + 1, channel, lower_right);
}
