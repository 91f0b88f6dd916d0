// y = normalised RGB and a zero, from packed bytes; cropped, turned, shifted, mirrored, recoloured and partly hidden as drawn for the
// sample, and mixed with another one.
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
    // The least share of the area that is shown.
    area: f32,
    // The largest angle, in radians.
    angle: f32,
    // How far RandAugment's changes go.
    strength: f32,
    // The bits of a byte that are left.
    bits: u32,
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
// Whether samples show a part of their area, or are turned.
override WARP: bool = false;
override RANDAUGMENT: bool = false;
override MIX: bool = false;

// What a sample is mixed of.
struct Mix {
    // How much of it is its own, outside the rectangle; all inside is its partner's.
    share: f32,
    top: u32,
    left: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>;
@group(0) @binding(2) var<storage, read> step: steps::StepWords;
@group(0) @binding(3) var<storage, read> partners: array<u32>;
@group(0) @binding(4) var<storage, read> mix_of: Mix;
#if VECTOR == 4
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
#else
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
#endif

// Uniform in -SHIFT..=SHIFT, from the better upper bits.
fn shift(bits: u32) -> i32 {
    return i32(((bits >> 16u) * u32(2 * SHIFT + 1)) >> 16u) - SHIFT;
}

// Uniform in 0..count, from the better upper bits; count is at most 65,536.
fn below(bits: u32, count: u32) -> u32 {
    return ((bits >> 16u) * count) >> 16u;
}

// Draws of a sample, by its place in the whole batch; samples are fewer than 2^30.
fn drawn(sample: u32, which: u32) -> vec3<u32> {
    return random::hash(vec3<u32>((step.first + sample) | (which << 30u), step.step, step.seed ^ params.stream));
}

// As [`drawn`], from a stream of its own.
fn drawn_beside(sample: u32, which: u32) -> vec3<u32> {
    return random::hash(vec3<u32>((step.first + sample) | (which << 30u), step.step, (step.seed ^ params.stream) + 0x9e3779b9u));
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
    let middle = grey(contrasted);
    return clamp(middle + (contrasted - middle) * factor.z, vec3<f32>(0.0), vec3<f32>(255.0));
}

fn grey(rgb: vec3<f32>) -> f32 {
    return dot(rgb, vec3<f32>(0.299, 0.587, 0.114));
}

// Red, green and blue of 0 to 255 of a source pixel, the nearest one where there is none.
fn pixel(sample: u32, row: i32, column: i32) -> vec3<f32> {
    let down = u32(clamp(row, 0, SOURCE_HEIGHT - 1));
    let right = u32(clamp(column, 0, SOURCE_WIDTH - 1));
    let source = (sample * u32(SOURCE_HEIGHT) + down) * u32(SOURCE_WIDTH) + right;
    // Three bytes that begin anywhere in a word; the next word is read only where they reach into it.
    let byte = 3u * source;
    let low = 8u * (byte & 3u);
    var bits = pixels[byte >> 2u] >> low;
    if low > 8u {
        bits |= pixels[(byte >> 2u) + 1u] << (32u - low);
    }
    return vec3<f32>(vec3<u32>(bits, bits >> 8u, bits >> 16u) & vec3<u32>(255u));
}

// A place turned around the middle. The series of sine and cosine: WGSL's own may be off by 2^-11, and angles are small.
fn turned(place: vec2<f32>, angle: f32) -> vec2<f32> {
    let square = angle * angle;
    let sine = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0 * (1.0 - square / 72.0))));
    let cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)));
    return vec2<f32>(place.x * cosine - place.y * sine, place.x * sine + place.y * cosine);
}

// One of RandAugment's two changes of a sample, from its random bits.
struct Change {
    // Of eleven, see [`before`] and [`after`]; 0 is none.
    which: u32,
    // How far, and by its sign which way.
    by: f32,
}

fn change(bits: vec3<u32>, place: u32) -> Change {
    let back = ((bits.z >> (31u - place)) & 1u) == 1u;
    return Change(below(select(bits.x, bits.y, place == 1u), 11u), select(params.strength, -params.strength, back));
}

// Where a place of the changed picture, counted from the middle, was before.
fn before(change: Change, place: vec2<f32>) -> vec2<f32> {
    switch change.which {
        case 1u: {
            return turned(place, change.by * 0.52359878);
        }
        case 2u: {
            return place + vec2<f32>(0.3 * change.by * place.y, 0.0);
        }
        case 3u: {
            return place + vec2<f32>(0.0, 0.3 * change.by * place.x);
        }
        case 4u: {
            return place + vec2<f32>(0.45 * change.by * f32(WIDTH), 0.0);
        }
        case 5u: {
            return place + vec2<f32>(0.0, 0.45 * change.by * f32(HEIGHT));
        }
        default: {
            return place;
        }
    }
}

