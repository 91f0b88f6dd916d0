#define_import_path gatefold::line

// Register tiles of the kernels for subgroups. Everything is a named vector: arrays would not stay in registers, and loops would
// not unroll.

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
