// Gradient of a convolution by its input, kept in registers: an invocation computes 8 pixels x 8 channels of dx. Each pixel
// gathers the windows that saw it, so no two invocations write the same number.
//
// Pixels whose rows and columns leave the same rests when divided by the stride are seen under the same taps: they make a class,
// tiles keep to one class, and no other taps are tried.
//
// Rows of the product are input pixels, columns input channels, and the sum runs over taps and output channels.
#import gatefold::conv
#import gatefold::grid

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: conv::Maps;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

// An input pixel: its row and column in padded coordinates, the first pixel of its picture in dy, and its number in dx, or -1 if
// this class has no such pixel.
struct Place {
    row: i32,
    column: i32,
    picture: i32,
    pixel: i32,
}

// The pixels of a class are numbered by picture, row and column; all classes are as large as the largest.
fn place(number: u32, class_row: u32, class_column: u32) -> Place {
    let class_width = (params.width + STRIDE_W - 1u) / STRIDE_W;
    let class_height = (params.height + STRIDE_H - 1u) / STRIDE_H;
    let p = conv::position(number, class_height, class_width);
    let row = p.row * STRIDE_H + class_row;
    let column = p.column * STRIDE_W + class_column;
    let pixel = (p.picture * params.height + row) * params.width + column;
    let exists = row < params.height && column < params.width && pixel < params.pixels;
    return Place(
        i32(row) + PAD_TOP,
        i32(column) + PAD_LEFT,
        i32(min(p.picture, params.pixels / (params.height * params.width) - 1u) * params.source_height),
        select(-1, i32(pixel), exists),
    );
}

// Index of the first vec4 of the output pixel whose window has the input pixel under this tap, or -1 if there is none.
fn source(p: Place, tap_row: u32, tap_column: u32) -> i32 {
    let down = p.row - i32(tap_row);
    let across = p.column - i32(tap_column);
    let row = down / i32(STRIDE_H);
    let column = across / i32(STRIDE_W);
    let index = conv::source_index(params, p.picture + row, column);
    let hit = p.pixel >= 0 && down >= 0 && row < i32(params.source_height) && across >= 0 && column < i32(params.source_width);
    return select(-1, index, hit);
}

fn quad(base: i32, channel4: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), dy[u32(max(base, 0)) + channel4], base >= 0);
}

fn store(pixel: i32, column4: u32, left: vec4<f32>, right: vec4<f32>) {
    if pixel < 0 {
        return;
    }
    let to = (params.offset + u32(pixel) * params.stride) / 4u + column4;
    if ACCUMULATE {
        dx[to] += left;
    } else {
        dx[to] = left;
    }
    if column4 + 1u < params.cin / 4u {
        if ACCUMULATE {
            dx[to + 1u] += right;
        } else {
            dx[to + 1u] = right;
        }
    }
}

