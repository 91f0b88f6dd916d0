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

// Pixels x taps and input channels.
var<workgroup> x_tile: array<f16, matrix::DEPTH * ROW>;
// Pixels x output channels.
var<workgroup> dy_tile: array<f16, matrix::DEPTH * ROW>;
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

// Loads DEPTH pixels from `start` on, of a quad of taps and input channels and of one of output channels.
fn load(lane: u32, start: u32, end: u32, row4: u32, column4: u32) {
    let tap = row4 / CIN4;
    let tap_row = tap / KERNEL_W;
    let tap_column = tap - tap_row * KERNEL_W;
    for (var place = lane / matrix::SIDE; place < matrix::DEPTH; place += matrix::LANES / matrix::SIDE) {
        let pixel = start + place;
        var value = vec4<f32>(0.0);
        var upstream = vec4<f32>(0.0);
        if pixel < end && tap_row < KERNEL_H {
            value = seen(corners[place], tap_row, tap_column, row4 - tap * CIN4);
        }
        if pixel < end && column4 < COUT4 {
            upstream = dy[(params.dy_offset + pixel * params.dy_stride) / 4u + column4];
        }
        let to = place * ROW + lane % matrix::SIDE * 4u;
        x_tile[to] = f16(value.x);
        x_tile[to + 1u] = f16(value.y);
        x_tile[to + 2u] = f16(value.z);
        x_tile[to + 3u] = f16(value.w);
        dy_tile[to] = f16(upstream.x);
        dy_tile[to + 1u] = f16(upstream.y);
        dy_tile[to + 2u] = f16(upstream.z);
        dy_tile[to + 3u] = f16(upstream.w);
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
        for (var pixel = start; pixel < end; pixel += matrix::DEPTH) {
            load(lane, pixel, end, first_row4 + lane % matrix::SIDE, first_column4 + lane % matrix::SIDE);
            workgroupBarrier();
            // Those of the next pixels, which nobody reads before the barrier below.
            if lane < matrix::DEPTH {
                corners[lane] = corner(pixel + matrix::DEPTH + lane);
            }
            for (var j = 0u; j < matrix::DEPTH; j += matrix::SIDE) {
                let a0 = coopLoad<matrix::Left>(&x_tile[j * ROW + down], ROW);
                let a1 = coopLoad<matrix::Left>(&x_tile[j * ROW + down + matrix::SIDE], ROW);
                let b0 = coopLoadT<matrix::Right>(&dy_tile[j * ROW + across], ROW);
                let b1 = coopLoadT<matrix::Right>(&dy_tile[j * ROW + across + matrix::SIDE], ROW);
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
