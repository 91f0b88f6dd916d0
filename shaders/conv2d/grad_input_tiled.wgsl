// Gradient of a convolution by its input through workgroup memory: a workgroup computes 64 pixels x 64 channels of dx, each of
// its 64 invocations 8 x 8 of them. For GPUs. Each pixel gathers the windows that saw it.
//
// Rows of the product are input pixels, columns input channels, and the sum runs over taps and output channels, 16 at a time.
#import gatefold::conv
#import gatefold::grid

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override PADDED: bool = false;
override ACCUMULATE: bool = false;
override CIN4: u32 = 1u;   // input channels / 4
override COUT4: u32 = 1u;  // output channels / 4

@group(0) @binding(0) var<uniform> params: conv::Maps;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

// An input pixel in padded coordinates.
fn origin(pixel: u32) -> conv::Place {
    let p = conv::position(min(pixel, params.pixels - 1u), params.height, params.width);
    return conv::Place(i32(p.row) + PAD_TOP, i32(p.column) + PAD_LEFT, i32(p.picture * params.source_height));
}

// Index of the first vec4 of the output pixel whose window has the input pixel under this tap, or -1 if there is none.
fn source(p: conv::Place, tap_row: u32, tap_column: u32) -> i32 {
    let down = p.row - i32(tap_row);
    let across = p.column - i32(tap_column);
    let row = down / i32(STRIDE_H);
    let column = across / i32(STRIDE_W);
    let index = conv::source_index(params, p.picture + row, column);
    if PADDED {
        let hit = down >= 0 && row * i32(STRIDE_H) == down && row < i32(params.source_height)
            && across >= 0 && column * i32(STRIDE_W) == across && column < i32(params.source_width);
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

// 64 pixels x 4 vec4 along the output channels; a row is one vec4 longer so that neighbours fall into other banks.
var<workgroup> dy_tile: array<vec4<f32>, 320>;
// 64 input channels x 4 vec4 along the output channels. Channel 4 q + i lies in row 16 i + q: invocations that work on
// neighbouring quads then read neighbouring rows.
var<workgroup> w_tile: array<vec4<f32>, 320>;

// The vec4 of dy at step `k` (taps times COUT4) of a pixel's sum.
fn gather(p: conv::Place, k: u32) -> vec4<f32> {
    if k >= KERNEL_H * KERNEL_W * COUT4 {
        return vec4<f32>(0.0);
    }
    let tap = k / COUT4;
    let tap_row = tap / KERNEL_W;
    return quad(source(p, tap_row, tap - tap_row * KERNEL_W), k - tap * COUT4);
}

fn weight_at(channel: u32, k: u32) -> vec4<f32> {
    if channel >= CIN4 * 4u || k >= KERNEL_H * KERNEL_W * COUT4 {
        return vec4<f32>(0.0);
    }
    let tap = k / COUT4;
    return weight[(tap * CIN4 * 4u + channel) * COUT4 + (k - tap * COUT4)];
}

// sum + a . w, as a chain of multiply-adds.
fn dotted(sum: f32, w: vec4<f32>, a: vec4<f32>) -> f32 {
    return fma(w.w, a.w, fma(w.z, a.z, fma(w.y, a.y, fma(w.x, a.x, sum))));
}

// sum + a * w, as chains into the sums: compilers would add up four products first, which costs a fifth more instructions.
fn added(sum: vec4<f32>, w: mat4x4<f32>, a: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(dotted(sum.x, w[0], a), dotted(sum.y, w[1], a), dotted(sum.z, w[2], a), dotted(sum.w, w[3], a));
}

fn store(pixel: u32, column4: u32, sum: vec4<f32>) {
    if pixel < params.pixels && column4 < CIN4 {
        let to = (params.offset + pixel * params.stride) / 4u + column4;
        var value = sum;
        if ACCUMULATE {
            value += dx[to];
        }
        dx[to] = value;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = grid::linear_group(group, groups);
    let column_tiles = (CIN4 + 15u) / 16u;
    let row_tile = tile / column_tiles;
    let first_column4 = (tile - row_tile * column_tiles) * 16u;
    let first_pixel = row_tile * 64u;

    // Loading: four neighbouring invocations read 16 channels of one pixel, and of one input channel's weights.
    let load_row = lane / 4u;
    let load_k = lane % 4u;
    let p0 = origin(first_pixel + load_row);
    let p1 = origin(first_pixel + load_row + 16u);
    let p2 = origin(first_pixel + load_row + 32u);
    let p3 = origin(first_pixel + load_row + 48u);
    let channel = first_column4 * 4u + load_row;
    // Rows of w_tile for input channels load_row + 16 i.
    let w_row = (load_row % 4u) * 16u + load_row / 4u;

    // Computing: pixels down + 8 i, channels across and across + 8 (in vec4).
    let down = lane / 8u;
    let across = lane % 8u;
    var l0 = vec4<f32>(0.0); var l1 = vec4<f32>(0.0); var l2 = vec4<f32>(0.0); var l3 = vec4<f32>(0.0);
    var l4 = vec4<f32>(0.0); var l5 = vec4<f32>(0.0); var l6 = vec4<f32>(0.0); var l7 = vec4<f32>(0.0);
    var r0 = vec4<f32>(0.0); var r1 = vec4<f32>(0.0); var r2 = vec4<f32>(0.0); var r3 = vec4<f32>(0.0);
    var r4 = vec4<f32>(0.0); var r5 = vec4<f32>(0.0); var r6 = vec4<f32>(0.0); var r7 = vec4<f32>(0.0);

    // The next step's numbers are on their way while this one's are multiplied.
    var next0 = gather(p0, load_k);
    var next1 = gather(p1, load_k);
    var next2 = gather(p2, load_k);
    var next3 = gather(p3, load_k);
    var next4 = weight_at(channel, load_k);
    var next5 = weight_at(channel + 16u, load_k);
    var next6 = weight_at(channel + 32u, load_k);
    var next7 = weight_at(channel + 48u, load_k);
    for (var k = 0u; k < KERNEL_H * KERNEL_W * COUT4; k += 4u) {
        dy_tile[load_row * 5u + load_k] = next0;
        dy_tile[(load_row + 16u) * 5u + load_k] = next1;
        dy_tile[(load_row + 32u) * 5u + load_k] = next2;
        dy_tile[(load_row + 48u) * 5u + load_k] = next3;
        w_tile[w_row * 5u + load_k] = next4;
        w_tile[(w_row + 4u) * 5u + load_k] = next5;
        w_tile[(w_row + 8u) * 5u + load_k] = next6;
        w_tile[(w_row + 12u) * 5u + load_k] = next7;
        workgroupBarrier();
        next0 = gather(p0, k + 4u + load_k);
        next1 = gather(p1, k + 4u + load_k);
        next2 = gather(p2, k + 4u + load_k);
        next3 = gather(p3, k + 4u + load_k);
        next4 = weight_at(channel, k + 4u + load_k);
        next5 = weight_at(channel + 16u, k + 4u + load_k);
        next6 = weight_at(channel + 32u, k + 4u + load_k);
        next7 = weight_at(channel + 48u, k + 4u + load_k);
        for (var j = 0u; j < 4u; j++) {
            // Columns of these matrices are input channels, so a row vector times one is four dot products.
            let wl = across * 5u + j;
            let bl = mat4x4<f32>(w_tile[wl], w_tile[wl + 80u], w_tile[wl + 160u], w_tile[wl + 240u]);
            let br = mat4x4<f32>(w_tile[wl + 40u], w_tile[wl + 120u], w_tile[wl + 200u], w_tile[wl + 280u]);
            let a = down * 5u + j;
            let a0 = dy_tile[a];
            l0 = added(l0, bl, a0);
            r0 = added(r0, br, a0);
            let a1 = dy_tile[a + 40u];
            l1 = added(l1, bl, a1);
            r1 = added(r1, br, a1);
            let a2 = dy_tile[a + 80u];
            l2 = added(l2, bl, a2);
            r2 = added(r2, br, a2);
            let a3 = dy_tile[a + 120u];
            l3 = added(l3, bl, a3);
            r3 = added(r3, br, a3);
            let a4 = dy_tile[a + 160u];
            l4 = added(l4, bl, a4);
            r4 = added(r4, br, a4);
            let a5 = dy_tile[a + 200u];
            l5 = added(l5, bl, a5);
            r5 = added(r5, br, a5);
            let a6 = dy_tile[a + 240u];
            l6 = added(l6, bl, a6);
            r6 = added(r6, br, a6);
            let a7 = dy_tile[a + 280u];
            l7 = added(l7, bl, a7);
            r7 = added(r7, br, a7);
        }
        workgroupBarrier();
    }
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
