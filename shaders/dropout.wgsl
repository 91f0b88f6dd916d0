// y (+)= x * mask / (1 - rate), the mask by element or by sample. Forward and backward alike: the mask is drawn again from counters, never stored.
#import gatefold::grid
#import gatefold::element
#import gatefold::random
#import gatefold::steps

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    length: u32,
    // An element is dropped if its draw of 24 bits is below this.
    threshold: u32,
    scale: f32,
    stream: u32,
    // Elements of a sample, all channels counted.
    sample: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

override CHANNELS: u32 = 1u;
override ACCUMULATE: bool = false;
// Whether a draw is for all of a sample.
override WHOLE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read> step: steps::StepWords;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

// The factors of elements `4 * quad ..+ 4` in dense order: 96 bits of one hash are four draws of 24 bits, so that one and
// four elements at a time see the same mask.
fn factors(quad: u32) -> vec4<f32> {
    let words = random::hash(vec3<u32>(quad, step.step, step.seed ^ params.stream));
    let low = words & vec3<u32>(255u);
    let draws = vec4<u32>(words >> vec3<u32>(8u), low.x | (low.y << 8u) | (low.z << 16u));
    return select(vec4<f32>(params.scale), vec4<f32>(0.0), draws < vec4<u32>(params.threshold));
}

// One of four, without an index that only a loop or memory could follow.
fn one_of(four: vec4<f32>, place: u32) -> f32 {
    let odd = (place & 1u) == 1u;
    return select(select(four.x, four.y, odd), select(four.z, four.w, odd), (place & 2u) == 2u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let place = element::place(grid::linear_item(group, groups, lane), CHANNELS, params.length);
    if element::beyond(place) {
        return;
    }
    for (var turn = 0u; turn < #{TURNS}u; turn++) {
        // Quads of the pictures before, and what is over of them where a picture has no whole number of quads: kernels of both widths
        // agree even where the product is too large.
        let over = step.first * (params.sample & 3u);
        let number = (over & 3u) + element::number(place, turn);
        let before = step.first * (params.sample >> 2u) + (over >> 2u);
        var factor: Element;
        if WHOLE {
            let sample = step.first + element::number(place, turn) / (params.sample / #{VECTOR}u);
            factor = Element(one_of(factors(sample >> 2u), sample));
        } else {
#if VECTOR == 4
            factor = factors(before + number);
#else
            factor = one_of(factors(before + (number >> 2u)), number);
#endif
        }
        let taken = x[element::index_in(place, turn, params.x_offset, params.x_stride)];
        // A dropped infinity is dropped: 0 times it would be no number.
        var value = select(taken * factor, Element(0.0), factor == Element(0.0));
        let to = element::index_in(place, turn, params.y_offset, params.y_stride);
        if ACCUMULATE {
            value += y[to];
        }
        y[to] = value;
    }
}
