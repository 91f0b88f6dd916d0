// Gradient of a convolution by its weights through workgroup memory: a workgroup computes 64 rows x 64 columns of it, summed
// over some lines of dy, each of its 64 invocations 8 x 8 of them. For GPUs. `sum_splits` adds the splits up in order.
//
// Rows of the product are taps and input channels, columns output channels, and the sum runs over output pixels, 16 at a time.
#import gatefold::conv
#import gatefold::grid
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

// 16 pixels x 16 vec4 along taps and input channels.
var<workgroup> x_tile: array<vec4<f32>, 256>;
// 16 pixels x 16 vec4 along the output channels.
var<workgroup> dy_tile: array<vec4<f32>, 256>;

// The pixel that lies `step` behind another one. Nothing is divided: a step has fewer columns and rows than the map, so one of each
// is carried at most.
fn behind(p: conv::Position, step: conv::Position) -> conv::Position {
    let column = p.column + step.column;
    let next_row = column >= params.out_width;
    let row = p.row + step.row + u32(next_row);
    let next_picture = row >= params.out_height;
    return conv::Position(
        p.picture + step.picture + u32(next_picture),
        row - select(0u, params.out_height, next_picture),
        column - select(0u, params.out_width, next_row),
    );
}

// The input channels `channel4` that an output pixel sees under a tap.
fn seen(p: conv::Position, pixel: u32, end: u32, tap_row: u32, tap_column: u32, channel4: u32) -> vec4<f32> {
    let row = i32(p.row * STRIDE_H + tap_row) - PAD_TOP;
    let column = i32(p.column * STRIDE_W + tap_column) - PAD_LEFT;
    if pixel >= end || tap_row >= KERNEL_H || !conv::inside(row, column, params.height, params.width) {
        return vec4<f32>(0.0);
    }
    let source = (p.picture * params.height + u32(row)) * params.width + u32(column);
    return normalise::four(x[(params.x_offset + source * params.x_stride) / 4u + channel4], normalise::four_of(channel4));
}

fn upstream(pixel: u32, end: u32, column4: u32) -> vec4<f32> {
    if pixel >= end || column4 >= COUT4 {
        return vec4<f32>(0.0);
    }
    return dy[(params.dy_offset + pixel * params.dy_stride) / 4u + column4];
}

