// y = the largest number of each window, and its tap: its place in the window, row by row, the first of equals.
//
// One invocation makes 2x2 neighbouring outputs of four channels: windows that overlap load a pixel once, and the taps of
// four channels fill one word. It walks the rows of all four windows; a row's maxima serve the upper and lower windows.
#import gatefold::grid

struct Params {
    tiles: u32,
    height: i32,
    width: i32,
    out_height: u32,
    out_width: u32,
    // Minus infinity, which WGSL cannot write as a constant.
    lowest: f32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

override CHANNELS: u32 = 1u;
// Groups of four channels, the last of which may be incomplete.
override QUADS: u32 = 1u;
override TILES_Y: u32 = 1u;
override TILES_X: u32 = 1u;
override KERNEL_Y: i32 = 1;
override KERNEL_X: i32 = 1;
override STRIDE_Y: i32 = 1;
override STRIDE_X: i32 = 1;
override TOP: i32 = 0;
override LEFT: i32 = 0;
// Whether a backward pass wants the taps, and whether one needs a word (large windows) instead of a byte.
override STORE: bool = true;
override WIDE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
#if VECTOR == 4
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
#else
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
#endif
@group(0) @binding(3) var<storage, read_write> taps: array<u32>;

// Four channels from a word on; past the last channel, `last` words further, it is repeated.
fn fetch(word: u32, last: u32) -> vec4<f32> {
#if VECTOR == 4
    return x[word / 4u];
#else
    return vec4<f32>(x[word], x[word + min(1u, last)], x[word + min(2u, last)], x[word + min(3u, last)]);
#endif
}

fn put(word: u32, last: u32, value: vec4<f32>) {
#if VECTOR == 4
    y[word / 4u] = value;
#else
    y[word] = value.x;
    if last >= 1u {
        y[word + 1u] = value.y;
    }
    if last >= 2u {
        y[word + 2u] = value.z;
    }
    if last >= 3u {
        y[word + 3u] = value.w;
    }
#endif
}

struct Best {
    value: vec4<f32>,
    tap: vec4<i32>,
}

// The later one wins if it is larger, or no number: one NaN makes the whole window NaN. Tested on the bits, because
// compilers may assume that there is none.
fn better(earlier: Best, value: vec4<f32>, tap: vec4<i32>) -> Best {
    let bits = bitcast<vec4<u32>>(value) & vec4<u32>(0x7fffffffu);
    let wins = (value > earlier.value) | (bits > vec4<u32>(0x7f800000u));
    return Best(select(earlier.value, value, wins), select(earlier.tap, tap, wins));
}

fn finish(n: u32, oy: u32, ox: u32, quad: u32, best: Best) {
    if oy >= params.out_height || ox >= params.out_width {
        return;
    }
    let pixel = (n * params.out_height + oy) * params.out_width + ox;
    let channel = quad * 4u;
    put(params.y_offset + pixel * params.y_stride + channel, min(CHANNELS - channel - 1u, 3u), best.value);
    if STORE {
        let place = pixel * QUADS + quad;
        let tap = vec4<u32>(best.tap);
        if WIDE {
            taps[4u * place] = tap.x;
            taps[4u * place + 1u] = tap.y;
            taps[4u * place + 2u] = tap.z;
            taps[4u * place + 3u] = tap.w;
        } else {
            taps[place] = tap.x | (tap.y << 8u) | (tap.z << 16u) | (tap.w << 24u);
        }
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.tiles * QUADS {
        return;
    }
    let quad = item % QUADS;
    let tile = item / QUADS;
    let tile_x = tile % TILES_X;
    let tile_row = tile / TILES_X;
    let tile_y = tile_row % TILES_Y;
    let n = tile_row / TILES_Y;
    let channel = quad * 4u;
    let last = min(CHANNELS - channel - 1u, 3u);

    // The upper left window's first pixel; its first one inside the input; the same of the lower and right windows.
    let y0 = i32(2u * tile_y) * STRIDE_Y - TOP;
    let x0 = i32(2u * tile_x) * STRIDE_X - LEFT;
    let first_left = max(-x0, 0);
    let first_right = max(-x0 - STRIDE_X, 0);
    let first_upper = max(-y0, 0) * KERNEL_X;
    let first_lower = max(-y0 - STRIDE_Y, 0) * KERNEL_X;
    let lowest = vec4<f32>(params.lowest);
    var upper_left = Best(lowest, vec4<i32>(first_upper + first_left));
    var upper_right = Best(lowest, vec4<i32>(first_upper + first_right));
    var lower_left = Best(lowest, vec4<i32>(first_lower + first_left));
    var lower_right = Best(lowest, vec4<i32>(first_lower + first_right));
    for (var row = 0; row < STRIDE_Y + KERNEL_Y; row++) {
        let iy = y0 + row;
        if iy < 0 || iy >= params.height || (row >= KERNEL_Y && row < STRIDE_Y) {
            continue;
        }
        let line = (n * u32(params.height) + u32(iy)) * u32(params.width);
        var left = Best(lowest, vec4<i32>(first_left));
        var right = Best(lowest, vec4<i32>(first_right));
        for (var column = 0; column < STRIDE_X + KERNEL_X; column++) {
            if column >= KERNEL_X && column < STRIDE_X {
                continue;
            }
            let ix = x0 + column;
            let inside = ix >= 0 && ix < params.width;
            let pixel = line + u32(clamp(ix, 0, params.width - 1));
            let loaded = fetch(params.x_offset + pixel * params.x_stride + channel, last);
            let value = select(lowest, loaded, inside);
            if column < KERNEL_X {
                left = better(left, value, vec4<i32>(column));
            }
            if column >= STRIDE_X {
                right = better(right, value, vec4<i32>(column - STRIDE_X));
            }
        }
        if row < KERNEL_Y {
            let above = vec4<i32>(row * KERNEL_X);
            upper_left = better(upper_left, left.value, left.tap + above);
            upper_right = better(upper_right, right.value, right.tap + above);
        }
        if row >= STRIDE_Y {
            let above = vec4<i32>((row - STRIDE_Y) * KERNEL_X);
            lower_left = better(lower_left, left.value, left.tap + above);
            lower_right = better(lower_right, right.value, right.tap + above);
        }
    }
    finish(n, 2u * tile_y, 2u * tile_x, quad, upper_left);
    finish(n, 2u * tile_y, 2u * tile_x + 1u, quad, upper_right);
    finish(n, 2u * tile_y + 1u, 2u * tile_x, quad, lower_left);
    finish(n, 2u * tile_y + 1u, 2u * tile_x + 1u, quad, lower_right);
}
