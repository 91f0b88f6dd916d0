// A convolution of one tap, or its gradient by the input: a plain matrix product. An invocation computes 16 pixels x COLUMNS
// channels, 16 or 32. No workgroup memory: software adapters pay dearly for barriers.
//
// Where it steps over pixels, the gradient's rows are still the output's pixels. Each of them stores what the pixel under it
// gets, and zeros for those that the step leaves out.
#import gatefold::epilogue
#import gatefold::grid
#import gatefold::line
#import gatefold::normalise

struct Params {
#ifdef INPUT_GRADIENT
    pixels: u32,      // n * height * width
#else
    pixels: u32,      // n * out_height * out_width
#endif
    height: u32,      // of the convolution's input
    width: u32,
    out_height: u32,  // of its output
    out_width: u32,
    cin: u32,
    cout: u32,
    source_offset: u32,
    source_stride: u32,
    offset: u32,
    stride: u32,
}

override STRIDE_H: u32 = 1u;
override STRIDE_W: u32 = 1u;
override ACCUMULATE: bool = false;
override BIAS: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
#ifdef INPUT_GRADIENT
@group(0) @binding(3) var<storage, read_write> target_map: array<vec4<f32>>;
#else
#ifdef NORMALISE
@group(0) @binding(3) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> shift: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> target_map: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> target_map: array<vec4<f32>>;
#endif
#endif

fn norm_of(channel: u32) -> normalise::Four {
#ifdef NORMALISE
    return normalise::Four(mean[channel], scale[channel], shift[channel]);
#else
    return normalise::Four(0u);
#endif
}

// From source channels 4 k on to target channels 4 column4 on.
fn matrix(k: u32, column4: u32) -> mat4x4<f32> {
    let step = params.cout / 4u;
#ifdef INPUT_GRADIENT
    let i = column4 * 4u * step + k;
#else
    let i = k * 4u * step + column4;
#endif
    return mat4x4<f32>(weight[i], weight[i + step], weight[i + 2u * step], weight[i + 3u * step]);
}

fn add(sum: line::Line, w: mat4x4<f32>, q: line::Line) -> line::Line {
#ifdef INPUT_GRADIENT
    return line::add_transposed(sum, w, q);
#else
    return line::add(sum, w, q);
#endif
}

fn strided() -> bool {
    return STRIDE_H * STRIDE_W > 1u;
}

// The convolution's output pixels: the rows of the product.
fn rows() -> u32 {
#ifdef INPUT_GRADIENT
    if strided() {
        return params.pixels / (params.height * params.width) * (params.out_height * params.out_width);
    }
#endif
    return params.pixels;
}

// The input pixel under an output pixel: its row, its column and its number.
struct Under {
    row: u32,
    column: u32,
    pixel: u32,
}

fn under(p: u32) -> Under {
    let out_row = p / params.out_width;
    let picture = out_row / params.out_height;
    let row = (out_row - picture * params.out_height) * STRIDE_H;
    let column = (p - out_row * params.out_width) * STRIDE_W;
    return Under(row, column, (picture * params.height + row) * params.width + column);
}

// First vec4 of a source pixel. Those past the last one are computed like it and not stored.
fn spot(p: u32) -> u32 {
    var pixel = min(p, rows() - 1u);
#ifndef INPUT_GRADIENT
    if strided() {
        pixel = under(pixel).pixel;
    }
#endif
    return (params.source_offset + pixel * params.source_stride) / 4u;
}

// First vec4s of eight source pixels.
struct Spots {
    a: u32,
    b: u32,
    c: u32,
    d: u32,
    e: u32,
    f: u32,
    g: u32,
    h: u32,
}

fn spots(p: u32) -> Spots {
    return Spots(
        spot(p), spot(p + 1u), spot(p + 2u), spot(p + 3u), spot(p + 4u), spot(p + 5u), spot(p + 6u), spot(p + 7u),
    );
}

fn load(s: Spots, k: u32, norm: normalise::Four) -> line::Line {
    return line::Line(
        normalise::four(source[s.a + k], norm),
        normalise::four(source[s.b + k], norm),
        normalise::four(source[s.c + k], norm),
        normalise::four(source[s.d + k], norm),
        normalise::four(source[s.e + k], norm),
        normalise::four(source[s.f + k], norm),
        normalise::four(source[s.g + k], norm),
        normalise::four(source[s.h + k], norm),
    );
}

fn put(pixel: u32, column4: u32, v: vec4<f32>) {
    let i = (params.offset + pixel * params.stride) / 4u + column4;
    if ACCUMULATE {
        target_map[i] += v;
    } else {
        target_map[i] = v;
    }
}

fn store(p: u32, column4: u32, columns4: u32, v: vec4<f32>) {
    if p >= rows() || column4 >= columns4 {
        return;
    }
#ifdef INPUT_GRADIENT
    if strided() {
        let u = under(p);
        put(u.pixel, column4, v);
        if !ACCUMULATE {
            let down = min(STRIDE_H, params.height - u.row);
            let across = min(STRIDE_W, params.width - u.column);
            for (var i = 1u; i < down * across; i++) {
                let row = i / across;
                put(u.pixel + row * params.width + i - row * across, column4, vec4<f32>(0.0));
            }
        }
        return;
    }
#endif
    put(p, column4, epilogue::end_four(v, p * columns4 + column4, column4));
}

