// A convolution of 3x3 taps that steps pixel by pixel, or its gradient by the input, which is one too: with the taps turned round
// and input and output changed about. An invocation computes 2 rows x 8 pixels x 8 channels and reads each source pixel once for
// all taps of its tile. No workgroup memory: software adapters pay dearly for barriers.
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::line

struct Params {
    pixels: u32,         // n * height * width
#ifdef INPUT_GRADIENT
    height: u32,         // of dx
    width: u32,
    source_height: u32,  // of dy
    source_width: u32,
#else
    source_height: u32,  // of x
    source_width: u32,
    height: u32,         // of y
    width: u32,
#endif
    cin: u32,
    cout: u32,
    source_offset: u32,
    source_stride: u32,
    offset: u32,
    stride: u32,
}

// Where the window of the first pixel begins: rows and columns before the source.
override ABOVE: i32 = 0;
override BEFORE: i32 = 0;
override ACCUMULATE: bool = false;
override BIAS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
#ifdef INPUT_GRADIENT
@group(0) @binding(3) var<storage, read_write> target_map: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> target_map: array<vec4<f32>>;
#endif

// The taps of a row, counted in the target's own order, from source channels 4 k on to target channels 4 column4 on.
fn taps(row: u32, k: u32, column4: u32) -> line::Taps {
    let cout4 = params.cout / 4u;
    let area = params.cin * cout4;
#ifdef INPUT_GRADIENT
    let first = (8u - row * 3u) * area + column4 * 4u * cout4 + k;
    return line::Taps(matrix(first, cout4), matrix(first - area, cout4), matrix(first - 2u * area, cout4));
#else
    let first = row * 3u * area + k * 4u * cout4 + column4;
    return line::Taps(matrix(first, cout4), matrix(first + area, cout4), matrix(first + 2u * area, cout4));
#endif
}

fn matrix(i: u32, step: u32) -> mat4x4<f32> {
    return mat4x4<f32>(weight[i], weight[i + step], weight[i + 2u * step], weight[i + 3u * step]);
}

fn add(sum: line::Line, w: line::Taps, q: line::Reach) -> line::Line {
#ifdef INPUT_GRADIENT
    return line::add_taps_transposed(sum, w, q);
#else
    return line::add_taps(sum, w, q);
#endif
}

fn quad(spot: i32, k: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), source[u32(max(spot, 0)) + k], spot >= 0);
}

fn reach(s: line::Spots, k: u32) -> line::Reach {
    return line::Reach(
        quad(s.a, k), quad(s.b, k), quad(s.c, k), quad(s.d, k), quad(s.e, k),
        quad(s.f, k), quad(s.g, k), quad(s.h, k), quad(s.i, k), quad(s.j, k),
    );
}

fn store(pixel: u32, inside: bool, column4: u32, left: vec4<f32>, right: vec4<f32>, two: bool) {
    if !inside {
        return;
    }
    let i = (params.offset + pixel * params.stride) / 4u + column4;
    let at = pixel * (params.cout / 4u) + column4;
    if ACCUMULATE {
        target_map[i] += left;
    } else {
        target_map[i] = epilogue::end_four(left, at, column4);
    }
    if two {
        if ACCUMULATE {
            target_map[i + 1u] += right;
        } else {
            target_map[i + 1u] = epilogue::end_four(right, at + 1u, column4 + 1u);
        }
    }
}

fn store_line(row: u32, column: u32, inside: bool, column4: u32, left: line::Line, right: line::Line, two: bool) {
    let pixel = row * params.width + column;
    let rest = params.width - column;
    store(pixel, inside, column4, left.a, right.a, two);
    store(pixel + 1u, inside && rest > 1u, column4, left.b, right.b, two);
    store(pixel + 2u, inside && rest > 2u, column4, left.c, right.c, two);
    store(pixel + 3u, inside && rest > 3u, column4, left.d, right.d, two);
    store(pixel + 4u, inside && rest > 4u, column4, left.e, right.e, two);
    store(pixel + 5u, inside && rest > 5u, column4, left.f, right.f, two);
    store(pixel + 6u, inside && rest > 6u, column4, left.g, right.g, two);
    store(pixel + 7u, inside && rest > 7u, column4, left.h, right.h, two);
}

@compute @workgroup_size(#{LANES})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
#ifdef INPUT_GRADIENT
    let columns4 = params.cin / 4u;
    let depth4 = params.cout / 4u;
#else
    let columns4 = params.cout / 4u;
    let depth4 = params.cin / 4u;
#endif
    let tile = grid::linear_group(group, groups) * #{LANES}u + lane;
    let column_tiles = (columns4 + 1u) / 2u;
    let spans = (params.width + 7u) / 8u;
    let pairs = (params.height + 1u) / 2u;
    // Eight places by all channels at a time: neighbours then read the same weights, which are read once for eight places.
    let block = tile / (column_tiles * 8u);
    let inner = tile - block * column_tiles * 8u;
    let place = block * 8u + inner % 8u;
    let column4 = inner / 8u * 2u;
    let pair = place / spans;
    let column = (place - pair * spans) * 8u;
    let picture = pair / pairs;
    let row = (pair - picture * pairs) * 2u;
    if picture * params.height * params.width >= params.pixels {
        return;
    }
    // The last tile's second half may not exist: it then computes the first half again and is not stored.
    let two = column4 + 1u < columns4;
    let next4 = select(column4, column4 + 1u, two);

    let step = i32(params.source_stride / 4u);
    let width = i32(params.source_width);
    let height = i32(params.source_height);
    let top = i32(row) - ABOVE;
    let left = i32(column) - BEFORE;
    let down = width * step;
    let first = (i32(picture) * height + top) * down + i32(params.source_offset / 4u);
    let s0 = line::spots(first, left, 1, step, width, top >= 0 && top < height);
    let s1 = line::spots(first + down, left, 1, step, width, top + 1 >= 0 && top + 1 < height);
    let s2 = line::spots(first + 2 * down, left, 1, step, width, top + 2 >= 0 && top + 2 < height);
    let s3 = line::spots(first + 3 * down, left, 1, step, width, top + 3 >= 0 && top + 3 < height);

    var l0 = line::same(vec4<f32>(0.0));
    var r0 = l0;
#ifndef INPUT_GRADIENT
    if BIAS {
        l0 = line::same(bias[column4]);
        r0 = line::same(bias[next4]);
    }
#endif
    var l1 = l0;
    var r1 = r0;
    for (var k = 0u; k < depth4; k++) {
        let q0 = reach(s0, k);
        let q1 = reach(s1, k);
        let q2 = reach(s2, k);
        let q3 = reach(s3, k);
        let left0 = taps(0u, k, column4);
        l0 = add(l0, left0, q0);
        l1 = add(l1, left0, q1);
        let right0 = taps(0u, k, next4);
        r0 = add(r0, right0, q0);
        r1 = add(r1, right0, q1);
        let left1 = taps(1u, k, column4);
        l0 = add(l0, left1, q1);
        l1 = add(l1, left1, q2);
        let right1 = taps(1u, k, next4);
        r0 = add(r0, right1, q1);
        r1 = add(r1, right1, q2);
        let left2 = taps(2u, k, column4);
        l0 = add(l0, left2, q2);
        l1 = add(l1, left2, q3);
        let right2 = taps(2u, k, next4);
        r0 = add(r0, right2, q2);
        r1 = add(r1, right2, q3);
    }
    let line_above = picture * params.height + row;
    store_line(line_above, column, true, column4, l0, r0, two);
    store_line(line_above + 1u, column, row + 1u < params.height, column4, l1, r1, two);
}
