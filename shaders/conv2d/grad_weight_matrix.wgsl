// Gradient of a convolution by its weights on matrix units: a workgroup computes a tile of rows x columns of it, summed over some
// lines of dy, in quarters that its subgroups take among themselves, each 2 x 2 matrices of f16 factors and f32 sums. For GPUs, in
// mixed precision. `sum_splits` adds the splits up in order.
//
// Rows of the product are taps and input channels, columns output channels, and the sum runs over output pixels. Matrices come out
// of workgroup memory, as in the forward pass.
enable f16;
enable wgpu_cooperative_matrix;
#import gatefold::conv
#import gatefold::grid
#import gatefold::matrix
#import gatefold::normalise

override KERNEL_H: u32 = 1u;
override KERNEL_W: u32 = 1u;
override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override ACCUMULATE: bool = false;
override CIN4: u32 = 1u;   // input channels / 4
override COUT4: u32 = 1u;  // output channels / 4

@group(0) @binding(0) var<uniform> params: conv::Weights;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
// `sums` is `splits` times the weights' gradient; the gradient itself if there is one split.
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

const ROW: u32 = matrix::TILE + matrix::GAP;

// matrix::left: pixels x taps and input channels.
// matrix::right: pixels x output channels.
var<workgroup> corners: array<conv::Place, matrix::DEPTH>;

// Where an output pixel's window begins.
fn corner(pixel: u32) -> conv::Place {
    let p = conv::position(pixel, params.out_height, params.out_width);
    let picture = i32(p.picture * params.height);
    return conv::Place(i32(p.row * STRIDE_H) - PAD_TOP, i32(p.column * STRIDE_W) - PAD_LEFT, picture);
}

// Four channels of the pixel that a window sees under a tap, or zeros where it hangs over the edge.
fn seen(c: conv::Place, tap_row: u32, tap_column: u32, channel4: u32) -> vec4<f32> {
    let row = c.row + i32(tap_row);
    let column = c.column + i32(tap_column);
    if !conv::inside(row, column, params.height, params.width) {
        return vec4<f32>(0.0);
    }
    let source = u32((c.picture + row) * i32(params.width) + column);
    return normalise::four(x[(params.x_offset + source * params.x_stride) / 4u + channel4], normalise::four_of(channel4));
}

// Four factors of x: a quad of taps and input channels, seen from a pixel.
fn x_four(c: conv::Place, row4: u32) -> vec4<f32> {
    let tap = row4 / CIN4;
    let tap_row = tap / KERNEL_W;
    if tap_row >= KERNEL_H {
        return vec4<f32>(0.0);
    }
    return seen(c, tap_row, tap - tap_row * KERNEL_W, row4 - tap * CIN4);
}

// Four factors of dy.
fn dy_four(pixel: u32, column4: u32) -> vec4<f32> {
    if column4 >= COUT4 {
        return vec4<f32>(0.0);
    }
    return dy[(params.dy_offset + pixel * params.dy_stride) / 4u + column4];
}

fn x_eight(item: u32, start: u32, end: u32, first_row4: u32) -> matrix::Eight {
    let place = item / (matrix::SIDE / 2u);
    let row4 = first_row4 + item % (matrix::SIDE / 2u) * 2u;
    if start + place >= end {
        return matrix::Eight(vec4<f32>(0.0), vec4<f32>(0.0));
    }
    return matrix::Eight(x_four(corners[place], row4), x_four(corners[place], row4 + 1u));
}

fn dy_eight(item: u32, start: u32, end: u32, first_column4: u32) -> matrix::Eight {
    let pixel = start + item / (matrix::SIDE / 2u);
    let column4 = first_column4 + item % (matrix::SIDE / 2u) * 2u;
    if pixel >= end {
        return matrix::Eight(vec4<f32>(0.0), vec4<f32>(0.0));
    }
    return matrix::Eight(dy_four(pixel, column4), dy_four(pixel, column4 + 1u));
}

fn keep(item: u32, value: matrix::Eight, factor: matrix::Eight) {
    if item < matrix::FACTORS {
        let to = item / (matrix::SIDE / 2u) * ROW + item % (matrix::SIDE / 2u) * 8u;
        matrix::keep_left(to, value);
        matrix::keep_right(to, factor);
    }
}

fn store(split: u32, row: u32, column4: u32, sum: vec4<f32>) {
    let rows = KERNEL_H * KERNEL_W * CIN4 * 4u;
    if split < params.splits && row < rows && column4 < COUT4 {
        let to = (split * rows + row) * COUT4 + column4;
        var value = sum;
        if ACCUMULATE {
            value += sums[to];
        }
        sums[to] = value;
    }
}