fn store_line(p: u32, column4: u32, columns4: u32, v: line::Line) {
    store(p, column4, columns4, v.a);
    store(p + 1u, column4, columns4, v.b);
    store(p + 2u, column4, columns4, v.c);
    store(p + 3u, column4, columns4, v.d);
    store(p + 4u, column4, columns4, v.e);
    store(p + 5u, column4, columns4, v.f);
    store(p + 6u, column4, columns4, v.g);
    store(p + 7u, column4, columns4, v.h);
}

fn start(column4: u32) -> line::Line {
    var v = vec4<f32>(0.0);
#ifndef INPUT_GRADIENT
#ifndef NORMALISE
    if BIAS {
        v = bias[column4];
    }
#endif
#endif
    return line::same(v);
}

@compute @workgroup_size(#{LANES})
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
#ifdef INPUT_GRADIENT
    let columns4 = params.cin / 4u;
    let depth4 = params.cout / 4u;
#else
    let columns4 = params.cout / 4u;
    let depth4 = params.cin / 4u;
#endif
    let tile = grid::linear_group(group, groups) * #{LANES}u + lane;
    let column_tiles = (columns4 + (#{COLUMNS}u / 4u - 1u)) / (#{COLUMNS}u / 4u);
    let row_tile = tile / column_tiles;
    let column4 = (tile - row_tile * column_tiles) * (#{COLUMNS}u / 4u);
    let pixel = row_tile * 16u;
    if pixel >= rows() {
        return;
    }
    let above = spots(pixel);
    let below = spots(pixel + 8u);
    // Columns past the last one are computed like it and not stored.
    let c1 = min(column4 + 1u, columns4 - 1u);
    let c2 = min(column4 + 2u, columns4 - 1u);
    let c3 = min(column4 + 3u, columns4 - 1u);
    // Two lines of eight pixels, a and b, times four channels each.
    var a0 = start(column4);
    var a1 = start(c1);
    var a2 = start(c2);
    var a3 = start(c3);
    var b0 = a0;
    var b1 = a1;
    var b2 = a2;
    var b3 = a3;
#if COLUMNS == 32
    let c4 = min(column4 + 4u, columns4 - 1u);
    let c5 = min(column4 + 5u, columns4 - 1u);
    let c6 = min(column4 + 6u, columns4 - 1u);
    let c7 = min(column4 + 7u, columns4 - 1u);
    var a4 = start(c4);
    var a5 = start(c5);
    var a6 = start(c6);
    var a7 = start(c7);
    var b4 = a4;
    var b5 = a5;
    var b6 = a6;
    var b7 = a7;
#endif
    for (var k = 0u; k < depth4; k++) {
        let norm = norm_of(k);
        let a = load(above, k, norm);
        let b = load(below, k, norm);
        let w0 = matrix(k, column4);
        a0 = add(a0, w0, a);
        b0 = add(b0, w0, b);
        let w1 = matrix(k, c1);
        a1 = add(a1, w1, a);
        b1 = add(b1, w1, b);
        let w2 = matrix(k, c2);
        a2 = add(a2, w2, a);
        b2 = add(b2, w2, b);
        let w3 = matrix(k, c3);
        a3 = add(a3, w3, a);
        b3 = add(b3, w3, b);
#if COLUMNS == 32
        let w4 = matrix(k, c4);
        a4 = add(a4, w4, a);
        b4 = add(b4, w4, b);
        let w5 = matrix(k, c5);
        a5 = add(a5, w5, a);
        b5 = add(b5, w5, b);
        let w6 = matrix(k, c6);
        a6 = add(a6, w6, a);
        b6 = add(b6, w6, b);
        let w7 = matrix(k, c7);
        a7 = add(a7, w7, a);
        b7 = add(b7, w7, b);
#endif
    }
    store_line(pixel, column4, columns4, a0);
    store_line(pixel, column4 + 1u, columns4, a1);
    store_line(pixel, column4 + 2u, columns4, a2);
    store_line(pixel, column4 + 3u, columns4, a3);
    store_line(pixel + 8u, column4, columns4, b0);
    store_line(pixel + 8u, column4 + 1u, columns4, b1);
    store_line(pixel + 8u, column4 + 2u, columns4, b2);
    store_line(pixel + 8u, column4 + 3u, columns4, b3);
#if COLUMNS == 32
    store_line(pixel, column4 + 4u, columns4, a4);
    store_line(pixel, column4 + 5u, columns4, a5);
    store_line(pixel, column4 + 6u, columns4, a6);
    store_line(pixel, column4 + 7u, columns4, a7);
    store_line(pixel + 8u, column4 + 4u, columns4, b4);
    store_line(pixel + 8u, column4 + 5u, columns4, b5);
    store_line(pixel + 8u, column4 + 6u, columns4, b6);
    store_line(pixel + 8u, column4 + 7u, columns4, b7);
#endif
}
