// Gradient by its weights of a convolution of 3x3 taps that steps pixel by pixel: an invocation computes 4 input channels x 8
// output channels of all nine taps, so that each pixel it loads serves them all. No workgroup memory: software adapters pay
// dearly for barriers. The sums of all splits are added up in order by `sum_splits`.
#import gatefold::grid
#import gatefold::line

struct Params {
    lines: u32,            // n * output height
    lines_per_split: u32,
    height: u32,           // of x
    width: u32,
    out_height: u32,
    out_width: u32,
    cin: u32,
    cout: u32,
    splits: u32,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
}

override PAD_TOP: i32 = 0;
override PAD_LEFT: i32 = 0;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
// `sums` is `splits` times the weights' gradient; the gradient itself if there is one split.
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

fn quad_x(spot: i32, k: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), x[u32(max(spot, 0)) + k], spot >= 0);
}

fn quad_dy(spot: i32, k: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), dy[u32(max(spot, 0)) + k], spot >= 0);
}

fn reach(s: line::Spots, k: u32) -> line::Reach {
    return line::Reach(
        quad_x(s.a, k), quad_x(s.b, k), quad_x(s.c, k), quad_x(s.d, k), quad_x(s.e, k),
        quad_x(s.f, k), quad_x(s.g, k), quad_x(s.h, k), quad_x(s.i, k), quad_x(s.j, k),
    );
}

fn upstream(s: line::Spots, k: u32) -> line::Line {
    return line::Line(
        quad_dy(s.a, k), quad_dy(s.b, k), quad_dy(s.c, k), quad_dy(s.d, k),
        quad_dy(s.e, k), quad_dy(s.f, k), quad_dy(s.g, k), quad_dy(s.h, k),
    );
}

fn store(row: u32, column4: u32, left: vec4<f32>, right: vec4<f32>, two: bool) {
    let i = row * params.cout / 4u + column4;
    if ACCUMULATE {
        sums[i] += left;
    } else {
        sums[i] = left;
    }
    if two {
        if ACCUMULATE {
            sums[i + 1u] += right;
        } else {
            sums[i + 1u] = right;
        }
    }
}

fn store_tap(row: u32, column4: u32, tap: line::Tap, two: bool) {
    store(row, column4, tap.left.a, tap.right.a, two);
    store(row + 1u, column4, tap.left.b, tap.right.b, two);
    store(row + 2u, column4, tap.left.c, tap.right.c, two);
    store(row + 3u, column4, tap.left.d, tap.right.d, two);
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
    let split = row_tile / cin4;
    let row4 = row_tile - split * cin4;
    if split >= params.splits {
        return;
    }
    // The last tile's second half may not exist: it then computes the first half again and is not stored.
    let two = column4 + 1u < cout4;
    let next4 = select(column4, column4 + 1u, two);

    let x_step = i32(params.x_stride / 4u);
    let x_line = i32(params.width) * x_step;
    let dy_step = i32(params.dy_stride / 4u);
    let height = i32(params.height);
    let width = i32(params.width);
    let out_width = i32(params.out_width);
    let none = line::empty_tap();
    var t0 = none;
    var t1 = none;
    var t2 = none;
    var t3 = none;
    var t4 = none;
    var t5 = none;
    var t6 = none;
    var t7 = none;
    var t8 = none;
    let first_line = split * params.lines_per_split;
    let end_line = min(first_line + params.lines_per_split, params.lines);
    let spans = (params.out_width + 7u) / 8u;
    let steps = (max(end_line, first_line) - first_line) * spans;
    var line_number = first_line;
    var column = 0;
    for (var i = 0u; i < steps; i++) {
        let picture = line_number / params.out_height;
        let top = i32(line_number - picture * params.out_height) - PAD_TOP;
        let from_x = (i32(picture) * height + top) * x_line + i32(params.x_offset / 4u);
        let from_dy = i32(line_number) * out_width * dy_step + i32(params.dy_offset / 4u);
        let d = line::spots(from_dy, column, 1, dy_step, out_width, true);
        let left = upstream(d, column4);
        let right = upstream(d, next4);
        let before = column - PAD_LEFT;
        let q0 = reach(line::spots(from_x, before, 1, x_step, width, top >= 0 && top < height), row4);
        t0 = line::add_to_tap(t0, line::under_left(q0), left, right);
        t1 = line::add_to_tap(t1, line::under_middle(q0), left, right);
        t2 = line::add_to_tap(t2, line::under_right(q0), left, right);
        let q1 = reach(line::spots(from_x + x_line, before, 1, x_step, width, top + 1 >= 0 && top + 1 < height), row4);
        t3 = line::add_to_tap(t3, line::under_left(q1), left, right);
        t4 = line::add_to_tap(t4, line::under_middle(q1), left, right);
        t5 = line::add_to_tap(t5, line::under_right(q1), left, right);
        let q2 = reach(line::spots(from_x + 2 * x_line, before, 1, x_step, width, top + 2 >= 0 && top + 2 < height), row4);
        t6 = line::add_to_tap(t6, line::under_left(q2), left, right);
        t7 = line::add_to_tap(t7, line::under_middle(q2), left, right);
        t8 = line::add_to_tap(t8, line::under_right(q2), left, right);
        column += 8;
        if column >= out_width {
            column = 0;
            line_number += 1u;
        }
    }
    let to = (split * 9u * cin4 + row4) * 4u;
    store_tap(to, column4, t0, two);
    store_tap(to + params.cin, column4, t1, two);
    store_tap(to + 2u * params.cin, column4, t2, two);
    store_tap(to + 3u * params.cin, column4, t3, two);
    store_tap(to + 4u * params.cin, column4, t4, two);
    store_tap(to + 5u * params.cin, column4, t5, two);
    store_tap(to + 6u * params.cin, column4, t6, two);
    store_tap(to + 7u * params.cin, column4, t7, two);
    store_tap(to + 8u * params.cin, column4, t8, two);
}
