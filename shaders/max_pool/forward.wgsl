// y = the largest number of each window, and its tap: its place in the window, row by row, the first of equals.
//
// One invocation makes 2x2 neighbouring outputs of four channels: windows that overlap load a pixel once, and the argmax of
// four channels fill one word. A row's maxima serve the upper and lower windows.
#import gatefold::grid
#import gatefold::pool

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
// Whether a backward pass wants the argmax, and whether one needs a word (large windows) instead of a byte.
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
// Of each tile and four channels: a word, a byte per channel, for each output; or a vector for each output.
@group(0) @binding(3) var<storage, read_write> argmax: array<vec4<u32>>;

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
fn better(earlier: Best, later: Best) -> Best {
    let bits = bitcast<vec4<u32>>(later.value) & vec4<u32>(0x7fffffffu);
    let wins = (later.value > earlier.value) | (bits > vec4<u32>(0x7f800000u));
    return Best(select(earlier.value, later.value, wins), select(earlier.tap, later.tap, wins));
}

// The four windows.
struct Windows {
    upper_left: Best,
    upper_right: Best,
    lower_left: Best,
    lower_right: Best,
}

// Where the four windows lie. First: the first tap of a left, right, upper, lower window that is inside the input.
struct Place {
    y: i32,
    x: i32,
    first_left: i32,
    first_right: i32,
    first_upper: i32,
    first_lower: i32,
    image: u32,
    channel: u32,
    last: u32,
}

// A pixel of a row, the lowest of numbers if it is outside.
fn pixel(line: u32, ix: i32, inside: bool, p: Place) -> vec4<f32> {
    let at = line + u32(clamp(ix, 0, params.width - 1));
    let loaded = fetch(params.x_offset + at * params.x_stride + p.channel, p.last);
    return select(vec4<f32>(params.lowest), loaded, inside && ix >= 0 && ix < params.width);
}

// With the row that is so many below the first of the upper windows. A window's first row or column is taken as it is, with the
// first tap inside: if it is outside, everything inside beats it or is as low.
fn with_row(before: Windows, row: i32, p: Place) -> Windows {
    let iy = p.y + row;
    let inside = iy >= 0 && iy < params.height;
    let line = (p.image * u32(params.height) + u32(clamp(iy, 0, params.height - 1))) * u32(params.width);
    var left = Best(pixel(line, p.x, inside, p), vec4<i32>(p.first_left));
    var right = left;
    for (var column = 1; column < STRIDE_X + KERNEL_X; column++) {
        if column >= KERNEL_X && column < STRIDE_X {
            continue;
        }
        let value = pixel(line, p.x + column, inside, p);
        if column < KERNEL_X {
            left = better(left, Best(value, vec4<i32>(column)));
        }
        if column == STRIDE_X {
            right = Best(value, vec4<i32>(p.first_right));
        } else if column > STRIDE_X {
            right = better(right, Best(value, vec4<i32>(column - STRIDE_X)));
        }
    }
    var all = before;
    if row == 0 {
        all.upper_left = Best(left.value, left.tap + p.first_upper);
        all.upper_right = Best(right.value, right.tap + p.first_upper);
    } else if row < KERNEL_Y {
        let above = vec4<i32>(row * KERNEL_X);
        all.upper_left = better(all.upper_left, Best(left.value, left.tap + above));
        all.upper_right = better(all.upper_right, Best(right.value, right.tap + above));
    }
    if row == STRIDE_Y {
        all.lower_left = Best(left.value, left.tap + p.first_lower);
        all.lower_right = Best(right.value, right.tap + p.first_lower);
    } else if row > STRIDE_Y {
        let above = vec4<i32>((row - STRIDE_Y) * KERNEL_X);
        all.lower_left = better(all.lower_left, Best(left.value, left.tap + above));
        all.lower_right = better(all.lower_right, Best(right.value, right.tap + above));
    }
    return all;
}

// Whether an upper or a lower window has this row.
fn is_seen(row: i32) -> bool {
    return row < KERNEL_Y || (row >= STRIDE_Y && row < STRIDE_Y + KERNEL_Y);
}

// Stores a window's maximum.
fn finish(oy: u32, ox: u32, p: Place, best: Best) {
    if oy >= params.out_height || ox >= params.out_width {
        return;
    }
    let pixel = (p.image * params.out_height + oy) * params.out_width + ox;
    put(params.y_offset + pixel * params.y_stride + p.channel, p.last, best.value);
}

fn bytes(tap: vec4<i32>) -> u32 {
    return u32(tap.x | (tap.y << 8u) | (tap.z << 16u) | (tap.w << 24u));
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
    let tile = pool::square(item, QUADS, TILES_Y, TILES_X);
    let channel = tile.channel * 4u;

    let y0 = i32(2u * tile.row) * STRIDE_Y - TOP;
    let x0 = i32(2u * tile.column) * STRIDE_X - LEFT;
    let p = Place(
        y0,
        x0,
        max(-x0, 0),
        max(-x0 - STRIDE_X, 0),
        max(-y0, 0) * KERNEL_X,
        max(-y0 - STRIDE_Y, 0) * KERNEL_X,
        tile.picture,
        channel,
        min(CHANNELS - channel - 1u, 3u),
    );
    var all: Windows;
    // What comes of a row depends on its number: known to the compiler, that leaves no tests. So small windows are unrolled.
    if STRIDE_Y + KERNEL_Y <= 5 {
        all = with_row(all, 0, p);
        if is_seen(1) {
            all = with_row(all, 1, p);
        }
        if is_seen(2) {
            all = with_row(all, 2, p);
        }
        if is_seen(3) {
            all = with_row(all, 3, p);
        }
        if is_seen(4) {
            all = with_row(all, 4, p);
        }
    } else {
        for (var row = 0; row < STRIDE_Y + KERNEL_Y; row++) {
            if is_seen(row) {
                all = with_row(all, row, p);
            }
        }
    }
    finish(2u * tile.row, 2u * tile.column, p, all.upper_left);
    finish(2u * tile.row, 2u * tile.column + 1u, p, all.upper_right);
    finish(2u * tile.row + 1u, 2u * tile.column, p, all.lower_left);
    finish(2u * tile.row + 1u, 2u * tile.column + 1u, p, all.lower_right);
    if STORE && WIDE {
        argmax[4u * item] = vec4<u32>(all.upper_left.tap);
        argmax[4u * item + 1u] = vec4<u32>(all.upper_right.tap);
        argmax[4u * item + 2u] = vec4<u32>(all.lower_left.tap);
        argmax[4u * item + 3u] = vec4<u32>(all.lower_right.tap);
    } else if STORE {
        argmax[item] = vec4<u32>(
            bytes(all.upper_left.tap),
            bytes(all.upper_right.tap),
            bytes(all.lower_left.tap),
            bytes(all.lower_right.tap),
        );
    }
}
