// Gradients of gamma and beta from the sums over runs of pixels, and what the input's gradient needs of the whole batch. LANES
// invocations share an Element: each adds up every LANES-th run, and a tree of fixed shape what they have. 256 on a GPU; 1 where
// barriers are dear.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    channels: u32,
    pixels: u32,
    runs: u32,
    eps: f32,
}

override ACCUMULATE_GAMMA: bool = false;
override ACCUMULATE_BETA: bool = false;

const LANES = #{LANES}u;

@group(0) @binding(0) var<uniform> params: Params;
// Of each run: of dy for all channels, then of dy * (x - mean) for all channels.
@group(0) @binding(1) var<storage, read> sums: array<Element>;
@group(0) @binding(2) var<storage, read> variance: array<Element>;
@group(0) @binding(3) var<storage, read_write> dgamma: array<Element>;
@group(0) @binding(4) var<storage, read_write> dbeta: array<Element>;
// The means of dy and, over the variance, of dy * (x - mean).
@group(0) @binding(5) var<storage, read_write> mean_dy: array<Element>;
@group(0) @binding(6) var<storage, read_write> mean_dy_xmu: array<Element>;

struct Sums {
    dy: Element,
    product: Element,
}

#if LANES == 256
var<workgroup> parts: array<Sums, LANES>;
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
    var all = Sums(Element(0.0), Element(0.0));
    for (var run = first; run < params.runs; run += LANES) {
        let at = run * 2u * channels + channel;
        all.dy += sums[at];
        all.product += sums[at + channels];
    }
#if LANES == 256
    parts[lane] = all;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half = half >> 1u) {
        if lane < half {
            parts[lane].dy += parts[lane + half].dy;
            parts[lane].product += parts[lane + half].product;
        }
        workgroupBarrier();
    }
    all = parts[0];
    if lane > 0u {
        return;
    }
#endif
    let inverse = 1.0 / sqrt(variance[channel] + params.eps);
    var beta_gradient = all.dy;
    var gamma_gradient = all.product * inverse;
    let each = 1.0 / f32(params.pixels);
    mean_dy[channel] = beta_gradient * each;
    mean_dy_xmu[channel] = gamma_gradient * inverse * each;
    if ACCUMULATE_GAMMA {
        gamma_gradient += dgamma[channel];
    }
    if ACCUMULATE_BETA {
        beta_gradient += dbeta[channel];
    }
    dgamma[channel] = gamma_gradient;
    dbeta[channel] = beta_gradient;
}