// Stores the finished matrices of some quarters, which begin at this row and column in the first of them.
fn store_all(lane: u32, first: u32, quarters: u32, split: u32, row: u32, column4: u32) {
    for (var item = lane; item < quarters * matrix::FINISHED; item += matrix::LANES) {
        let place = matrix::place(first, item);
        store(split, row + place.x, column4 + place.y, matrix::quad(item));
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
    let row_tiles = (KERNEL_H * KERNEL_W * CIN4 + matrix::SIDE - 1u) / matrix::SIDE;
    let row_item = tile / column_tiles;
    let split = row_item / row_tiles;
    let first_column4 = (tile - row_item * column_tiles) * matrix::SIDE;
    let first_row4 = (row_item - split * row_tiles) * matrix::SIDE;
    let start = split * params.lines_per_split * params.out_width;
    // The grid may be larger than the work; then there are no pixels, and nothing is stored.
    let end = min(start + params.lines_per_split * params.out_width, params.lines * params.out_width);

    for (var first = 0u; first < matrix::QUARTERS; first += subgroups) {
        let quarter = (first + subgroup) % matrix::QUARTERS;
        let down = quarter / 2u * matrix::HALF;
        let across = quarter % 2u * matrix::HALF;
        var c00 = matrix::Sum();
        var c01 = matrix::Sum();
        var c10 = matrix::Sum();
        var c11 = matrix::Sum();
        if lane < matrix::DEPTH {
            corners[lane] = corner(start + lane);
        }
        workgroupBarrier();
        // The next pixels' factors are on their way while these are multiplied.
        let item = lane % matrix::FACTORS;
        let next = item + matrix::LANES;
        var value = x_eight(item, start, end, first_row4);
        var factor = dy_eight(item, start, end, first_column4);
        var second_value = value;
        var second_factor = factor;
        if matrix::ROUNDS == 2u {
            second_value = x_eight(next, start, end, first_row4);
            second_factor = dy_eight(next, start, end, first_column4);
        }
        workgroupBarrier();
        for (var pixel = start; pixel < end; pixel += matrix::DEPTH) {
            keep(lane, value, factor);
            keep(next, second_value, second_factor);
            if lane < matrix::DEPTH {
                corners[lane] = corner(pixel + matrix::DEPTH + lane);
            }
            workgroupBarrier();
            value = x_eight(item, pixel + matrix::DEPTH, end, first_row4);
            factor = dy_eight(item, pixel + matrix::DEPTH, end, first_column4);
            if matrix::ROUNDS == 2u {
                second_value = x_eight(next, pixel + matrix::DEPTH, end, first_row4);
                second_factor = dy_eight(next, pixel + matrix::DEPTH, end, first_column4);
            }
            for (var j = 0u; j < matrix::DEPTH; j += matrix::SIDE) {
                let a0 = coopLoad<matrix::Left>(&matrix::left[(j * ROW + down) / matrix::CELL], ROW / matrix::CELL);
                let a1 = coopLoad<matrix::Left>(&matrix::left[(j * ROW + down + matrix::SIDE) / matrix::CELL], ROW / matrix::CELL);
                let b0 = coopLoadT<matrix::Right>(&matrix::right[(j * ROW + across) / matrix::CELL], ROW / matrix::CELL);
                let b1 = coopLoadT<matrix::Right>(&matrix::right[(j * ROW + across + matrix::SIDE) / matrix::CELL], ROW / matrix::CELL);
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
        store_all(lane, first, quarters, split, first_row4 * 4u, first_column4);
        workgroupBarrier();
        coopStoreT(c01, &matrix::finished[to], matrix::SIDE);
        workgroupBarrier();
        store_all(lane, first, quarters, split, first_row4 * 4u, first_column4 + matrix::SIDE / 4u);
        workgroupBarrier();
        coopStoreT(c10, &matrix::finished[to], matrix::SIDE);
        workgroupBarrier();
        store_all(lane, first, quarters, split, first_row4 * 4u + matrix::SIDE, first_column4);
        workgroupBarrier();
        coopStoreT(c11, &matrix::finished[to], matrix::SIDE);
        workgroupBarrier();
        store_all(lane, first, quarters, split, first_row4 * 4u + matrix::SIDE, first_column4 + matrix::SIDE / 4u);
        workgroupBarrier();
    }
}
