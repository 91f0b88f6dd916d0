// Mean and biased variance of all blocks of pixels, into (slices of) two vectors. LANES invocations share an Element: each joins
// every LANES-th block (Chan, Golub and LeVeque), RUN of them at a time, so that rounding stays small, and a tree of fixed shape joins
// what they have. LANES is 256 on a GPU, and 1 where barriers are dear.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    channels: u32,
    pixels: u32,
    // Pixels in a block; the last one may have fewer.
    block: u32,
    blocks: u32,
    mean_offset: u32,
    mean_stride: u32,
    variance_offset: u32,
    variance_stride: u32,
}

const RUN = 32u;
const LANES = #{LANES}u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> squares: array<Element>;
@group(0) @binding(2) var<storage, read> means: array<Element>;
@group(0) @binding(3) var<storage, read_write> mean: array<Element>;
@group(0) @binding(4) var<storage, read_write> variance: array<Element>;

// The mean of some pixels, and the sum of their squared deviations from it.
struct Joined {
    count: f32,
    mean: Element,
    square: Element,
}

fn join(a: Joined, b: Joined) -> Joined {
    let count = a.count + b.count;
    // Nothing stays nothing.
    let share = b.count / max(count, 1.0);
    let delta = b.mean - a.mean;
    return Joined(count, a.mean + delta * share, a.square + b.square + delta * delta * (a.count * share));
}

#if LANES == 256
var<workgroup> parts: array<Joined, LANES>;
#endif

#if LANES == 256
@compute @workgroup_size(256)
#else
@compute @workgroup_size(64)
#endif
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
#if LANES == 256
    let channel = grid::linear_group(group, groups);
    let first = lane;
#else
    let channel = grid::linear_item(group, groups, lane);
    let first = 0u;
#endif
    let channels = params.channels / #{VECTOR}u;
    if channel >= channels {
        return;
    }
    // Counted from the first block's mean, as the blocks count from their first number.
    let origin = means[channel];
    var all = Joined(0.0, Element(0.0), Element(0.0));
    for (var start = first; start < params.blocks; start += RUN * LANES) {
        let end = min(start + RUN * LANES, params.blocks);
        var run = Joined(0.0, Element(0.0), Element(0.0));
        for (var block = start; block < end; block += LANES) {
            let count = f32(min(params.block, params.pixels - block * params.block));
            let at = block * channels + channel;
            run = join(run, Joined(count, means[at] - origin, squares[at]));
        }
        all = join(all, run);
    }
#if LANES == 256
    parts[lane] = all;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half = half >> 1u) {
        if lane < half {
            parts[lane] = join(parts[lane], parts[lane + half]);
        }
        workgroupBarrier();
    }
    all = parts[0];
    if lane > 0u {
        return;
    }
#endif
    mean[params.mean_offset / #{VECTOR}u + channel] = origin + all.mean;
    variance[params.variance_offset / #{VECTOR}u + channel] = all.square * (1.0 / f32(params.pixels));
}
