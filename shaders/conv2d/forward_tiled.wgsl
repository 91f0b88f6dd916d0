// Convolution as an implicit matrix product through workgroup memory: a workgroup computes 64 pixels x 64 channels of y, each
// of its 64 invocations 8 x 8 of them. For GPUs.
//
// Rows of the product are output pixels, columns output channels, and the sum runs over taps and input channels, 16 at a time.
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
override CIN4: u32 = 1u;   // input channels / 4
override COUT4: u32 = 1u;  // output channels / 4

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

// 64 pixels x 4 vec4 along the input channels; a row is one vec4 longer so that neighbours fall into other banks.
var<workgroup> x_tile: array<vec4<f32>, 320>;
// 16 input channels x 16 vec4 along the output channels.
var<workgroup> w_tile: array<vec4<f32>, 256>;

// The vec4 of x at step `k` (taps times CIN4) of a pixel's sum.
fn gather(c: conv::Place, k: u32) -> vec4<f32> {
    if k >= KERNEL_H * KERNEL_W * CIN4 {
        return vec4<f32>(0.0);
    }
    let tap = k / CIN4;
    let tap_row = tap / KERNEL_W;
    let channel4 = k - tap * CIN4;
    return normalise::four(quad(source(c, tap_row, tap - tap_row * KERNEL_W), channel4), normalise::four_of(channel4));
}

fn weight_at(row: u32, column4: u32) -> vec4<f32> {
    if row >= KERNEL_H * KERNEL_W * CIN4 * 4u || column4 >= COUT4 {
        return vec4<f32>(0.0);
    }
    return weight[row * COUT4 + column4];
}

// sum + w * a, as a chain of multiply-adds for each channel: on NVIDIA faster than the product of a matrix and a vector.
fn added(sum: vec4<f32>, w: mat4x4<f32>, a: vec4<f32>) -> vec4<f32> {
    return fma(w[3], vec4<f32>(a.w), fma(w[2], vec4<f32>(a.z), fma(w[1], vec4<f32>(a.y), fma(w[0], vec4<f32>(a.x), sum))));
}

fn store(pixel: u32, column4: u32, sum: vec4<f32>) {
    if pixel < params.pixels && column4 < COUT4 {
        var value = sum;
#ifdef BIAS
        value += bias[column4];
#endif
        value = epilogue::end_four(value, pixel * COUT4 + column4, column4);
        y[(params.offset + pixel * params.stride) / 4u + column4] = value;
    }
}

