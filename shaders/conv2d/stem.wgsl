// A convolution of seven columns of taps that steps by two columns, as first layers do. An invocation computes 16 neighbouring
// pixels x 8 channels and reads each source pixel once for all taps of a row. No workgroup memory: software adapters pay dearly
// for barriers.
//
// Under eight pixels, the taps 1, 3 and 5 see the odd columns of the source just as a row of three taps sees ten neighbours, and so
// do the taps 0, 2 and 4 the even columns. Tap 6 sees the even columns from the fourth to the eleventh.
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::line

struct Params {
    pixels: u32,       // n * output height * output width
    height: u32,       // of x
    width: u32,
    out_height: u32,
    out_width: u32,
    cin: u32,
    cout: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

override KERNEL_H: u32 = 1u;
override STRIDE_H: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override BIAS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

fn matrix(tap: u32, k: u32, column4: u32) -> mat4x4<f32> {
    let step = params.cout / 4u;
    let i = (tap * params.cin + k * 4u) * step + column4;
    return mat4x4<f32>(weight[i], weight[i + step], weight[i + 2u * step], weight[i + 3u * step]);
}

// A row of seven taps.
struct Row {
    even: line::Taps,
    odd: line::Taps,
    last: mat4x4<f32>,
}

fn row_of(tap_row: u32, k: u32, column4: u32) -> Row {
    let tap = tap_row * 7u;
    return Row(
        line::Taps(matrix(tap, k, column4), matrix(tap + 2u, k, column4), matrix(tap + 4u, k, column4)),
        line::Taps(matrix(tap + 1u, k, column4), matrix(tap + 3u, k, column4), matrix(tap + 5u, k, column4)),
        matrix(tap + 6u, k, column4),
    );
}

fn quad(spot: i32, k: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), x[u32(max(spot, 0)) + k], spot >= 0);
}

fn reach(s: line::Spots, k: u32) -> line::Reach {
    return line::Reach(
        quad(s.a, k), quad(s.b, k), quad(s.c, k), quad(s.d, k), quad(s.e, k),
        quad(s.f, k), quad(s.g, k), quad(s.h, k), quad(s.i, k), quad(s.j, k),
    );
}

fn add(sum: line::Line, w: Row, even: line::Reach, odd: line::Reach, last: vec4<f32>) -> line::Line {
    let six = line::under_fourth(even, last);
    return line::add(line::add_taps(line::add_taps(sum, w.even, even), w.odd, odd), w.last, six);
}

fn store(pixel: u32, inside: bool, column4: u32, left: vec4<f32>, right: vec4<f32>) {
    if !inside {
        return;
    }
    let i = (params.y_offset + pixel * params.y_stride) / 4u + column4;
    let cout4 = params.cout / 4u;
    let at = pixel * cout4 + column4;
    y[i] = epilogue::end_four(left, at, column4);
    if column4 + 1u < cout4 {
        y[i + 1u] = epilogue::end_four(right, at + 1u, column4 + 1u);
    }
}

fn store_line(row: u32, column: u32, column4: u32, left: line::Line, right: line::Line) {
    let pixel = row * params.out_width + column;
    let rest = i32(params.out_width) - i32(column);
    store(pixel, rest > 0, column4, left.a, right.a);
    store(pixel + 1u, rest > 1, column4, left.b, right.b);
    store(pixel + 2u, rest > 2, column4, left.c, right.c);
    store(pixel + 3u, rest > 3, column4, left.d, right.d);
    store(pixel + 4u, rest > 4, column4, left.e, right.e);
    store(pixel + 5u, rest > 5, column4, left.f, right.f);
    store(pixel + 6u, rest > 6, column4, left.g, right.g);
    store(pixel + 7u, rest > 7, column4, left.h, right.h);
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
    let column_tiles = (cout4 + 1u) / 2u;
    let spans = (params.out_width + 15u) / 16u;
    let place = tile / column_tiles;
    let column4 = (tile - place * column_tiles) * 2u;
    let line_number = place / spans;
    let column = (place - line_number * spans) * 16u;
    if line_number * params.out_width >= params.pixels {
        return;
    }
    // The last tile's second half may not exist: it then computes the first half again and is not stored.
    let next4 = min(column4 + 1u, cout4 - 1u);
    let picture = line_number / params.out_height;
    let top = i32((line_number - picture * params.out_height) * STRIDE_H) - PAD_TOP;
    let left = i32(column * 2u) - PAD_LEFT;
    let step = i32(params.x_stride / 4u);
    let width = i32(params.width);

    var l0 = line::same(vec4<f32>(0.0));
    var r0 = l0;
    if BIAS {
        l0 = line::same(bias[column4]);
        r0 = line::same(bias[next4]);
    }
    var l1 = l0;
    var r1 = r0;
    for (var tap_row = 0u; tap_row < KERNEL_H; tap_row++) {
        let row = top + i32(tap_row);
        let inside = row >= 0 && row < i32(params.height);
        let first = (i32(picture * params.height) + row) * width * step + i32(params.x_offset / 4u);
        let even = line::spots(first, left, 2, step, width, inside);
        let odd = line::spots(first, left + 1, 2, step, width, inside);
        let last = line::spot(first, left + 20, step, width, inside);
        let next_even = line::spots(first, left + 16, 2, step, width, inside);
        let next_odd = line::spots(first, left + 17, 2, step, width, inside);
        let next_last = line::spot(first, left + 36, step, width, inside);
        for (var k = 0u; k < cin4; k++) {
            let e0 = reach(even, k);
            let o0 = reach(odd, k);
            let last0 = quad(last, k);
            let e1 = reach(next_even, k);
            let o1 = reach(next_odd, k);
            let last1 = quad(next_last, k);
            let wl = row_of(tap_row, k, column4);
            l0 = add(l0, wl, e0, o0, last0);
            l1 = add(l1, wl, e1, o1, last1);
            let wr = row_of(tap_row, k, next4);
            r0 = add(r0, wr, e0, o0, last0);
            r1 = add(r1, wr, e1, o1, last1);
        }
    }
    store_line(line_number, column, column4, l0, r0);
    store_line(line_number, column + 8u, column4, l1, r1);
}
