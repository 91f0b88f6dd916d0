// Gradient by its weights of a convolution of one tap: an invocation computes 16 input channels x 16 output channels, summed over some lines of pixels. No workgroup memory: software adapters pay dearly for barriers. The sums
// of all splits are added up in order by `sum_splits`.
#import gatefold::grid
#import gatefold::line
#import gatefold::normalise

struct Params {
    lines: u32,            // n * out_height
    lines_per_split: u32,
    height: u32,           // of x
    width: u32,
    out_height: u32,       // of dy
    out_width: u32,
    cin: u32,
    cout: u32,
    splits: u32,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
}

override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
// `sums` is `splits` times the weights' gradient; the gradient itself if there is one split.
#ifdef NORMALISE
@group(0) @binding(3) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> sums: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;
#endif

fn norm_of(channel: u32) -> normalise::Four {
#ifdef NORMALISE
    return normalise::Four(mean[channel], scale[channel], shift[channel]);
#else
    return normalise::Four(0u);
#endif
}

// Sixteen channels of a pixel.
struct Sixteen {
    c0: vec4<f32>,
    c1: vec4<f32>,
    c2: vec4<f32>,
    c3: vec4<f32>,
}

// Sums of four input channels and sixteen output channels.
struct Row {
    b0: line::Block,
    b1: line::Block,
    b2: line::Block,
    b3: line::Block,
}

fn add(sum: Row, a: vec4<f32>, d: Sixteen) -> Row {
    return Row(
        line::outer(sum.b0, a, d.c0),
        line::outer(sum.b1, a, d.c1),
        line::outer(sum.b2, a, d.c2),
        line::outer(sum.b3, a, d.c3),
    );
}

// Channels past the last one are computed like it and not stored.
struct Quads {
    q0: u32,
    q1: u32,
    q2: u32,
    q3: u32,
}

fn quads(first: u32, count: u32) -> Quads {
    return Quads(first, min(first + 1u, count - 1u), min(first + 2u, count - 1u), min(first + 3u, count - 1u));
}

// First vec4 of the pixel of x that an output pixel saw.
fn under(pixel: u32) -> u32 {
    var seen = pixel;
    if STRIDE_H * STRIDE_W > 1u {
        let out_row = grid::quotient(pixel, params.out_width, 1.0 / f32(params.out_width));
        let picture = grid::quotient(out_row, params.out_height, 1.0 / f32(params.out_height));
        let row = picture * params.height + (out_row - picture * params.out_height) * STRIDE_H;
        seen = row * params.width + (pixel - out_row * params.out_width) * STRIDE_W;
    }
    return (params.x_offset + seen * params.x_stride) / 4u;
}

fn upstream(pixel: u32, q: Quads) -> Sixteen {
    let i = (params.dy_offset + pixel * params.dy_stride) / 4u;
    return Sixteen(dy[i + q.q0], dy[i + q.q1], dy[i + q.q2], dy[i + q.q3]);
}

fn store(row: u32, column4: u32, v: vec4<f32>) {
    if column4 < params.cout / 4u {
        let i = row * params.cout / 4u + column4;
        if ACCUMULATE {
            sums[i] += v;
        } else {
            sums[i] = v;
        }
    }
}

fn store_row(split: u32, row4: u32, column4: u32, sum: Row) {
    if row4 < params.cin / 4u {
        store_block(split * params.cin + row4 * 4u, column4, sum.b0);
        store_block(split * params.cin + row4 * 4u, column4 + 1u, sum.b1);
        store_block(split * params.cin + row4 * 4u, column4 + 2u, sum.b2);
        store_block(split * params.cin + row4 * 4u, column4 + 3u, sum.b3);
    }
}

fn store_block(row: u32, column4: u32, v: line::Block) {
    store(row, column4, v.a);
    store(row + 1u, column4, v.b);
    store(row + 2u, column4, v.c);
    store(row + 3u, column4, v.d);
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
    let column_tiles = (cout4 + 3u) / 4u;
    let row_tiles = (cin4 + 3u) / 4u;
    let row_tile = tile / column_tiles;
    let column4 = (tile - row_tile * column_tiles) * 4u;
    let split = row_tile / row_tiles;
    let row4 = (row_tile - split * row_tiles) * 4u;
    if split >= params.splits {
        return;
    }
    let columns = quads(column4, cout4);
    let rows = quads(row4, cin4);
    let n0 = norm_of(rows.q0);
    let n1 = norm_of(rows.q1);
    let n2 = norm_of(rows.q2);
    let n3 = norm_of(rows.q3);
    let none = Row(line::empty(), line::empty(), line::empty(), line::empty());
    var r0 = none;
    var r1 = none;
    var r2 = none;
    var r3 = none;
    let first_line = split * params.lines_per_split;
    let end = min(first_line + params.lines_per_split, params.lines) * params.out_width;
    // Two pixels at a time; the one past the end counts as zeros.
    for (var pixel = first_line * params.out_width; pixel < end; pixel += 2u) {
        let i = under(pixel);
        let d = upstream(pixel, columns);
        r0 = add(r0, normalise::four(x[i + rows.q0], n0), d);
        r1 = add(r1, normalise::four(x[i + rows.q1], n1), d);
        r2 = add(r2, normalise::four(x[i + rows.q2], n2), d);
        r3 = add(r3, normalise::four(x[i + rows.q3], n3), d);
        let next = min(pixel + 1u, end - 1u);
        let share = select(0.0, 1.0, pixel + 1u < end);
        let j = under(next);
        let e = upstream(next, columns);
        r0 = add(r0, share * normalise::four(x[j + rows.q0], n0), e);
        r1 = add(r1, share * normalise::four(x[j + rows.q1], n1), e);
        r2 = add(r2, share * normalise::four(x[j + rows.q2], n2), e);
        r3 = add(r3, share * normalise::four(x[j + rows.q3], n3), e);
    }
    store_row(split, row4, column4, r0);
    store_row(split, row4 + 1u, column4, r1);
    store_row(split, row4 + 2u, column4, r2);
    store_row(split, row4 + 3u, column4, r3);
}
