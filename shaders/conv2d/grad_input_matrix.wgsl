// Gradient of a convolution by its input on matrix units: a workgroup computes a tile of pixels x channels of dx, in quarters that
// its subgroups take among themselves, each 2 x 2 matrices of f16 factors and f32 sums. For GPUs, in mixed precision.
//
// Rows of the product are input pixels, columns input channels, and the sum runs over taps and output channels. Matrices come out
// of workgroup memory, as in the forward pass.
enable f16;
enable wgpu_cooperative_matrix;
#import gatefold::conv
#import gatefold::grid
#import gatefold::matrix

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

const DEPTH4: u32 = matrix::DEPTH / 4u;
const ROW: u32 = matrix::DEPTH + matrix::GAP;

// matrix::left: pixels x steps of the sum.
// matrix::right: input channels x steps of the sum.
var<workgroup> origins: array<conv::Place, matrix::TILE>;

// An input pixel in padded coordinates.
fn origin(pixel: u32) -> conv::Place {
    let p = conv::position(min(pixel, params.pixels - 1u), params.height, params.width);
    return conv::Place(i32(p.row) + PAD_TOP, i32(p.column) + PAD_LEFT, i32(p.picture * params.source_height));
}

// Four channels of the output pixel whose window has the input pixel under this tap, or zeros if there is none.
fn upstream(p: conv::Place, tap_row: u32, tap_column: u32, channel4: u32) -> vec4<f32> {
    let down = p.row - i32(tap_row);
    let across = p.column - i32(tap_column);
    let row = down / i32(STRIDE_H);
    let column = across / i32(STRIDE_W);
    if PADDED {
        let hit = down >= 0 && row * i32(STRIDE_H) == down && row < i32(params.source_height)
            && across >= 0 && column * i32(STRIDE_W) == across && column < i32(params.source_width);
        if !hit {
            return vec4<f32>(0.0);
        }
    }
    let source = u32((p.picture + row) * i32(params.source_width) + column);
    return dy[(params.source_offset + source * params.source_stride) / 4u + channel4];
}

// Four factors each of dy and of the weights: step `step` of the sum (in vec4 of taps times output channels).
fn dy_four(p: conv::Place, step: u32) -> vec4<f32> {
    let tap = step / COUT4;
    let tap_row = tap / KERNEL_W;
    if tap_row >= KERNEL_H {
        return vec4<f32>(0.0);
    }
    return upstream(p, tap_row, tap - tap_row * KERNEL_W, step - tap * COUT4);
}

fn weight_four(channel: u32, step: u32) -> vec4<f32> {
    let tap = step / COUT4;
    if tap >= KERNEL_H * KERNEL_W || channel >= CIN4 * 4u {
        return vec4<f32>(0.0);
    }
    return weight[(tap * CIN4 * 4u + channel) * COUT4 + (step - tap * COUT4)];
}

fn dy_eight(item: u32, k: u32) -> matrix::Eight {
    let p = origins[item / (DEPTH4 / 2u)];
    let step = k + item % (DEPTH4 / 2u) * 2u;
    return matrix::Eight(dy_four(p, step), dy_four(p, step + 1u));
}

fn weight_eight(item: u32, k: u32, first_column: u32) -> matrix::Eight {
    let channel = first_column + item / (DEPTH4 / 2u);
    let step = k + item % (DEPTH4 / 2u) * 2u;
    return matrix::Eight(weight_four(channel, step), weight_four(channel, step + 1u));
}

fn keep(item: u32, value: matrix::Eight, factor: matrix::Eight) {
    if item < matrix::FACTORS {
        let to = item / (DEPTH4 / 2u) * ROW + item % (DEPTH4 / 2u) * 8u;
        matrix::keep_left(to, value);
        matrix::keep_right(to, factor);
    }
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
    let column_tiles = (CIN4 + matrix::SIDE - 1u) / matrix::SIDE;
    let row_tile = tile / column_tiles;
    let first_column4 = (tile - row_tile * column_tiles) * matrix::SIDE;
    let first_pixel = row_tile * matrix::TILE;
    if lane < matrix::TILE {
        origins[lane] = origin(first_pixel + lane);
    }
    workgroupBarrier();

    for (var first = 0u; first < matrix::QUARTERS; first += subgroups) {
        let quarter = (first + subgroup) % matrix::QUARTERS;
        let down = quarter / 2u * matrix::HALF * ROW;
        let across = quarter % 2u * matrix::HALF * ROW;
        var c00 = matrix::Sum();
        var c01 = matrix::Sum();
        var c10 = matrix::Sum();
        var c11 = matrix::Sum();
        // The next step's factors are on their way while this one's are multiplied.
        let item = lane % matrix::FACTORS;
        let next = item + matrix::LANES;
        let first_column = first_column4 * 4u;
        var value = dy_eight(item, 0u);
        var factor = weight_eight(item, 0u, first_column);
        var second_value = value;
        var second_factor = factor;
        if matrix::ROUNDS == 2u {
            second_value = dy_eight(next, 0u);
            second_factor = weight_eight(next, 0u, first_column);
        }
        for (var k = 0u; k < KERNEL_H * KERNEL_W * COUT4; k += DEPTH4) {
            keep(lane, value, factor);
            keep(next, second_value, second_factor);
            workgroupBarrier();
            value = dy_eight(item, k + DEPTH4);
            factor = weight_eight(item, k + DEPTH4, first_column);
            if matrix::ROUNDS == 2u {
                second_value = dy_eight(next, k + DEPTH4);
                second_factor = weight_eight(next, k + DEPTH4, first_column);
            }
            for (var j = 0u; j < matrix::DEPTH; j += matrix::SIDE) {
                let a0 = coopLoadT<matrix::Left>(&matrix::left[(down + j) / matrix::CELL], ROW / matrix::CELL);
                let a1 = coopLoadT<matrix::Left>(&matrix::left[(down + matrix::SIDE * ROW + j) / matrix::CELL], ROW / matrix::CELL);
                let b0 = coopLoad<matrix::Right>(&matrix::right[(across + j) / matrix::CELL], ROW / matrix::CELL);
                let b1 = coopLoad<matrix::Right>(&matrix::right[(across + matrix::SIDE * ROW + j) / matrix::CELL], ROW / matrix::CELL);
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
