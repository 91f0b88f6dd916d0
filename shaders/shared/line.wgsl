#define_import_path gatefold::line

// Tiles of convolutions without workgroup memory. Software adapters load each number by itself, so what counts is how many
// products a loaded vector serves. Everything is a named vector: arrays would not stay in registers, and loops would not unroll.

// Four channels of eight neighbouring pixels.
struct Line {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
    e: vec4<f32>,
    f: vec4<f32>,
    g: vec4<f32>,
    h: vec4<f32>,
}

// Four channels of the ten pixels that a row of three taps sees under eight neighbouring pixels.
struct Reach {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
    e: vec4<f32>,
    f: vec4<f32>,
    g: vec4<f32>,
    h: vec4<f32>,
    i: vec4<f32>,
    j: vec4<f32>,
}

// Where those ten pixels lie: indices of vec4s, or -1 outside the picture.
struct Spots {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
    e: i32,
    f: i32,
    g: i32,
    h: i32,
    i: i32,
    j: i32,
}

// The ten pixels from `column` on, each `apart` columns from the next. `first` is the index of column 0, a pixel takes `step` vec4s,
// and `inside` says whether there is such a row.
fn spots(first: i32, column: i32, apart: i32, step: i32, width: i32, inside: bool) -> Spots {
    return Spots(
        spot(first, column, step, width, inside),
        spot(first, column + apart, step, width, inside),
        spot(first, column + 2 * apart, step, width, inside),
        spot(first, column + 3 * apart, step, width, inside),
        spot(first, column + 4 * apart, step, width, inside),
        spot(first, column + 5 * apart, step, width, inside),
        spot(first, column + 6 * apart, step, width, inside),
        spot(first, column + 7 * apart, step, width, inside),
        spot(first, column + 8 * apart, step, width, inside),
        spot(first, column + 9 * apart, step, width, inside),
    );
}

fn spot(first: i32, column: i32, step: i32, width: i32, inside: bool) -> i32 {
    return select(-1, first + column * step, inside && column >= 0 && column < width);
}

// Eight pixels that hold the same.
fn same(v: vec4<f32>) -> Line {
    return Line(v, v, v, v, v, v, v, v);
}

// Three taps of a kernel's row: each turns four source channels into four target channels.
struct Taps {
    left: mat4x4<f32>,
    middle: mat4x4<f32>,
    right: mat4x4<f32>,
}

// sum + taps * q, tap by tap.
fn add_taps(sum: Line, w: Taps, q: Reach) -> Line {
    return Line(
        sum.a + w.left * q.a + w.middle * q.b + w.right * q.c,
        sum.b + w.left * q.b + w.middle * q.c + w.right * q.d,
        sum.c + w.left * q.c + w.middle * q.d + w.right * q.e,
        sum.d + w.left * q.d + w.middle * q.e + w.right * q.f,
        sum.e + w.left * q.e + w.middle * q.f + w.right * q.g,
        sum.f + w.left * q.f + w.middle * q.g + w.right * q.h,
        sum.g + w.left * q.g + w.middle * q.h + w.right * q.i,
        sum.h + w.left * q.h + w.middle * q.i + w.right * q.j,
    );
}

// The same where the matrices' columns are target channels: q * taps.
fn add_taps_transposed(sum: Line, w: Taps, q: Reach) -> Line {
    return Line(
        sum.a + q.a * w.left + q.b * w.middle + q.c * w.right,
        sum.b + q.b * w.left + q.c * w.middle + q.d * w.right,
        sum.c + q.c * w.left + q.d * w.middle + q.e * w.right,
        sum.d + q.d * w.left + q.e * w.middle + q.f * w.right,
        sum.e + q.e * w.left + q.f * w.middle + q.g * w.right,
        sum.f + q.f * w.left + q.g * w.middle + q.h * w.right,
        sum.g + q.g * w.left + q.h * w.middle + q.i * w.right,
        sum.h + q.h * w.left + q.i * w.middle + q.j * w.right,
    );
}

// sum + w * line, pixel by pixel.
fn add(sum: Line, w: mat4x4<f32>, line: Line) -> Line {
    return Line(
        sum.a + w * line.a,
        sum.b + w * line.b,
        sum.c + w * line.c,
        sum.d + w * line.d,
        sum.e + w * line.e,
        sum.f + w * line.f,
        sum.g + w * line.g,
        sum.h + w * line.h,
    );
}

fn add_transposed(sum: Line, w: mat4x4<f32>, line: Line) -> Line {
    return Line(
        sum.a + line.a * w,
        sum.b + line.b * w,
        sum.c + line.c * w,
        sum.d + line.d * w,
        sum.e + line.e * w,
        sum.f + line.f * w,
        sum.g + line.g * w,
        sum.h + line.h * w,
    );
}

// Products of four input channels with four output channels.
struct Block {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn empty() -> Block {
    return Block(vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0));
}

// sum + the outer product of a pixel's input channels with its output channels.
fn outer(sum: Block, a: vec4<f32>, b: vec4<f32>) -> Block {
    return Block(sum.a + a.x * b, sum.b + a.y * b, sum.c + a.z * b, sum.d + a.w * b);
}

// The same over eight pixels.
fn outer_line(sum: Block, a: Line, b: Line) -> Block {
    var s = outer(sum, a.a, b.a);
    s = outer(s, a.b, b.b);
    s = outer(s, a.c, b.c);
    s = outer(s, a.d, b.d);
    s = outer(s, a.e, b.e);
    s = outer(s, a.f, b.f);
    s = outer(s, a.g, b.g);
    return outer(s, a.h, b.h);
}

// Sums of one tap: four input channels, four output channels to the left and four to the right.
struct Tap {
    left: Block,
    right: Block,
}

fn empty_tap() -> Tap {
    return Tap(empty(), empty());
}

fn add_to_tap(sum: Tap, a: Line, left: Line, right: Line) -> Tap {
    return Tap(outer_line(sum.left, a, left), outer_line(sum.right, a, right));
}

// The eight pixels of a row that lie under its left, middle or right tap.
fn under_left(q: Reach) -> Line {
    return Line(q.a, q.b, q.c, q.d, q.e, q.f, q.g, q.h);
}

fn under_middle(q: Reach) -> Line {
    return Line(q.b, q.c, q.d, q.e, q.f, q.g, q.h, q.i);
}

fn under_right(q: Reach) -> Line {
    return Line(q.c, q.d, q.e, q.f, q.g, q.h, q.i, q.j);
}

// Those under a fourth tap, to the right of the three: `next` follows the ten pixels.
fn under_fourth(q: Reach, next: vec4<f32>) -> Line {
    return Line(q.d, q.e, q.f, q.g, q.h, q.i, q.j, next);
}
