// Convolution as an implicit matrix product on matrix units: a workgroup computes a tile of pixels x channels of y, in quarters
// that its subgroups take among themselves, each 2 x 2 matrices of f16 factors and f32 sums. For GPUs, in mixed precision.
//
// Rows of the product are output pixels, columns output channels, and the sum runs over taps and input channels. Matrices come
// out of workgroup memory, where all factors are f16: in storage pixels have gaps and edges, and the weights are f32.
enable f16;
enable wgpu_cooperative_matrix;
#import gatefold::conv
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::matrix
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

const DEPTH4: u32 = matrix::DEPTH / 4u;
const X_ROW: u32 = matrix::DEPTH + matrix::GAP;
const W_ROW: u32 = matrix::TILE + matrix::GAP;

// Pixels x steps of the sum.
var<workgroup> x_tile: array<f16, matrix::TILE * X_ROW>;
// Steps of the sum x output channels.
var<workgroup> w_tile: array<f16, matrix::DEPTH * W_ROW>;
var<workgroup> corners: array<conv::Place, matrix::TILE>;

// Where an output pixel's window begins.
fn corner(pixel: u32) -> conv::Place {
    let p = conv::position(min(pixel, params.pixels - 1u), params.height, params.width);
    let picture = i32(p.picture * params.source_height);
    return conv::Place(i32(p.row * STRIDE_H) - PAD_TOP, i32(p.column * STRIDE_W) - PAD_LEFT, picture);
}

// Four channels of the pixel that a window sees under a tap, or zeros where it hangs over the edge.
fn seen(c: conv::Place, tap_row: u32, tap_column: u32, channel4: u32) -> vec4<f32> {
    let row = c.row + i32(tap_row);
    let column = c.column + i32(tap_column);
    if PADDED && !conv::inside(row, column, params.source_height, params.source_width) {
        return vec4<f32>(0.0);
    }
    let source = u32((c.picture + row) * i32(params.source_width) + column);
    return normalise::four(x[(params.source_offset + source * params.source_stride) / 4u + channel4], normalise::four_of(channel4));
}

// Loads DEPTH steps of the sum from `k` (in vec4 of taps times input channels) on.
fn load(lane: u32, k: u32, first_column4: u32) {
    let step = k + lane % DEPTH4;
    let tap = step / CIN4;
    let tap_row = tap / KERNEL_W;
    let tap_column = tap - tap_row * KERNEL_W;
    for (var row = lane / DEPTH4; row < matrix::TILE; row += matrix::LANES / DEPTH4) {
        var value = vec4<f32>(0.0);
        if tap_row < KERNEL_H {
            value = seen(corners[row], tap_row, tap_column, step - tap * CIN4);
        }
        let to = row * X_ROW + lane % DEPTH4 * 4u;
        x_tile[to] = f16(value.x);
        x_tile[to + 1u] = f16(value.y);
        x_tile[to + 2u] = f16(value.z);
        x_tile[to + 3u] = f16(value.w);
    }
    let column4 = first_column4 + lane % matrix::SIDE;
    for (var row = lane / matrix::SIDE; row < matrix::DEPTH; row += matrix::LANES / matrix::SIDE) {
        var value = vec4<f32>(0.0);
        if k * 4u + row < KERNEL_H * KERNEL_W * CIN4 * 4u && column4 < COUT4 {
            value = weight[(k * 4u + row) * COUT4 + column4];
        }
        let to = row * W_ROW + lane % matrix::SIDE * 4u;
        w_tile[to] = f16(value.x);
        w_tile[to + 1u] = f16(value.y);
        w_tile[to + 2u] = f16(value.z);
        w_tile[to + 3u] = f16(value.w);
    }
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

// Stores the finished matrices of some quarters, which begin at this pixel and channel in the first of them.
fn store_all(lane: u32, first: u32, quarters: u32, pixel: u32, column4: u32) {
    for (var item = lane; item < quarters * matrix::FINISHED; item += matrix::LANES) {
        let place = matrix::place(first, item);
        store(pixel + place.x, column4 + place.y, matrix::quad(item));
    }
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
#ifndef SUBGROUP
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
#endif
) {
#ifdef SUBGROUP
    // Where all subgroups have one size, nothing of them is asked for: drivers' compilers have crashed on it beside matrices.
    let subgroup = lane / #{SUBGROUP}u;
    let subgroups = matrix::LANES / #{SUBGROUP}u;
#endif
    let tile = grid::linear_group(group, groups);
    let column_tiles = (COUT4 + matrix::SIDE - 1u) / matrix::SIDE;
    let row_tile = tile / column_tiles;
    let first_column4 = (tile - row_tile * column_tiles) * matrix::SIDE;
    let first_pixel = row_tile * matrix::TILE;
    if lane < matrix::TILE {
        corners[lane] = corner(first_pixel + lane);
    }
    workgroupBarrier();

    for (var first = 0u; first < matrix::QUARTERS; first += subgroups) {
        let quarter = (first + subgroup) % matrix::QUARTERS;
        let down = quarter / 2u * matrix::HALF * X_ROW;
        let across = quarter % 2u * matrix::HALF;
        var c00 = matrix::Sum();
        var c01 = matrix::Sum();
        var c10 = matrix::Sum();
        var c11 = matrix::Sum();
        for (var k = 0u; k < KERNEL_H * KERNEL_W * CIN4; k += DEPTH4) {
            load(lane, k, first_column4);
            workgroupBarrier();
            for (var j = 0u; j < matrix::DEPTH; j += matrix::SIDE) {
                let a0 = coopLoadT<matrix::Left>(&x_tile[down + j], X_ROW);
                let a1 = coopLoadT<matrix::Left>(&x_tile[down + matrix::SIDE * X_ROW + j], X_ROW);
                let b0 = coopLoadT<matrix::Right>(&w_tile[j * W_ROW + across], W_ROW);
                let b1 = coopLoadT<matrix::Right>(&w_tile[j * W_ROW + across + matrix::SIDE], W_ROW);
                c00 = coopMultiplyAdd(a0, b0, c00);
                c01 = coopMultiplyAdd(a0, b1, c01);
                c10 = coopMultiplyAdd(a1, b0, c10);
                c11 = coopMultiplyAdd(a1, b1, c11);
            }
            workgroupBarrier();
        }
        let quarters = min(subgroups, matrix::QUARTERS);
        let to = quarter % quarters * matrix::SIDE * matrix::SIDE;
        coopStoreT(c00, &matrix::finished[to], matrix::SIDE);
        workgroupBarrier();
        store_all(lane, first, quarters, first_pixel, first_column4);
        workgroupBarrier();
        coopStoreT(c01, &matrix::finished[to], matrix::SIDE);
        workgroupBarrier();
        store_all(lane, first, quarters, first_pixel, first_column4 + matrix::SIDE / 4u);
        workgroupBarrier();
        coopStoreT(c10, &matrix::finished[to], matrix::SIDE);
        workgroupBarrier();
        store_all(lane, first, quarters, first_pixel + matrix::SIDE, first_column4);
        workgroupBarrier();
        coopStoreT(c11, &matrix::finished[to], matrix::SIDE);
        workgroupBarrier();
        store_all(lane, first, quarters, first_pixel + matrix::SIDE, first_column4 + matrix::SIDE / 4u);
        workgroupBarrier();
    }
}
