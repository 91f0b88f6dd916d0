// Gradient of a convolution by its input, kept in registers: an invocation computes 8 pixels x 8 channels of dx. Each pixel
// gathers the windows that saw it, so no two invocations write the same number.
//
// Rows of the product are input pixels, columns input channels, and the sum runs over taps and output channels.
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
override PADDED: bool = false;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

// An input pixel in padded coordinates, and the first pixel of its picture in dy.
struct Place {
    row: i32,
    column: i32,
    picture: i32,
}

fn place(pixel: u32) -> Place {
    let p = min(pixel, params.pixels - 1u);
    let line = p / params.width;
    let picture = line / params.height;
    return Place(
        i32(line - picture * params.height) + PAD_TOP,
        i32(p - line * params.width) + PAD_LEFT,
        i32(picture * params.out_height),
    );
}

// Index of the first vec4 of the output pixel whose window has the input pixel under this tap, or -1 if there is none.
fn source(p: Place, tap_row: u32, tap_column: u32) -> i32 {
    let down = p.row - i32(tap_row);
    let across = p.column - i32(tap_column);
    let row = down / i32(STRIDE_H);
    let column = across / i32(STRIDE_W);
    let index = ((p.picture + row) * i32(params.out_width) + column) * i32(params.dy_stride / 4u) + i32(params.dy_offset / 4u);
    if PADDED {
        let hit = down >= 0 && row * i32(STRIDE_H) == down && row < i32(params.out_height)
            && across >= 0 && column * i32(STRIDE_W) == across && column < i32(params.out_width);
        return select(-1, index, hit);
    }
    return index;
}

fn quad(base: i32, channel4: u32) -> vec4<f32> {
    if PADDED {
        return select(vec4<f32>(0.0), dy[u32(max(base, 0)) + channel4], base >= 0);
    }
    return dy[u32(base) + channel4];
}

fn store(pixel: u32, column4: u32, left: vec4<f32>, right: vec4<f32>) {
    if pixel >= params.pixels {
        return;
    }
    let to = (params.dx_offset + pixel * params.dx_stride) / 4u + column4;
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
    let pixel = row_tile * 8u;
    if pixel >= params.pixels {
        return;
    }
    // The last tile's second half may not exist: it then computes the first half again and is not stored.
    let next4 = min(column4 + 1u, cin4 - 1u);

    let p0 = place(pixel);
    let p1 = place(pixel + 1u);
    let p2 = place(pixel + 2u);
    let p3 = place(pixel + 3u);
    let p4 = place(pixel + 4u);
    let p5 = place(pixel + 5u);
    let p6 = place(pixel + 6u);
    let p7 = place(pixel + 7u);

    var l0 = vec4<f32>(0.0); var l1 = vec4<f32>(0.0); var l2 = vec4<f32>(0.0); var l3 = vec4<f32>(0.0);
    var l4 = vec4<f32>(0.0); var l5 = vec4<f32>(0.0); var l6 = vec4<f32>(0.0); var l7 = vec4<f32>(0.0);
    var r0 = vec4<f32>(0.0); var r1 = vec4<f32>(0.0); var r2 = vec4<f32>(0.0); var r3 = vec4<f32>(0.0);
    var r4 = vec4<f32>(0.0); var r5 = vec4<f32>(0.0); var r6 = vec4<f32>(0.0); var r7 = vec4<f32>(0.0);

    for (var tap_row = 0u; tap_row < KERNEL_H; tap_row++) {
        for (var tap_column = 0u; tap_column < KERNEL_W; tap_column++) {
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
    store(pixel, column4, l0, r0);
    store(pixel + 1u, column4, l1, r1);
    store(pixel + 2u, column4, l2, r2);
    store(pixel + 3u, column4, l3, r3);
    store(pixel + 4u, column4, l4, r4);
    store(pixel + 5u, column4, l5, r5);
    store(pixel + 6u, column4, l6, r6);
    store(pixel + 7u, column4, l7, r7);
}
