// dx (+)= dy of those windows whose tap is this pixel.
//
// Gathered, so that no two invocations add to one number: an invocation has 2x2 pixels of the input and four channels, and
// looks at every window that touches them, in a fixed order. RECTIFIED: x came from a ReLU, whose gradient is taken as well. What it
// let through is positive, and where a maximum came from it is that maximum.
#import gatefold::grid
#import gatefold::pool

override CHANNELS: u32 = 1u;
override QUADS: u32 = 1u;
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
// Squares of 2x2 outputs: how many the forward pass had in a picture, and in a row.
override TILES_Y: u32 = 1u;
override TILES_X: u32 = 1u;
override WIDE: bool = false;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: pool::Backward;
@group(0) @binding(1) var<storage, read> argmax: array<u32>;
#if VECTOR == 4
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;
#ifdef RECTIFIED
@group(0) @binding(#{RECTIFIED}) var<storage, read> y: array<vec4<f32>>;
#endif
#else
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
#ifdef RECTIFIED
@group(0) @binding(#{RECTIFIED}) var<storage, read> y: array<f32>;
#endif
#endif

// Four channels from a word on; past the last channel, `last` words further, it is repeated.
fn fetch(word: u32, last: u32) -> vec4<f32> {
#if VECTOR == 4
    return dy[word / 4u];
#else
    return vec4<f32>(dy[word], dy[word + min(1u, last)], dy[word + min(2u, last)], dy[word + min(3u, last)]);
#endif
}

// The same of the maxima.
#ifdef RECTIFIED
fn maximum(word: u32, last: u32) -> vec4<f32> {
#if VECTOR == 4
    return y[word / 4u];
#else
    return vec4<f32>(y[word], y[word + min(1u, last)], y[word + min(2u, last)], y[word + min(3u, last)]);
#endif
}
#endif

fn fetch_argmax(place: u32) -> vec4<i32> {
    if WIDE {
        let word = 4u * place;
        return vec4<i32>(vec4<u32>(argmax[word], argmax[word + 1u], argmax[word + 2u], argmax[word + 3u]));
    }
    return vec4<i32>((vec4<u32>(argmax[place]) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u));
}

#if VECTOR == 1
fn put_one(word: u32, value: f32) {
    if ACCUMULATE {
        dx[word] += value;
    } else {
        dx[word] = value;
    }
}
#endif

fn put(n: u32, iy: i32, ix: i32, channel: u32, value: vec4<f32>) {
    if iy < 0 || iy >= params.height || ix < 0 || ix >= params.width {
        return;
    }
    let pixel = (n * u32(params.height) + u32(iy)) * u32(params.width) + u32(ix);
    let word = params.dx_offset + pixel * params.dx_stride + channel;
#if VECTOR == 4
    if ACCUMULATE {
        dx[word / 4u] += value;
    } else {
        dx[word / 4u] = value;
    }
#else
    let channels = CHANNELS - channel;
    put_one(word, value.x);
    if channels > 1u {
        put_one(word + 1u, value.y);
    }
    if channels > 2u {
        put_one(word + 2u, value.z);
    }
    if channels > 3u {
        put_one(word + 3u, value.w);
    }
#endif
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.squares * QUADS {
        return;
    }
    let square = pool::square(item, QUADS, SQUARES_Y, SQUARES_X);
    let n = square.picture;
    let quad = square.channel;
    let channel = quad * 4u;
    let last = min(CHANNELS - channel - 1u, 3u);

    let y0 = i32(2u * square.row) - SHIFT_Y;
    let x0 = i32(2u * square.column) - SHIFT_X;
    // The last windows that can touch the square. Not negative: a shift is never larger than the padding.
    let last_y = (y0 + 1 + TOP) / STRIDE_Y;
    let last_x = (x0 + 1 + LEFT) / STRIDE_X;
    let zero = vec4<f32>(0.0);
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
        let has_upper = row >= 0 && row < KERNEL_Y;
        let has_lower = row >= -1 && row + 1 < KERNEL_Y;
        for (var back_x = TOUCHING_X - 1; back_x >= 0; back_x--) {
            let ox = last_x - back_x;
            if ox < 0 || ox >= params.out_width {
                continue;
            }
            let column = x0 + LEFT - ox * STRIDE_X;
            let has_left = column >= 0 && column < KERNEL_X;
            let has_right = column >= -1 && column + 1 < KERNEL_X;
            let pixel = (n * u32(params.out_height) + u32(oy)) * u32(params.out_width) + u32(ox);
            let tile = (n * TILES_Y + u32(oy) / 2u) * TILES_X + u32(ox) / 2u;
            let of_tile = 2u * (u32(oy) % 2u) + u32(ox) % 2u;
            var gradient = fetch(params.dy_offset + pixel * params.dy_stride + channel, last);
#ifdef RECTIFIED
            gradient = select(zero, gradient, maximum(params.y_offset + pixel * params.y_stride + channel, last) > zero);
#endif
            let best = fetch_argmax(4u * (tile * QUADS + quad) + of_tile);
            // No tap is negative.
            let tap = row * KERNEL_X + column;
            let tap_upper_left = select(-1, tap, has_upper && has_left);
            let tap_upper_right = select(-1, tap + 1, has_upper && has_right);
            let tap_lower_left = select(-1, tap + KERNEL_X, has_lower && has_left);
            let tap_lower_right = select(-1, tap + KERNEL_X + 1, has_lower && has_right);
            upper_left += select(zero, gradient, best == vec4<i32>(tap_upper_left));
            upper_right += select(zero, gradient, best == vec4<i32>(tap_upper_right));
            lower_left += select(zero, gradient, best == vec4<i32>(tap_lower_left));
            lower_right += select(zero, gradient, best == vec4<i32>(tap_lower_right));
        }
    }
    put(n, y0, x0, channel, upper_left);
    put(n, y0, x0 + 1, channel, upper_right);
    put(n, y0 + 1, x0, channel, lower_left);
    put(n, y0 + 1, x0 + 1, channel, lower_right);
}
