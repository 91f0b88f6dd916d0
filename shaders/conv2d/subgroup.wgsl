// A convolution, or its gradient by the input, as an implicit matrix product in the registers of a subgroup of eight. Its lanes
// share 8 x LINES pixels and have QUADS x 4 channels of the result each. A lane loads the weights of its own channels; of the
// pixels it loads an eighth, which `subgroupShuffle` hands round, so that no number is loaded twice. On software adapters a load
// costs as much as a hundred products, and a shuffle by a constant next to nothing. No workgroup memory: they pay dearly for
// barriers. The window is in the uniform block, since each constant would be another kernel to compile.
//
// Rows of the product are pixels of the result, columns its channels, and the sum runs over taps and channels of the source. The
// gradient's pixels whose rows and columns leave the same rests when divided by the stride are seen under the same taps: they
// make a class, tiles keep to one class, and no other taps are tried.
#import gatefold::conv
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::line
#import gatefold::normalise

override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: conv::Maps;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> target_map: array<vec4<f32>>;
#ifdef BIAS
@group(0) @binding(#{BIAS}) var<storage, read> bias: array<vec4<f32>>;
#endif

// A pixel of the result: its number, or -1 if the tile has room for one that does not exist; and where its first tap lies: row and
// column of the source, and the first line of its picture there.
struct Place {
    pixel: i32,
    row: i32,
    column: i32,
    picture: i32,
}

#ifdef INPUT_GRADIENT
// The pixels of a class are numbered by picture, row and column; all classes are as large as the largest. Their taps are those
// whose distance from the class' first one is a multiple of the stride: each lies one row or column of dy before the last.
fn place(number: u32, class_row: u32, class_column: u32) -> Place {
    let class_width = (params.width + params.stride_w - 1u) / params.stride_w;
    let class_height = (params.height + params.stride_h - 1u) / params.stride_h;
    let p = conv::position(number, class_height, class_width);
    let row = p.row * params.stride_h + class_row;
    let column = p.column * params.stride_w + class_column;
    let pixel = (p.picture * params.height + row) * params.width + column;
    let exists = row < params.height && column < params.width && pixel < params.pixels;
    return Place(
        select(-1, i32(pixel), exists),
        i32(p.row + (class_row + params.pad_top) / params.stride_h),
        i32(p.column + (class_column + params.pad_left) / params.stride_w),
        i32(p.picture * params.source_height),
    );
}

fn run(p: Place, down: u32, across: u32) -> Run {
    return one_pixel(p, p.row - i32(down), p.column - i32(across));
}
#else
fn place(number: u32, class_row: u32, class_column: u32) -> Place {
    let p = conv::position(number, params.height, params.width);
    return Place(
        select(-1, i32(number), number < params.pixels),
        i32(p.row * params.stride_h) - i32(params.pad_top),
        i32(p.column * params.stride_w) - i32(params.pad_left),
        i32(p.picture * params.source_height),
    );
}

fn run(p: Place, down: u32, across: u32) -> Run {
    let row = p.row + i32(down);
    if !whole_rows() {
        return one_pixel(p, row, p.column + i32(across));
    }
    let cin4 = i32(params.cin / 4u);
    let first = max(-p.column, 0);
    let count = max(min(i32(params.kernel_w), i32(params.source_width) - p.column) - first, 0);
    let inside = row >= 0 && row < i32(params.source_height) && p.pixel >= 0;
    return Run(index(p, row, p.column), u32(first * cin4), select(0u, u32(count * cin4), inside));
}

// Whether the pixels under a row of taps follow each other without a gap, so that the sum can run over all of them at once: each
// loop around the sum fetches and stores it all once more.
fn whole_rows() -> bool {
#ifdef NORMALISE_FOUR
    return false;
#else
    return params.source_stride == params.cin;
#endif
}
#endif

// Where the numbers of a pass through the innermost loop lie: the index of the first vec4, which may be outside the picture, and
// those of them that are inside.
struct Run {
    index: i32,
    first: u32,
    count: u32,
}

fn index(p: Place, row: i32, column: i32) -> i32 {
    return conv::source_index(params, p.picture + row, column);
}

// The channels of one pixel.
fn one_pixel(p: Place, row: i32, column: i32) -> Run {
    let inside = conv::inside(row, column, params.source_height, params.source_width);
    return Run(index(p, row, column), 0u, select(0u, 0xffffffffu, inside && p.pixel >= 0));
}

fn load(r: Run, k: u32, norm: normalise::Four) -> vec4<f32> {
    let inside = k - r.first < r.count;
    return select(vec4<f32>(0.0), normalise::four(source[select(0u, u32(r.index) + k, inside)], norm), inside);
}

// What all lanes loaded.
fn all_of(own: vec4<f32>) -> line::Line {
    return line::Line(
        subgroupShuffle(own, 0u), subgroupShuffle(own, 1u), subgroupShuffle(own, 2u), subgroupShuffle(own, 3u),
        subgroupShuffle(own, 4u), subgroupShuffle(own, 5u), subgroupShuffle(own, 6u), subgroupShuffle(own, 7u),
    );
}

// Weights from four source channels on to the lane's channels.
struct Weights {
    m0: mat4x4<f32>,
#if QUADS >= 2
    m1: mat4x4<f32>,
#endif
#if QUADS == 4
    m2: mat4x4<f32>,
    m3: mat4x4<f32>,
#endif
}

// Eight pixels' sums.
struct Row {
    s0: line::Line,
#if QUADS >= 2
    s1: line::Line,
#endif
#if QUADS == 4
    s2: line::Line,
    s3: line::Line,
#endif
}

fn matrix(tap: u32, k: u32, column4: u32) -> mat4x4<f32> {
    let step = params.cout / 4u;
#ifdef INPUT_GRADIENT
    let i = (tap * params.cin + column4 * 4u) * step + k;
#else
    let i = (tap * params.cin + k * 4u) * step + column4;
#endif
    return mat4x4<f32>(weight[i], weight[i + step], weight[i + 2u * step], weight[i + 3u * step]);
}

fn weights(tap: u32, k: u32, c: line::Columns) -> Weights {
    return Weights(
        matrix(tap, k, c.a),
#if QUADS >= 2
        matrix(tap, k, c.b),
#endif
#if QUADS == 4
        matrix(tap, k, c.c),
        matrix(tap, k, c.d),
#endif
    );
}

fn add_line(sum: line::Line, w: mat4x4<f32>, q: line::Line) -> line::Line {
#ifdef INPUT_GRADIENT
    return line::add_transposed(sum, w, q);
#else
    return line::add(sum, w, q);
#endif
}

fn add(sum: Row, w: Weights, own: vec4<f32>) -> Row {
    let q = all_of(own);
    return Row(
        add_line(sum.s0, w.m0, q),
#if QUADS >= 2
        add_line(sum.s1, w.m1, q),
#endif
#if QUADS == 4
        add_line(sum.s2, w.m2, q),
        add_line(sum.s3, w.m3, q),
#endif
    );
}

fn start(column4: u32) -> line::Line {
    var v = vec4<f32>(0.0);
#ifdef BIAS
    v = bias[column4];
#endif
    return line::same(v);
}

fn store(pixel: i32, column4: u32, columns4: u32, v: vec4<f32>) {
    if pixel < 0 || column4 >= columns4 {
        return;
    }
    let i = (params.offset + u32(pixel) * params.stride) / 4u + column4;
    if ACCUMULATE {
        target_map[i] += v;
    } else {
        target_map[i] = epilogue::end_four(v, u32(pixel) * columns4 + column4, column4);
    }
}

// The numbers are stored in a loop over the pixels of a line, since a store is much code, and drivers compile slowly.
fn store_row(own: i32, number: u32, column4: u32, columns4: u32, sum: Row) {
    let pixel = subgroupShuffle(own, number);
    store(pixel, column4, columns4, line::pick(sum.s0, number));
#if QUADS >= 2
    store(pixel, column4 + 8u, columns4, line::pick(sum.s1, number));
#endif
#if QUADS == 4
    store(pixel, column4 + 16u, columns4, line::pick(sum.s2, number));
    store(pixel, column4 + 24u, columns4, line::pick(sum.s3, number));
#endif
}

#ifdef THEN_STATISTICS
// Mean and squared deviations of a channel quad's 32 pixels, of which `count` exist.
fn keep_quad(at: u32, count: u32, a: line::Line, b: line::Line, c: line::Line, d: line::Line) {
    let counts = vec4<u32>(count, max(count, 8u) - 8u, max(count, 16u) - 16u, max(count, 24u) - 24u);
    let sum = (line::total(a, counts.x) + line::total(b, counts.y)) + (line::total(c, counts.z) + line::total(d, counts.w));
    let mean = sum / f32(count);
    let upper = line::total(line::squares(a, mean), counts.x) + line::total(line::squares(b, mean), counts.y);
    let lower = line::total(line::squares(c, mean), counts.z) + line::total(line::squares(d, mean), counts.w);
    epilogue::then_means[at] = mean;
    epilogue::then_squares[at] = upper + lower;
}

fn keep(first_pixel: u32, column4: u32, columns4: u32, a: Row, b: Row, c: Row, d: Row) {
    let at = first_pixel / 32u * columns4 + column4;
    if first_pixel >= params.pixels {
        return;
    }
    let count = min(params.pixels - first_pixel, 32u);
    if column4 < columns4 {
        keep_quad(at, count, a.s0, b.s0, c.s0, d.s0);
    }
#if QUADS >= 2
    if column4 + 8u < columns4 {
        keep_quad(at + 8u, count, a.s1, b.s1, c.s1, d.s1);
    }
#endif
#if QUADS == 4
    if column4 + 16u < columns4 {
        keep_quad(at + 16u, count, a.s2, b.s2, c.s2, d.s2);
    }
    if column4 + 24u < columns4 {
        keep_quad(at + 24u, count, a.s3, b.s3, c.s3, d.s3);
    }
#endif
}
#endif

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
#ifdef INPUT_GRADIENT
    let columns4 = params.cin / 4u;
    let depth4 = params.cout / 4u;
    let class_pixels = params.pixels / (params.height * params.width)
        * ((params.height + params.stride_h - 1u) / params.stride_h)
        * ((params.width + params.stride_w - 1u) / params.stride_w);
#else
    let columns4 = params.cout / 4u;
    let taps_at_once = select(1u, params.kernel_w, whole_rows());
    let depth4 = params.cin / 4u * taps_at_once;
    let class_pixels = params.pixels;
#endif
    let tile = grid::linear_group(group, groups);
    let column_tiles = (columns4 + (8u * #{QUADS}u - 1u)) / (8u * #{QUADS}u);
    let row_tile = tile / column_tiles;
    let column4 = (tile - row_tile * column_tiles) * 8u * #{QUADS}u + lane;
    let class_tiles = (class_pixels + (8u * #{LINES}u - 1u)) / (8u * #{LINES}u);
#ifdef INPUT_GRADIENT
    let own = grid::class_of(row_tile, params.stride_h, params.stride_w);
    let class_row = own.row;
    let class_column = own.column;
    let class_tile = own.tile;
    let first_row = (class_row + params.pad_top) % params.stride_h;
    let first_column = (class_column + params.pad_left) % params.stride_w;
    let step_row = params.stride_h;
    let step_column = params.stride_w;
#else
    let class_row = 0u;
    let class_column = 0u;
    let class_tile = row_tile;
    let first_row = 0u;
    let first_column = 0u;
    let step_row = 1u;
    let step_column = taps_at_once;
#endif
    if class_tile >= class_tiles {
        return;
    }
    let first = class_tile * 8u * #{LINES}u + lane;
    let columns = line::columns(column4, columns4);

    let p0 = place(first, class_row, class_column);
    let p1 = place(first + 8u, class_row, class_column);
    let p2 = place(first + 16u, class_row, class_column);
    let p3 = place(first + 24u, class_row, class_column);
#if LINES == 8
    let p4 = place(first + 32u, class_row, class_column);
    let p5 = place(first + 40u, class_row, class_column);
    let p6 = place(first + 48u, class_row, class_column);
    let p7 = place(first + 56u, class_row, class_column);
#endif

    var r0 = Row(
        start(columns.a),
#if QUADS >= 2
        start(columns.b),
#endif
#if QUADS == 4
        start(columns.c),
        start(columns.d),
#endif
    );
    var r1 = r0;
    var r2 = r0;
    var r3 = r0;
#if LINES == 8
    var r4 = r0;
    var r5 = r0;
    var r6 = r0;
    var r7 = r0;
#endif
    var down = 0u;
    for (var tap_row = first_row; tap_row < params.kernel_h; tap_row += step_row) {
        var across = 0u;
        for (var tap_column = first_column; tap_column < params.kernel_w; tap_column += step_column) {
            let tap = tap_row * params.kernel_w + tap_column;
            let s0 = run(p0, down, across);
            let s1 = run(p1, down, across);
            let s2 = run(p2, down, across);
            let s3 = run(p3, down, across);
#if LINES == 8
            let s4 = run(p4, down, across);
            let s5 = run(p5, down, across);
            let s6 = run(p6, down, across);
            let s7 = run(p7, down, across);
#endif
            for (var k = 0u; k < depth4; k++) {
                let norm = normalise::four_of(k);
                let w = weights(tap, k, columns);
                r0 = add(r0, w, load(s0, k, norm));
                r1 = add(r1, w, load(s1, k, norm));
                r2 = add(r2, w, load(s2, k, norm));
                r3 = add(r3, w, load(s3, k, norm));
#if LINES == 8
                r4 = add(r4, w, load(s4, k, norm));
                r5 = add(r5, w, load(s5, k, norm));
                r6 = add(r6, w, load(s6, k, norm));
                r7 = add(r7, w, load(s7, k, norm));
#endif
            }
            across++;
        }
        down++;
    }
#ifdef THEN_STATISTICS
    keep(first - lane, column4, columns4, r0, r1, r2, r3);
#if LINES == 8
    keep(first - lane + 32u, column4, columns4, r4, r5, r6, r7);
#endif
#endif
    for (var number = 0u; number < 8u; number++) {
        store_row(p0.pixel, number, column4, columns4, r0);
        store_row(p1.pixel, number, column4, columns4, r1);
        store_row(p2.pixel, number, column4, columns4, r2);
        store_row(p3.pixel, number, column4, columns4, r3);
#if LINES == 8
        store_row(p4.pixel, number, column4, columns4, r4);
        store_row(p5.pixel, number, column4, columns4, r5);
        store_row(p6.pixel, number, column4, columns4, r6);
        store_row(p7.pixel, number, column4, columns4, r7);
#endif
    }
}
