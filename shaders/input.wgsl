// y = normalised RGB and a zero, from packed bytes; cropped, shifted, mirrored, recoloured and partly hidden as drawn for the
// sample.
#import gatefold::grid
#import gatefold::random
#import gatefold::steps

struct Params {
    samples: u32,
    stream: u32,
    scale_r: f32,
    scale_g: f32,
    scale_b: f32,
    bias_r: f32,
    bias_g: f32,
    bias_b: f32,
    // Colour factors lie between 1 - colour and 1 + colour.
    colour: f32,
    // A sample loses a rectangle if its 32 random bits are below this.
    erase: u32,
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
override COLOUR: bool = false;
override ERASE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> step: steps::StepWords;
#if VECTOR == 4
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
#else
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
#endif

// Uniform in -SHIFT..=SHIFT, from the better upper bits.
fn shift(bits: u32) -> i32 {
    return i32(((bits >> 16u) * u32(2 * SHIFT + 1)) >> 16u) - SHIFT;
}

// Uniform in 0..count, from the better upper bits; count is at most 65,536.
fn below(bits: u32, count: u32) -> u32 {
    return ((bits >> 16u) * count) >> 16u;
}

// Further draws of a sample; samples are fewer than 2^30.
fn drawn(sample: u32, which: u32) -> vec3<u32> {
    return random::hash(vec3<u32>(sample | (which << 30u), step.step, step.seed ^ params.stream));
}

// A side of the rectangle: a tenth to a half of the picture's.
fn hidden(bits: u32, side: u32) -> u32 {
    return min(1u + side / 10u + below(bits, max(2u * side / 5u, 1u)), side);
}

// Brightness, contrast around the middle grey, and saturation, each by a factor of its own.
fn recoloured(rgb: vec3<f32>, sample: u32) -> vec3<f32> {
    let bits = drawn(sample, 1u);
    let unit = vec3<f32>(random::unit(bits.x), random::unit(bits.y), random::unit(bits.z));
    let factor = 1.0 + params.colour * (2.0 * unit - 1.0);
    let contrasted = (rgb * factor.x - 127.5) * factor.y + 127.5;
    let grey = dot(contrasted, vec3<f32>(0.299, 0.587, 0.114));
    return clamp(grey + (contrasted - grey) * factor.z, vec3<f32>(0.0), vec3<f32>(255.0));
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
        let drawn = random::hash(vec3<u32>(sample, step.step, step.seed ^ params.stream));
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
    var rgb = vec3<f32>(vec3<u32>(bits, bits >> 8u, bits >> 16u) & vec3<u32>(255u));
    if COLOUR {
        rgb = recoloured(rgb, sample);
    }
    let scale = vec3<f32>(params.scale_r, params.scale_g, params.scale_b);
    var value = rgb * scale + vec3<f32>(params.bias_r, params.bias_g, params.bias_b);
    if ERASE {
        let extent = drawn(sample, 2u);
        let height = hidden(extent.y, HEIGHT);
        let width = hidden(extent.z, WIDTH);
        let corner = drawn(sample, 3u);
        // What lies before the corner wraps around to a large number.
        let down = place / WIDTH - below(corner.x, HEIGHT - height + 1u);
        let right = place % WIDTH - below(corner.y, WIDTH - width + 1u);
        if extent.x < params.erase && down < height && right < width {
            value = vec3<f32>(0.0);
        }
    }

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