#ifdef THEN_STATISTICS
// The first `count` of four numbers that lie eight pixels apart, from pixel `down` on.
fn total(down: u32, count: u32, a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> vec4<f32> {
    let none = vec4<f32>(0.0);
    let upper = select(none, a, down < count) + select(none, b, down + 8u < count);
    return upper + (select(none, c, down + 16u < count) + select(none, d, down + 24u < count));
}

// The sum over all invocations that have the same channels, of block and channel quad `place`.
fn joined(place: u32) -> vec4<f32> {
    let i = place * 8u;
    let upper = (w_tile[i] + w_tile[i + 1u]) + (w_tile[i + 2u] + w_tile[i + 3u]);
    return upper + ((w_tile[i + 4u] + w_tile[i + 5u]) + (w_tile[i + 6u] + w_tile[i + 7u]));
}
#endif

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = grid::linear_group(group, groups);
    let column_tiles = (COUT4 + 15u) / 16u;
    let row_tile = tile / column_tiles;
    let first_column4 = (tile - row_tile * column_tiles) * 16u;
    let first_pixel = row_tile * 64u;

    // Loading: four neighbouring invocations read one pixel's 16 channels.
    let load_row = lane / 4u;
    let load_k = lane % 4u;
    let c0 = corner(first_pixel + load_row);
    let c1 = corner(first_pixel + load_row + 16u);
    let c2 = corner(first_pixel + load_row + 32u);
    let c3 = corner(first_pixel + load_row + 48u);
    let load_w = lane / 16u;
    let load_column4 = lane % 16u;

    // Computing: pixels down + 8 i, channels across and across + 8 (in vec4).
    let down = lane / 8u;
    let across = lane % 8u;
    var l0 = vec4<f32>(0.0); var l1 = vec4<f32>(0.0); var l2 = vec4<f32>(0.0); var l3 = vec4<f32>(0.0);
    var l4 = vec4<f32>(0.0); var l5 = vec4<f32>(0.0); var l6 = vec4<f32>(0.0); var l7 = vec4<f32>(0.0);
    var r0 = vec4<f32>(0.0); var r1 = vec4<f32>(0.0); var r2 = vec4<f32>(0.0); var r3 = vec4<f32>(0.0);
    var r4 = vec4<f32>(0.0); var r5 = vec4<f32>(0.0); var r6 = vec4<f32>(0.0); var r7 = vec4<f32>(0.0);

    // The next step's numbers are on their way while this one's are multiplied.
    var next0 = gather(c0, load_k);
    var next1 = gather(c1, load_k);
    var next2 = gather(c2, load_k);
    var next3 = gather(c3, load_k);
    var next4 = weight_at(load_w, first_column4 + load_column4);
    var next5 = weight_at(load_w + 4u, first_column4 + load_column4);
    var next6 = weight_at(load_w + 8u, first_column4 + load_column4);
    var next7 = weight_at(load_w + 12u, first_column4 + load_column4);
    for (var k = 0u; k < KERNEL_H * KERNEL_W * CIN4; k += 4u) {
        x_tile[load_row * 5u + load_k] = next0;
        x_tile[(load_row + 16u) * 5u + load_k] = next1;
        x_tile[(load_row + 32u) * 5u + load_k] = next2;
        x_tile[(load_row + 48u) * 5u + load_k] = next3;
        w_tile[lane] = next4;
        w_tile[lane + 64u] = next5;
        w_tile[lane + 128u] = next6;
        w_tile[lane + 192u] = next7;
        workgroupBarrier();
        next0 = gather(c0, k + 4u + load_k);
        next1 = gather(c1, k + 4u + load_k);
        next2 = gather(c2, k + 4u + load_k);
        next3 = gather(c3, k + 4u + load_k);
        next4 = weight_at((k + 4u) * 4u + load_w, first_column4 + load_column4);
        next5 = weight_at((k + 4u) * 4u + load_w + 4u, first_column4 + load_column4);
        next6 = weight_at((k + 4u) * 4u + load_w + 8u, first_column4 + load_column4);
        next7 = weight_at((k + 4u) * 4u + load_w + 12u, first_column4 + load_column4);
        for (var j = 0u; j < 4u; j++) {
            let wl = j * 64u + across;
            let bl = mat4x4<f32>(w_tile[wl], w_tile[wl + 16u], w_tile[wl + 32u], w_tile[wl + 48u]);
            let br = mat4x4<f32>(w_tile[wl + 8u], w_tile[wl + 24u], w_tile[wl + 40u], w_tile[wl + 56u]);
            let a = down * 5u + j;
            let a0 = x_tile[a];
            l0 = added(l0, bl, a0);
            r0 = added(r0, br, a0);
            let a1 = x_tile[a + 40u];
            l1 = added(l1, bl, a1);
            r1 = added(r1, br, a1);
            let a2 = x_tile[a + 80u];
            l2 = added(l2, bl, a2);
            r2 = added(r2, br, a2);
            let a3 = x_tile[a + 120u];
            l3 = added(l3, bl, a3);
            r3 = added(r3, br, a3);
            let a4 = x_tile[a + 160u];
            l4 = added(l4, bl, a4);
            r4 = added(r4, br, a4);
            let a5 = x_tile[a + 200u];
            l5 = added(l5, bl, a5);
            r5 = added(r5, br, a5);
            let a6 = x_tile[a + 240u];
            l6 = added(l6, bl, a6);
            r6 = added(r6, br, a6);
            let a7 = x_tile[a + 280u];
            l7 = added(l7, bl, a7);
            r7 = added(r7, br, a7);
        }
        workgroupBarrier();
    }
#ifdef THEN_STATISTICS
    // Two blocks of 32 pixels times 16 channel quads, first their sums, then their squared deviations.
    let rest = params.pixels - first_pixel;
    let upper_count = min(rest, 32u);
    let lower_count = min(max(rest, 32u) - 32u, 32u);
    let place = across * 8u + down;
    w_tile[place] = total(down, upper_count, l0, l1, l2, l3);
    w_tile[place + 64u] = total(down, upper_count, r0, r1, r2, r3);
    w_tile[place + 128u] = total(down, lower_count, l4, l5, l6, l7);
    w_tile[place + 192u] = total(down, lower_count, r4, r5, r6, r7);
    workgroupBarrier();
    let block = lane / 16u;
    let count = select(lower_count, upper_count, block == 0u);
    if lane < 32u {
        x_tile[lane] = joined(lane) / max(f32(count), 1.0);
    }
    workgroupBarrier();
    let a = x_tile[across];
    w_tile[place] = total(down, upper_count, (l0 - a) * (l0 - a), (l1 - a) * (l1 - a), (l2 - a) * (l2 - a), (l3 - a) * (l3 - a));
    let b = x_tile[across + 8u];
    w_tile[place + 64u] =
        total(down, upper_count, (r0 - b) * (r0 - b), (r1 - b) * (r1 - b), (r2 - b) * (r2 - b), (r3 - b) * (r3 - b));
    let c = x_tile[across + 16u];
    w_tile[place + 128u] =
        total(down, lower_count, (l4 - c) * (l4 - c), (l5 - c) * (l5 - c), (l6 - c) * (l6 - c), (l7 - c) * (l7 - c));
    let d = x_tile[across + 24u];
    w_tile[place + 192u] =
        total(down, lower_count, (r4 - d) * (r4 - d), (r5 - d) * (r5 - d), (r6 - d) * (r6 - d), (r7 - d) * (r7 - d));
    workgroupBarrier();
    let kept4 = first_column4 + lane % 16u;
    if lane < 32u && count > 0u && kept4 < COUT4 {
        let to = (first_pixel / 32u + block) * COUT4 + kept4;
        var mean = x_tile[lane];
#ifdef BIAS
        mean += bias[kept4];
#endif
        epilogue::then_means[to] = mean;
        epilogue::then_squares[to] = joined(lane);
    }
#endif
    let pixel = first_pixel + down;
    let column4 = first_column4 + across;
    store(pixel, column4, l0);
    store(pixel, column4 + 8u, r0);
    store(pixel + 8u, column4, l1);
    store(pixel + 8u, column4 + 8u, r1);
    store(pixel + 16u, column4, l2);
    store(pixel + 16u, column4 + 8u, r2);
    store(pixel + 24u, column4, l3);
    store(pixel + 24u, column4 + 8u, r3);
    store(pixel + 32u, column4, l4);
    store(pixel + 32u, column4 + 8u, r4);
    store(pixel + 40u, column4, l5);
    store(pixel + 40u, column4 + 8u, r5);
    store(pixel + 48u, column4, l6);
    store(pixel + 48u, column4 + 8u, r6);
    store(pixel + 56u, column4, l7);
    store(pixel + 56u, column4 + 8u, r7);
}
