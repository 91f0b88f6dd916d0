#define_import_path gatefold::line

// Register tiles of the kernels for subgroups. Everything is a named vector: arrays would not stay in registers, and loops would
// not unroll.

// The channels of a lane of eight, as places of vec4s. Those past the last one are computed like it and not stored.
struct Columns {
    a: u32,
    b: u32,
    c: u32,
    d: u32,
}

fn columns(first: u32, count: u32) -> Columns {
    return Columns(
        min(first, count - 1u), min(first + 8u, count - 1u), min(first + 16u, count - 1u), min(first + 24u, count - 1u),
    );
}

// Four channels of eight pixels.
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

// Eight pixels that hold the same.
fn same(v: vec4<f32>) -> Line {
    return Line(v, v, v, v, v, v, v, v);
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

// The sum of the first `count` pixels.
fn total(line: Line, count: u32) -> vec4<f32> {
    let none = vec4<f32>(0.0);
    let ab = select(none, line.a, count > 0u) + select(none, line.b, count > 1u);
    let cd = select(none, line.c, count > 2u) + select(none, line.d, count > 3u);
    let ef = select(none, line.e, count > 4u) + select(none, line.f, count > 5u);
    let gh = select(none, line.g, count > 6u) + select(none, line.h, count > 7u);
    return (ab + cd) + (ef + gh);
}

// Squared distances from `mean`, pixel by pixel.
fn squares(line: Line, mean: vec4<f32>) -> Line {
    let a = line.a - mean;
    let b = line.b - mean;
    let c = line.c - mean;
    let d = line.d - mean;
    let e = line.e - mean;
    let f = line.f - mean;
    let g = line.g - mean;
    let h = line.h - mean;
    return Line(a * a, b * b, c * c, d * d, e * e, f * f, g * g, h * h);
}

// One pixel of a line.
fn pick(v: Line, number: u32) -> vec4<f32> {
    let ab = select(v.a, v.b, number == 1u);
    let cd = select(v.c, v.d, number == 3u);
    let ef = select(v.e, v.f, number == 5u);
    let gh = select(v.g, v.h, number == 7u);
    return select(select(ab, cd, number >= 2u), select(ef, gh, number >= 6u), number >= 4u);
}
