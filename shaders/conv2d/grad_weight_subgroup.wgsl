// Gradient of a convolution by its weights in the registers of a subgroup of eight. Its lanes share 8 x LINES rows of the
// weights (input channels of one tap, or of several) and have QUADS x 4 output channels each, summed over some lines of pixels,
// four pixels at a time. A lane loads its own channels of dy; of x it loads an eighth, which `subgroupShuffle` hands round. The
// sums of all splits are added up in order by `sum_splits`. Why so: see `subgroup.wgsl`.
#import gatefold::conv
#import gatefold::grid
#import gatefold::line
#import gatefold::normalise

override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: conv::Weights;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
// `sums` is `splits` times the weights' gradient; the gradient itself if there is one split.
@group(0) @binding(3) var<storage, read_write> sums: array<vec4<f32>>;

// Four rows of the weights that a lane loads: their tap, counted from the window's corner, and their place in a pixel of x.
struct Tap {
    row: i32,
    column: i32,
    channel4: u32,
}

// Those past the last ones are loaded like them and not stored.
fn tap(number: u32, cin4: u32) -> Tap {
    let n = min(number, params.kernel_h * params.kernel_w * cin4 - 1u);
    let position = n / cin4;
    let row = position / params.kernel_w;
    return Tap(
        i32(row) - i32(params.pad_top),
        i32(position - row * params.kernel_w) - i32(params.pad_left),
        n - position * cin4,
    );
}

// Where a pixel's window begins, without the padding; the first line of its picture in x; and whether there is such a pixel.
struct Corner {
    row: i32,
    column: i32,
    picture: i32,
    exists: bool,
}

fn corner(number: u32, end: u32) -> Corner {
    let pixel = min(number, end - 1u);
    let out_row = grid::quotient(pixel, params.out_width, 1.0 / f32(params.out_width));
    let picture = grid::quotient(out_row, params.out_height, 1.0 / f32(params.out_height));
    return Corner(
        i32((out_row - picture * params.out_height) * params.stride_h),
        i32((pixel - out_row * params.out_width) * params.stride_w),
        i32(picture * params.height),
        number < end,
    );
}

fn load(c: Corner, t: Tap, norm: normalise::Four) -> vec4<f32> {
    let row = c.row + t.row;
    let column = c.column + t.column;
    let inside = c.exists && conv::inside(row, column, params.height, params.width);
    let pixel = select(0, (c.picture + row) * i32(params.width) + column, inside);
    let i = (params.x_offset + u32(pixel) * params.x_stride) / 4u + t.channel4;
    return select(vec4<f32>(0.0), normalise::four(x[i], norm), inside);
}

// Four pixels.
struct Corners {
    a: Corner,
    b: Corner,
    c: Corner,
    d: Corner,
}

// The lane's rows of four pixels, one column each.
fn load_four(c: Corners, t: Tap, norm: normalise::Four) -> mat4x4<f32> {
    return mat4x4<f32>(load(c.a, t, norm), load(c.b, t, norm), load(c.c, t, norm), load(c.d, t, norm));
}

fn all_of(own: mat4x4<f32>, from_lane: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        subgroupShuffle(own[0], from_lane),
        subgroupShuffle(own[1], from_lane),
        subgroupShuffle(own[2], from_lane),
        subgroupShuffle(own[3], from_lane),
    );
}

// Those channels of four pixels of dy, one column each.
struct Upstream {
    m0: mat4x4<f32>,
#if QUADS >= 2
    m1: mat4x4<f32>,
#endif
#if QUADS == 4
    m2: mat4x4<f32>,
    m3: mat4x4<f32>,
#endif
}

// First vec4s of four pixels of dy. Those past the end are loaded like the last one; x counts as zeros there.
fn pixels(first: u32, end: u32) -> vec4<u32> {
    let numbers = min(vec4<u32>(first, first + 1u, first + 2u, first + 3u), vec4<u32>(end - 1u));
    return (params.dy_offset + numbers * params.dy_stride) / 4u;
}

fn matrix(p: vec4<u32>, column4: u32) -> mat4x4<f32> {
    return mat4x4<f32>(dy[p.x + column4], dy[p.y + column4], dy[p.z + column4], dy[p.w + column4]);
}

fn upstream(p: vec4<u32>, c: line::Columns) -> Upstream {
    return Upstream(
        matrix(p, c.a),
#if QUADS >= 2
        matrix(p, c.b),
#endif
#if QUADS == 4
        matrix(p, c.c),
        matrix(p, c.d),
#endif
    );
}

// Sums of four rows.
struct Four {
    b0: line::Block,
#if QUADS >= 2
    b1: line::Block,
#endif
#if QUADS == 4
    b2: line::Block,
    b3: line::Block,
#endif
}

fn empty() -> Four {
    return Four(
        line::empty(),
#if QUADS >= 2
        line::empty(),
#endif
#if QUADS == 4
        line::empty(),
        line::empty(),
#endif
    );
}

// sum + the products of four pixels; the columns of `rows` are the four rows of the weights.
fn add_block(sum: line::Block, d: mat4x4<f32>, rows: mat4x4<f32>) -> line::Block {
    return line::Block(sum.a + d * rows[0], sum.b + d * rows[1], sum.c + d * rows[2], sum.d + d * rows[3]);
}