// The colour of 0 to 255 after the change.
fn after(change: Change, rgb: vec3<f32>) -> vec3<f32> {
    let factor = 1.0 + 0.9 * change.by;
    var changed = rgb;
    switch change.which {
        case 6u: {
            changed = rgb * factor;
        }
        case 7u: {
            changed = (rgb - 127.5) * factor + 127.5;
        }
        case 8u: {
            changed = mix(vec3<f32>(grey(rgb)), rgb, factor);
        }
        case 9u: {
            changed = vec3<f32>(vec3<u32>(rgb) & vec3<u32>(params.bits));
        }
        case 10u: {
            changed = select(rgb, 255.0 - rgb, rgb > vec3<f32>(255.0 - 255.0 * params.strength));
        }
        default: {}
    }
    return clamp(changed, vec3<f32>(0.0), vec3<f32>(255.0));
}

// The picture at a place of the output after mirroring, moved by whole pixels, where a part of it fills the output and is turned.
fn warped(sample: u32, row: i32, column: i32, moved: vec2<i32>, changes: vec3<u32>) -> vec3<f32> {
    let extent = drawn_beside(sample, 0u);
    let corner = drawn_beside(sample, 1u);
    let area = params.area + (1.0 - params.area) * random::unit(extent.x);
    // The ratio of the sides, its logarithm uniform, from 3/4 to 4/3.
    let ratio = exp((2.0 * random::unit(extent.y) - 1.0) * 0.28768207 * select(0.0, 1.0, params.area < 1.0));
    let part = min(vec2<f32>(sqrt(area * ratio), sqrt(area / ratio)), vec2<f32>(1.0));
    let sides = vec2<f32>(f32(WIDTH), f32(HEIGHT));
    let room = 0.5 * (1.0 - part) * sides;
    let centre = room * (2.0 * vec2<f32>(random::unit(corner.x), random::unit(corner.y)) - 1.0);
    var place = vec2<f32>(f32(column), f32(row)) + 0.5 - 0.5 * sides;
    if RANDAUGMENT {
        place = before(change(changes, 0u), before(change(changes, 1u), place));
    }
    let at = turned(place * part, params.angle * (2.0 * random::unit(extent.z) - 1.0)) + centre + 0.5 * sides - 0.5;
    let low = floor(at);
    let between = at - low;
    let first = vec2<i32>(low) + moved;
    let above = mix(pixel(sample, first.y, first.x), pixel(sample, first.y, first.x + 1), between.x);
    let beneath = mix(pixel(sample, first.y + 1, first.x), pixel(sample, first.y + 1, first.x + 1), between.x);
    return mix(above, beneath, between.y);
}

// What a sample alone shows at a place of the output.
fn shown(sample: u32, place: u32) -> vec3<f32> {
    let row = i32(place / WIDTH);
    var column = i32(place % WIDTH);
    var moved = vec2<i32>(LEFT, TOP);
    if FLIP || SHIFT > 0 {
        let bits = drawn(sample, 0u);
        if FLIP && (bits.x >> 31u) == 1u {
            column = i32(WIDTH) - 1 - column;
        }
        moved += vec2<i32>(shift(bits.z), shift(bits.y));
    }
    var changes = vec3<u32>(0u);
    if RANDAUGMENT {
        changes = drawn_beside(sample, 2u);
    }
    var rgb: vec3<f32>;
    if WARP {
        rgb = warped(sample, row, column, moved, changes);
    } else {
        rgb = pixel(sample, row + moved.y, column + moved.x);
    }
    if RANDAUGMENT {
        rgb = after(change(changes, 1u), after(change(changes, 0u), rgb));
    }
    if COLOUR {
        rgb = recoloured(rgb, sample);
    }
    let scale = vec3<f32>(params.scale_r, params.scale_g, params.scale_b);
    let value = rgb * scale + vec3<f32>(params.bias_r, params.bias_g, params.bias_b);
    if ERASE {
        let extent = drawn(sample, 2u);
        let height = hidden(extent.y, HEIGHT);
        let width = hidden(extent.z, WIDTH);
        let corner = drawn(sample, 3u);
        // What lies before the corner wraps around to a large number.
        let down = place / WIDTH - below(corner.x, HEIGHT - height + 1u);
        let right = place % WIDTH - below(corner.y, WIDTH - width + 1u);
        if extent.x < params.erase && down < height && right < width {
            return vec3<f32>(0.0);
        }
    }
    return value;
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
    var value = shown(sample, place);
    if MIX {
        let other = shown(min(partners[sample], params.samples - 1u), place);
        // What lies before the corner wraps around to a large number.
        let inside = place / WIDTH - mix_of.top < mix_of.height && place % WIDTH - mix_of.left < mix_of.width;
        value = mix(other, value, select(mix_of.share, 0.0, inside));
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
