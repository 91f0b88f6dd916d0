// y = normalised RGB and a zero, from packed bytes; cropped, shifted and mirrored as drawn for the sample.
#import gatefold::grid
#import gatefold::random

struct Params {
    samples: u32,
    stream: u32,
    scale_r: f32,
    scale_g: f32,
    scale_b: f32,
    bias_r: f32,
    bias_g: f32,
    bias_b: f32,
    y_offset: u32,
    y_stride: u32,
}

override SOURCE_HEIGHT: i32 = 1;
override SOURCE_WIDTH: i32 = 1;
override HEIGHT: u32 = 1u;
override WIDTH: u32 = 1u;
// Source pixel of the first output pixel before any shift.
override TOP: i32 = 0;
override LEFT: i32 = 0;
override FLIP: bool = false;
override SHIFT: i32 = 0;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
// StepWords: step and seed come first.
@group(0) @binding(2) var<storage, read> step: array<u32>;
#if VECTOR == 4
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#endif

// Uniform in -SHIFT..=SHIFT, from the better upper bits.
fn shift(bits: u32) -> i32 {
    return i32(((bits >> 16u) * u32(2 * SHIFT + 1)) >> 16u) - SHIFT;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    let sample = item / (HEIGHT * WIDTH);
    if sample >= params.samples {
        return;
    }
    let place = item - sample * (HEIGHT * WIDTH);
    var row = i32(place / WIDTH);
    var column = i32(place % WIDTH);
    if FLIP || SHIFT > 0 {
        let drawn = random::hash(vec3<u32>(sample, step[0], step[1] ^ params.stream));
        if FLIP && (drawn.x >> 31u) == 1u {
            column = i32(WIDTH) - 1 - column;
        }
        row += shift(drawn.y);
        column += shift(drawn.z);
    }
    row = clamp(row + TOP, 0, SOURCE_HEIGHT - 1);
    column = clamp(column + LEFT, 0, SOURCE_WIDTH - 1);

    let source = (sample * u32(SOURCE_HEIGHT) + u32(row)) * u32(SOURCE_WIDTH) + u32(column);
    // Three bytes that begin anywhere in a word; the next word is read only where they reach into it.
    let byte = 3u * source;
    let low = 8u * (byte & 3u);
    var bits = pixels[byte >> 2u] >> low;
    if low > 8u {
        bits |= pixels[(byte >> 2u) + 1u] << (32u - low);
    }
    let rgb = vec3<f32>(vec3<u32>(bits, bits >> 8u, bits >> 16u) & vec3<u32>(255u));
    let scale = vec3<f32>(params.scale_r, params.scale_g, params.scale_b);
    let value = rgb * scale + vec3<f32>(params.bias_r, params.bias_g, params.bias_b);

    let to = params.y_offset + item * params.y_stride;
#if VECTOR == 4
    y[to / 4u] = vec4<f32>(value, 0.0);
#else
    y[to] = value.x;
    y[to + 1u] = value.y;
    y[to + 2u] = value.z;
    y[to + 3u] = 0.0;
#endif
}