fn add(sum: Four, own: mat4x4<f32>, d: Upstream) -> Four {
    let rows = transpose(own);
    return Four(
        add_block(sum.b0, d.m0, rows),
#if QUADS >= 2
        add_block(sum.b1, d.m1, rows),
#endif
#if QUADS == 4
        add_block(sum.b2, d.m2, rows),
        add_block(sum.b3, d.m3, rows),
#endif
    );
}

// Sums of the rows that all lanes load at once.
struct Rows {
    r0: Four,
    r1: Four,
    r2: Four,
    r3: Four,
    r4: Four,
    r5: Four,
    r6: Four,
    r7: Four,
}

fn add_all(sum: Rows, own: mat4x4<f32>, d: Upstream) -> Rows {
    return Rows(
        add(sum.r0, all_of(own, 0u), d),
        add(sum.r1, all_of(own, 1u), d),
        add(sum.r2, all_of(own, 2u), d),
        add(sum.r3, all_of(own, 3u), d),
        add(sum.r4, all_of(own, 4u), d),
        add(sum.r5, all_of(own, 5u), d),
        add(sum.r6, all_of(own, 6u), d),
        add(sum.r7, all_of(own, 7u), d),
    );
}

fn store(i: u32, v: vec4<f32>) {
    if ACCUMULATE {
        sums[i] += v;
    } else {
        sums[i] = v;
    }
}

fn store_block(to: u32, step: u32, column4: u32, v: line::Block) {
    if column4 < step {
        store(to + column4, v.a);
        store(to + step + column4, v.b);
        store(to + 2u * step + column4, v.c);
        store(to + 3u * step + column4, v.d);
    }
}

fn store_four(split: u32, number: u32, count: u32, column4: u32, sum: Four) {
    if number >= count {
        return;
    }
    let step = params.cout / 4u;
    let to = (split * count + number) * 4u * step;
    store_block(to, step, column4, sum.b0);
#if QUADS >= 2
    store_block(to, step, column4 + 8u, sum.b1);
#endif
#if QUADS == 4
    store_block(to, step, column4 + 16u, sum.b2);
    store_block(to, step, column4 + 24u, sum.b3);
#endif
}

fn pick_block(a: line::Block, b: line::Block, second: bool) -> line::Block {
    return line::Block(select(a.a, b.a, second), select(a.b, b.b, second), select(a.c, b.c, second), select(a.d, b.d, second));
}

fn pick(a: Four, b: Four, second: bool) -> Four {
    return Four(
        pick_block(a.b0, b.b0, second),
#if QUADS >= 2
        pick_block(a.b1, b.b1, second),
#endif
#if QUADS == 4
        pick_block(a.b2, b.b2, second),
        pick_block(a.b3, b.b3, second),
#endif
    );
}

// In a loop, since a store is much code, and drivers compile slowly.
fn store_rows(split: u32, first: u32, count: u32, column4: u32, sum: Rows) {
    for (var number = 0u; number < 8u; number++) {
        let upper = pick(pick(sum.r0, sum.r1, number == 1u), pick(sum.r2, sum.r3, number == 3u), number >= 2u);
        let lower = pick(pick(sum.r4, sum.r5, number == 5u), pick(sum.r6, sum.r7, number == 7u), number >= 6u);
        store_four(split, first + number, count, column4, pick(upper, lower, number >= 4u));
    }
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let cin4 = params.cin / 4u;
    let cout4 = params.cout / 4u;
    // Rows of the weights, in fours.
    let count = params.kernel_h * params.kernel_w * cin4;
    let tile = grid::linear_group(group, groups);
    let column_tiles = (cout4 + (8u * #{QUADS}u - 1u)) / (8u * #{QUADS}u);
    let row_tiles = (count + (2u * #{LINES}u - 1u)) / (2u * #{LINES}u);
    let row_tile = tile / column_tiles;
    let column4 = (tile - row_tile * column_tiles) * 8u * #{QUADS}u + lane;
    let split = row_tile / row_tiles;
    let first = (row_tile - split * row_tiles) * 2u * #{LINES}u;
    if split >= params.splits {
        return;
    }
    let columns = line::columns(column4, cout4);
    let none = Rows(empty(), empty(), empty(), empty(), empty(), empty(), empty(), empty());
    let t0 = tap(first + lane, cin4);
    let n0 = normalise::four_of(t0.channel4);
    var sum0 = none;
#if LINES == 8
    let t1 = tap(first + 8u + lane, cin4);
    let n1 = normalise::four_of(t1.channel4);
    var sum1 = none;
#endif
    let first_line = split * params.lines_per_split;
    let end = min(first_line + params.lines_per_split, params.lines) * params.out_width;
    for (var pixel = first_line * params.out_width; pixel < end; pixel += 4u) {
        let d = upstream(pixels(pixel, end), columns);
        let c = Corners(corner(pixel, end), corner(pixel + 1u, end), corner(pixel + 2u, end), corner(pixel + 3u, end));
        sum0 = add_all(sum0, load_four(c, t0, n0), d);
#if LINES == 8
        sum1 = add_all(sum1, load_four(c, t1, n1), d);
#endif
    }
    store_rows(split, first, count, column4, sum0);
#if LINES == 8
    store_rows(split, first + 8u, count, column4, sum1);
#endif
}
