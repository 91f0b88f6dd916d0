// y = the mean of each window.
//
// One invocation makes 2x2 neighbouring outputs, so that windows that overlap load a pixel once. It walks the rows of all
// four windows; a row's sums serve the upper and the lower windows.
#import gatefold::grid
#import gatefold::pool

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    tiles: u32,
    height: i32,
    width: i32,
    out_height: u32,
    out_width: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

// Counts Elements.
override CHANNELS: u32 = 1u;
override TILES_Y: u32 = 1u;
override TILES_X: u32 = 1u;
override KERNEL_Y: i32 = 1;
override KERNEL_X: i32 = 1;
override STRIDE_Y: i32 = 1;
override STRIDE_X: i32 = 1;
override TOP: i32 = 0;
override LEFT: i32 = 0;
override COUNT_PADDING: bool = true;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

fn finish(n: u32, oy: u32, ox: u32, channel: u32, sum: Element) {
    if oy >= params.out_height || ox >= params.out_width {
        return;
    }
    var count = KERNEL_Y * KERNEL_X;
    if !COUNT_PADDING {
        let rows = pool::inside(i32(oy) * STRIDE_Y - TOP, KERNEL_Y, params.height);
        count = rows * pool::inside(i32(ox) * STRIDE_X - LEFT, KERNEL_X, params.width);
    }
    let pixel = (n * params.out_height + oy) * params.out_width + ox;
    y[(params.y_offset + pixel * params.y_stride) / #{VECTOR}u + channel] = sum * (1.0 / f32(count));
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.tiles * CHANNELS {
        return;
    }
    let tile = pool::square(item, CHANNELS, TILES_Y, TILES_X);
    let n = tile.picture;
    let channel = tile.channel;

    let y0 = i32(2u * tile.row) * STRIDE_Y - TOP;
    let x0 = i32(2u * tile.column) * STRIDE_X - LEFT;
    let zero = Element(0.0);
    var upper_left = zero;
    var upper_right = zero;
    var lower_left = zero;
    var lower_right = zero;
    for (var row = 0; row < STRIDE_Y + KERNEL_Y; row++) {
        let iy = y0 + row;
        if iy < 0 || iy >= params.height || (row >= KERNEL_Y && row < STRIDE_Y) {
            continue;
        }
        let line = (n * u32(params.height) + u32(iy)) * u32(params.width);
        var left = zero;
        var right = zero;
        for (var column = 0; column < STRIDE_X + KERNEL_X; column++) {
            if column >= KERNEL_X && column < STRIDE_X {
                continue;
            }
            let ix = x0 + column;
            let pixel = line + u32(clamp(ix, 0, params.width - 1));
            let loaded = x[(params.x_offset + pixel * params.x_stride) / #{VECTOR}u + channel];
            let value = select(zero, loaded, ix >= 0 && ix < params.width);
            if column < KERNEL_X {
                left += value;
            }
            if column >= STRIDE_X {
                right += value;
            }
        }
        if row < KERNEL_Y {
            upper_left += left;
            upper_right += right;
        }
        if row >= STRIDE_Y {
            lower_left += left;
            lower_right += right;
        }
    }
    finish(n, 2u * tile.row, 2u * tile.column, channel, upper_left);
    finish(n, 2u * tile.row, 2u * tile.column + 1u, channel, upper_right);
    finish(n, 2u * tile.row + 1u, 2u * tile.column, channel, lower_left);
    finish(n, 2u * tile.row + 1u, 2u * tile.column + 1u, channel, lower_right);
}