@compute @workgroup_size(#{LANES})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cin4 = params.cin / 4u;
    let cout4 = params.cout / 4u;
    let tile = grid::linear_group(group, groups) * #{LANES}u + lane;
    let column_tiles = (cin4 + 1u) / 2u;
    let row_tile = tile / column_tiles;
    let column4 = (tile - row_tile * column_tiles) * 2u;
    let class_pixels = params.pixels / (params.height * params.width)
        * ((params.height + STRIDE_H - 1u) / STRIDE_H) * ((params.width + STRIDE_W - 1u) / STRIDE_W);
    let class_tiles = (class_pixels + 7u) / 8u;
    let class_number = row_tile / class_tiles;
    let class_row = class_number / STRIDE_W;
    let class_column = class_number - class_row * STRIDE_W;
    let first = (row_tile - class_number * class_tiles) * 8u;
    if class_row >= STRIDE_H {
        return;
    }
    // The last tile's second half may not exist: it then computes the first half again and is not stored.
    let next4 = min(column4 + 1u, cin4 - 1u);

    let p0 = place(first, class_row, class_column);
    let p1 = place(first + 1u, class_row, class_column);
    let p2 = place(first + 2u, class_row, class_column);
    let p3 = place(first + 3u, class_row, class_column);
    let p4 = place(first + 4u, class_row, class_column);
    let p5 = place(first + 5u, class_row, class_column);
    let p6 = place(first + 6u, class_row, class_column);
    let p7 = place(first + 7u, class_row, class_column);

    var l0 = vec4<f32>(0.0); var l1 = vec4<f32>(0.0); var l2 = vec4<f32>(0.0); var l3 = vec4<f32>(0.0);
    var l4 = vec4<f32>(0.0); var l5 = vec4<f32>(0.0); var l6 = vec4<f32>(0.0); var l7 = vec4<f32>(0.0);
    var r0 = vec4<f32>(0.0); var r1 = vec4<f32>(0.0); var r2 = vec4<f32>(0.0); var r3 = vec4<f32>(0.0);
    var r4 = vec4<f32>(0.0); var r5 = vec4<f32>(0.0); var r6 = vec4<f32>(0.0); var r7 = vec4<f32>(0.0);

    let first_tap_row = (class_row + u32(PAD_TOP)) % STRIDE_H;
    let first_tap_column = (class_column + u32(PAD_LEFT)) % STRIDE_W;
    for (var tap_row = first_tap_row; tap_row < KERNEL_H; tap_row += STRIDE_H) {
        for (var tap_column = first_tap_column; tap_column < KERNEL_W; tap_column += STRIDE_W) {
            let s0 = source(p0, tap_row, tap_column);
            let s1 = source(p1, tap_row, tap_column);
            let s2 = source(p2, tap_row, tap_column);
            let s3 = source(p3, tap_row, tap_column);
            let s4 = source(p4, tap_row, tap_column);
            let s5 = source(p5, tap_row, tap_column);
            let s6 = source(p6, tap_row, tap_column);
            let s7 = source(p7, tap_row, tap_column);
            // Columns of these matrices are input channels, so a row vector times one is four dot products.
            let tap = (tap_row * KERNEL_W + tap_column) * cin4 * 4u;
            let wl = (tap + column4 * 4u) * cout4;
            let wr = (tap + next4 * 4u) * cout4;
            for (var k = 0u; k < cout4; k++) {
                let il = wl + k;
                let ir = wr + k;
                let bl = mat4x4<f32>(weight[il], weight[il + cout4], weight[il + 2u * cout4], weight[il + 3u * cout4]);
                let br = mat4x4<f32>(weight[ir], weight[ir + cout4], weight[ir + 2u * cout4], weight[ir + 3u * cout4]);
                let a0 = quad(s0, k);
                l0 += a0 * bl;
                r0 += a0 * br;
                let a1 = quad(s1, k);
                l1 += a1 * bl;
                r1 += a1 * br;
                let a2 = quad(s2, k);
                l2 += a2 * bl;
                r2 += a2 * br;
                let a3 = quad(s3, k);
                l3 += a3 * bl;
                r3 += a3 * br;
                let a4 = quad(s4, k);
                l4 += a4 * bl;
                r4 += a4 * br;
                let a5 = quad(s5, k);
                l5 += a5 * bl;
                r5 += a5 * br;
                let a6 = quad(s6, k);
                l6 += a6 * bl;
                r6 += a6 * br;
                let a7 = quad(s7, k);
                l7 += a7 * bl;
                r7 += a7 * br;
            }
        }
    }
    store(p0.pixel, column4, l0, r0);
    store(p1.pixel, column4, l1, r1);
    store(p2.pixel, column4, l2, r2);
    store(p3.pixel, column4, l3, r3);
    store(p4.pixel, column4, l4, r4);
    store(p5.pixel, column4, l5, r5);
    store(p6.pixel, column4, l6, r6);
    store(p7.pixel, column4, l7, r7);
}
