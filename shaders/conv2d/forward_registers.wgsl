// Convolution as an implicit matrix product, kept in registers: an invocation computes 8 pixels x 8 channels of y and reads
// x as vec4 along the input channels. No workgroup memory: software adapters pay dearly for barriers.
//
// Rows of the product are output pixels, columns output channels, and the sum runs over taps and input channels.
#import gatefold::conv
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::normalise

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override PADDED: bool = false;

@group(0) @binding(0) var<uniform> params: conv::Maps;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
#ifdef BIAS
@group(0) @binding(#{BIAS}) var<storage, read> bias: array<vec4<f32>>;
#endif

// Where an output pixel's window begins.
fn corner(pixel: u32) -> conv::Place {
    let p = conv::position(min(pixel, params.pixels - 1u), params.height, params.width);
    let picture = i32(p.picture * params.source_height);
    return conv::Place(i32(p.row * STRIDE_H) - PAD_TOP, i32(p.column * STRIDE_W) - PAD_LEFT, picture);
}

// Index of the first vec4 of a source pixel, or -1 where the window hangs over the edge.
fn source(c: conv::Place, tap_row: u32, tap_column: u32) -> i32 {
    let row = c.row + i32(tap_row);
    let column = c.column + i32(tap_column);
    let index = conv::source_index(params, c.picture + row, column);
    if PADDED {
        return select(-1, index, conv::inside(row, column, params.source_height, params.source_width));
    }
    return index;
}

fn quad(base: i32, channel4: u32) -> vec4<f32> {
    if PADDED {
        return select(vec4<f32>(0.0), x[u32(max(base, 0)) + channel4], base >= 0);
    }
    return x[u32(base) + channel4];
}

fn store(pixel: u32, column4: u32, left: vec4<f32>, right: vec4<f32>) {
    if pixel >= params.pixels {
        return;
    }
    let to = (params.offset + pixel * params.stride) / 4u + column4;
    let cout4 = params.cout / 4u;
    let at = pixel * cout4 + column4;
    y[to] = epilogue::end_four(left, at, column4);
    if column4 + 1u < cout4 {
        y[to + 1u] = epilogue::end_four(right, at + 1u, column4 + 1u);
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
    let column_tiles = (cout4 + 1u) / 2u;
    let row_tile = tile / column_tiles;
    let column4 = (tile - row_tile * column_tiles) * 2u;
    let pixel = row_tile * 8u;
    if pixel >= params.pixels {
        return;
    }
    // The last tile's second half may not exist: it then computes the first half again and is not stored.
    let next4 = min(column4 + 1u, cout4 - 1u);

    let c0 = corner(pixel);
    let c1 = corner(pixel + 1u);
    let c2 = corner(pixel + 2u);
    let c3 = corner(pixel + 3u);
    let c4 = corner(pixel + 4u);
    let c5 = corner(pixel + 5u);
    let c6 = corner(pixel + 6u);
    let c7 = corner(pixel + 7u);

    var left = vec4<f32>(0.0);
    var right = vec4<f32>(0.0);
#ifdef BIAS
    left = bias[column4];
    right = bias[next4];
#endif
    var l0 = left; var l1 = left; var l2 = left; var l3 = left; var l4 = left; var l5 = left; var l6 = left; var l7 = left;
    var r0 = right; var r1 = right; var r2 = right; var r3 = right; var r4 = right; var r5 = right; var r6 = right; var r7 = right;

    var w = 0u;  // row of the weight matrix
    for (var tap_row = 0u; tap_row < KERNEL_H; tap_row++) {
        for (var tap_column = 0u; tap_column < KERNEL_W; tap_column++) {
            let s0 = source(c0, tap_row, tap_column);
            let s1 = source(c1, tap_row, tap_column);
            let s2 = source(c2, tap_row, tap_column);
            let s3 = source(c3, tap_row, tap_column);
            let s4 = source(c4, tap_row, tap_column);
            let s5 = source(c5, tap_row, tap_column);
            let s6 = source(c6, tap_row, tap_column);
            let s7 = source(c7, tap_row, tap_column);
            for (var k = 0u; k < cin4; k++) {
                let norm = normalise::four_of(k);
                let wl = w * cout4 + column4;
                let wr = w * cout4 + next4;
                let bl = mat4x4<f32>(weight[wl], weight[wl + cout4], weight[wl + 2u * cout4], weight[wl + 3u * cout4]);
                let br = mat4x4<f32>(weight[wr], weight[wr + cout4], weight[wr + 2u * cout4], weight[wr + 3u * cout4]);
                let a0 = normalise::four(quad(s0, k), norm);
                l0 += bl * a0;
                r0 += br * a0;
                let a1 = normalise::four(quad(s1, k), norm);
                l1 += bl * a1;
                r1 += br * a1;
                let a2 = normalise::four(quad(s2, k), norm);
                l2 += bl * a2;
                r2 += br * a2;
                let a3 = normalise::four(quad(s3, k), norm);
                l3 += bl * a3;
                r3 += br * a3;
                let a4 = normalise::four(quad(s4, k), norm);
                l4 += bl * a4;
                r4 += br * a4;
                let a5 = normalise::four(quad(s5, k), norm);
                l5 += bl * a5;
                r5 += br * a5;
                let a6 = normalise::four(quad(s6, k), norm);
                l6 += bl * a6;
                r6 += br * a6;
                let a7 = normalise::four(quad(s7, k), norm);
                l7 += bl * a7;
                r7 += br * a7;
                w += 4u;
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