fn store(split: u32, row: u32, column4: u32, sum: vec4<f32>) {
    let rows = KERNEL_H * KERNEL_W * CIN4 * 4u;
    if row < rows && column4 < COUT4 {
        let to = (split * rows + row) * COUT4 + column4;
        var value = sum;
        if ACCUMULATE {
            value += sums[to];
        }
        sums[to] = value;
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = grid::linear_group(group, groups);
    let column_tiles = (COUT4 + 15u) / 16u;
    let row_tiles = (KERNEL_H * KERNEL_W * CIN4 + 15u) / 16u;
    let row_item = tile / column_tiles;
    let split = row_item / row_tiles;
    let first_column4 = (tile - row_item * column_tiles) * 16u;
    let first_row4 = (row_item - split * row_tiles) * 16u;
    // The grid may be larger than the work; a whole workgroup leaves, so the barriers below stay uniform.
    if split >= params.splits {
        return;
    }

    // Loading: each invocation keeps to one quad of rows and one quad of columns, and steps through the pixels.
    let load_pixel = lane / 16u;
    let load_row4 = first_row4 + lane % 16u;
    let load_column4 = first_column4 + lane % 16u;
    let tap = load_row4 / CIN4;
    let tap_row = tap / KERNEL_W;
    let tap_column = tap - tap_row * KERNEL_W;
    let channel4 = load_row4 - tap * CIN4;

    // Computing: rows 4 (down + 8 i), columns across and across + 8 (in vec4).
    let down = lane / 8u;
    let across = lane % 8u;
    var l0 = vec4<f32>(0.0); var l1 = vec4<f32>(0.0); var l2 = vec4<f32>(0.0); var l3 = vec4<f32>(0.0);
    var l4 = vec4<f32>(0.0); var l5 = vec4<f32>(0.0); var l6 = vec4<f32>(0.0); var l7 = vec4<f32>(0.0);
    var r0 = vec4<f32>(0.0); var r1 = vec4<f32>(0.0); var r2 = vec4<f32>(0.0); var r3 = vec4<f32>(0.0);
    var r4 = vec4<f32>(0.0); var r5 = vec4<f32>(0.0); var r6 = vec4<f32>(0.0); var r7 = vec4<f32>(0.0);

    let first = split * params.lines_per_split * params.out_width;
    let end = min(first + params.lines_per_split * params.out_width, params.lines * params.out_width);
    // The next step's numbers are on their way while this one's are multiplied.
    var p = first + load_pixel;
    let step = conv::position(4u, params.out_height, params.out_width);
    var at = conv::position(p, params.out_height, params.out_width);
    var next0 = seen(at, p, end, tap_row, tap_column, channel4);
    at = behind(at, step);
    var next1 = seen(at, p + 4u, end, tap_row, tap_column, channel4);
    at = behind(at, step);
    var next2 = seen(at, p + 8u, end, tap_row, tap_column, channel4);
    at = behind(at, step);
    var next3 = seen(at, p + 12u, end, tap_row, tap_column, channel4);
    var next4 = upstream(p, end, load_column4);
    var next5 = upstream(p + 4u, end, load_column4);
    var next6 = upstream(p + 8u, end, load_column4);
    var next7 = upstream(p + 12u, end, load_column4);
    for (var start = first; start < end; start += 16u) {
        x_tile[lane] = next0;
        x_tile[lane + 64u] = next1;
        x_tile[lane + 128u] = next2;
        x_tile[lane + 192u] = next3;
        dy_tile[lane] = next4;
        dy_tile[lane + 64u] = next5;
        dy_tile[lane + 128u] = next6;
        dy_tile[lane + 192u] = next7;
        workgroupBarrier();
        p = start + 16u + load_pixel;
        at = behind(at, step);
        next0 = seen(at, p, end, tap_row, tap_column, channel4);
        at = behind(at, step);
        next1 = seen(at, p + 4u, end, tap_row, tap_column, channel4);
        at = behind(at, step);
        next2 = seen(at, p + 8u, end, tap_row, tap_column, channel4);
        at = behind(at, step);
        next3 = seen(at, p + 12u, end, tap_row, tap_column, channel4);
        next4 = upstream(p, end, load_column4);
        next5 = upstream(p + 4u, end, load_column4);
        next6 = upstream(p + 8u, end, load_column4);
        next7 = upstream(p + 12u, end, load_column4);
        for (var j = 0u; j < 256u; j += 16u) {
            let bl = dy_tile[j + across];
            let br = dy_tile[j + across + 8u];
            let upper = x_tile[j + down];
            let lower = x_tile[j + down + 8u];
            l0 += upper.x * bl;
            r0 += upper.x * br;
            l1 += upper.y * bl;
            r1 += upper.y * br;
            l2 += upper.z * bl;
            r2 += upper.z * br;
            l3 += upper.w * bl;
            r3 += upper.w * br;
            l4 += lower.x * bl;
            r4 += lower.x * br;
            l5 += lower.y * bl;
            r5 += lower.y * br;
            l6 += lower.z * bl;
            r6 += lower.z * br;
            l7 += lower.w * bl;
            r7 += lower.w * br;
        }
        workgroupBarrier();
    }
    let row = (first_row4 + down) * 4u;
    let column4 = first_column4 + across;
    store(split, row, column4, l0);
    store(split, row, column4 + 8u, r0);
    store(split, row + 1u, column4, l1);
    store(split, row + 1u, column4 + 8u, r1);
    store(split, row + 2u, column4, l2);
    store(split, row + 2u, column4 + 8u, r2);
    store(split, row + 3u, column4, l3);
    store(split, row + 3u, column4 + 8u, r3);
    store(split, row + 32u, column4, l4);
    store(split, row + 32u, column4 + 8u, r4);
    store(split, row + 33u, column4, l5);
    store(split, row + 33u, column4 + 8u, r5);
    store(split, row + 34u, column4, l6);
    store(split, row + 34u, column4 + 8u, r6);
    store(split, row + 35u, column4, l7);
    store(split, row + 35u, column4 + 8u, r7);
}
