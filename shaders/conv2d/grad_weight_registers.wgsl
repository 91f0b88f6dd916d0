// Gradient of a convolution by its weights, kept in registers: an invocation computes 8 input channels x 8 output channels of
// one tap, summed over some lines of dy. The sums of all splits are added up in order by `sum_splits`.
//
// Rows of the product are taps and input channels, columns output channels, and the sum runs over output pixels.
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

@group(0) @binding(0) var<uniform> params: conv::Weights;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
// `sums` is `splits` times the weights' gradient; the gradient itself if there is one split.
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

fn store(row: u32, column4: u32, left: vec4<f32>, right: vec4<f32>) {
    let to = row * params.cout / 4u + column4;
    if ACCUMULATE {
        sums[to] += left;
    } else {
        sums[to] = left;
    }
    if column4 + 1u < params.cout / 4u {
        if ACCUMULATE {
            sums[to + 1u] += right;
        } else {
            sums[to + 1u] = right;
        }
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
    let row_tiles = (cin4 + 1u) / 2u;
    let row_tile = tile / column_tiles;
    let tap_tile = row_tile / row_tiles;
    let split = tap_tile / (KERNEL_H * KERNEL_W);
    if split >= params.splits {
        return;
    }
    let column4 = (tile - row_tile * column_tiles) * 2u;
    let row4 = (row_tile - tap_tile * row_tiles) * 2u;
    let tap = tap_tile - split * (KERNEL_H * KERNEL_W);
    let tap_row = tap / KERNEL_W;
    let tap_column = tap - tap_row * KERNEL_W;
    // The last tile's second half may not exist: it then computes the first half again and is not stored.
    let next_column4 = min(column4 + 1u, cout4 - 1u);
    let next_row4 = min(row4 + 1u, cin4 - 1u);

    var l0 = vec4<f32>(0.0); var l1 = vec4<f32>(0.0); var l2 = vec4<f32>(0.0); var l3 = vec4<f32>(0.0);
    var l4 = vec4<f32>(0.0); var l5 = vec4<f32>(0.0); var l6 = vec4<f32>(0.0); var l7 = vec4<f32>(0.0);
    var r0 = vec4<f32>(0.0); var r1 = vec4<f32>(0.0); var r2 = vec4<f32>(0.0); var r3 = vec4<f32>(0.0);
    var r4 = vec4<f32>(0.0); var r5 = vec4<f32>(0.0); var r6 = vec4<f32>(0.0); var r7 = vec4<f32>(0.0);

    let upper_norm = normalise::four_of(row4);
    let lower_norm = normalise::four_of(next_row4);
    let range = conv::columns(params, tap_column, STRIDE_W, PAD_LEFT);
    let first_line = split * params.lines_per_split;
    let end_line = min(first_line + params.lines_per_split, params.lines);
    let x_step = STRIDE_W * params.x_stride / 4u;
    let dy_step = params.dy_stride / 4u;
    for (var line = first_line; line < end_line; line++) {
        let picture = line / params.out_height;
        let row = i32((line - picture * params.out_height) * STRIDE_H + tap_row) - PAD_TOP;
        if row < 0 || row >= i32(params.height) {
            continue;
        }
        let column = u32(i32(range.x * STRIDE_W + tap_column) - PAD_LEFT);
        let pixel = (picture * params.height + u32(row)) * params.width + column;
        var from_x = (params.x_offset + pixel * params.x_stride) / 4u;
        var from_dy = (params.dy_offset + (line * params.out_width + range.x) * params.dy_stride) / 4u;
        for (var k = range.x; k < range.y; k++) {
            let bl = dy[from_dy + column4];
            let br = dy[from_dy + next_column4];
            let upper = normalise::four(x[from_x + row4], upper_norm);
            let lower = normalise::four(x[from_x + next_row4], lower_norm);
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
            from_x += x_step;
            from_dy += dy_step;
        }
    }
    let to = ((split * KERNEL_H * KERNEL_W + tap) * cin4 + row4) * 4u;
    store(to, column4, l0, r0);
    store(to + 1u, column4, l1, r1);
    store(to + 2u, column4, l2, r2);
    store(to + 3u, column4, l3, r3);
    if row4 + 1u < cin4 {
        store(to + 4u, column4, l4, r4);
        store(to + 5u, column4, l5, r5);
        store(to + 6u, column4, l6, r6);
        store(to + 7u, column4, l7, r7);
    }
}
