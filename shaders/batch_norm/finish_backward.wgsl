// Gradients of gamma and beta from the sums over all pixels, and what the input's gradient needs of the whole batch.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    channels: u32,
    pixels: u32,
    eps: f32,
}

override ACCUMULATE_GAMMA: bool = false;
override ACCUMULATE_BETA: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
// Of dy for all channels, then of dy * (x - mean) for all channels.
@group(0) @binding(1) var<storage, read> sums: array<Element>;
@group(0) @binding(2) var<storage, read> variance: array<Element>;
@group(0) @binding(3) var<storage, read_write> dgamma: array<Element>;
@group(0) @binding(4) var<storage, read_write> dbeta: array<Element>;
// The means of dy and, over the variance, of dy * (x - mean).
@group(0) @binding(5) var<storage, read_write> mean_dy: array<Element>;
@group(0) @binding(6) var<storage, read_write> mean_dy_xmu: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = grid::linear_item(group, groups, lane);
    let channels = params.channels / #{VECTOR}u;
    if channel >= channels {
        return;
    }
    let inverse = 1.0 / sqrt(variance[channel] + params.eps);
    var beta_gradient = sums[channel];
    var gamma_gradient = sums[channels + channel] * inverse;
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
