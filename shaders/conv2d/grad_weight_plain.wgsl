// Gradient of a convolution by its weights, one number per invocation and split: the plain variant, for any alignment. The sums
// of all splits are added up in order by `sum_splits`.
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
override CIN: u32 = 1u;
override COUT: u32 = 1u;

@group(0) @binding(0) var<uniform> params: conv::Weights;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
// `sums` is `splits` times the weights' gradient; the gradient itself if there is one split.
@group(0) @binding(3) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    let row = item / COUT;
    let channel = item - row * COUT;
    let tap_item = row / CIN;
    let in_channel = row - tap_item * CIN;
    let split = tap_item / (KERNEL_H * KERNEL_W);
    if split >= params.splits {
        return;
    }
    let tap = tap_item - split * (KERNEL_H * KERNEL_W);
    let tap_row = tap / KERNEL_W;
    let tap_column = tap - tap_row * KERNEL_W;
    let range = conv::columns(params, tap_column, STRIDE_W, PAD_LEFT);
    let first_line = split * params.lines_per_split;
    let end_line = min(first_line + params.lines_per_split, params.lines);
    let norm = normalise::one_of(in_channel);
    var sum = 0.0;
    for (var line = first_line; line < end_line; line++) {
        let picture = line / params.out_height;
        let row = i32((line - picture * params.out_height) * STRIDE_H + tap_row) - PAD_TOP;
        if row < 0 || row >= i32(params.height) {
            continue;
        }
        let column = u32(i32(range.x * STRIDE_W + tap_column) - PAD_LEFT);
        let pixel = (picture * params.height + u32(row)) * params.width + column;
        var from_x = params.x_offset + pixel * params.x_stride + in_channel;
        var from_dy = params.dy_offset + (line * params.out_width + range.x) * params.dy_stride + channel;
        for (var k = range.x; k < range.y; k++) {
            sum += normalise::one(x[from_x], norm) * dy[from_dy];
            from_x += STRIDE_W * params.x_stride;
            from_dy += params.dy_stride;
        }
    }
    if ACCUMULATE {
        sum += sums[item];
    }
    sums[item] = sum;
}
