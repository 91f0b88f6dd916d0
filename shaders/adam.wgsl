// One step of Adam, in place, on vectors of four parameters.
#import gatefold::grid
#import gatefold::optimizer
#import gatefold::steps

struct Params {
    // Half the number of vectors. An invocation takes two, this far apart, so that the loads of both are under way together.
    half: u32,
    beta1: f32,
    beta2: f32,
    // 1 - beta, rounded once: f32 loses five digits of 1 - 0.999.
    rest1: f32,
    rest2: f32,
    eps: f32,
    // Of the learning rate.
    scale: f32,
    max_norm: f32,
    norm_offset: u32,
    norm_stride: u32,
    // 64 parameters are a block.
    first_block: u32,
}

override DECOUPLED: bool = false;
override CLIP: bool = false;
// Blocks whose bit is set in `undecayed` have no weight decay.
override SPARES: bool = false;
// The loss was multiplied by a factor, so the gradients are; the norm is not.
override SCALED: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> step: steps::StepWords;
@group(0) @binding(3) var<storage, read> norm: array<f32>;
@group(0) @binding(4) var<storage, read_write> parameters: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> moment1: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> moment2: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read> undecayed: array<u32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = grid::linear_item(group, groups, lane);
    if first >= params.half {
        return;
    }
    if SCALED && !optimizer::is_finite(norm[params.norm_offset]) {
        return;
    }
    var clip = 1.0;
    if CLIP {
        clip = optimizer::clip(norm[params.norm_offset], params.max_norm);
    }
    let rate = step.learning_rate * params.scale;
    let size = rate / step.correction_of_mean;
    let root = sqrt(step.correction_of_square);
    let kept = 1.0 - rate * step.weight_decay;
    for (var turn = 0u; turn < 2u; turn++) {
        let item = first + turn * params.half;
        var p = parameters[item];
        var g = gradients[item];
        if SCALED {
            g *= step.gradient_scale;
        }
        if CLIP {
            g *= clip;
        }
        var spared = false;
        if SPARES {
            let block = optimizer::block(params.first_block, item);
            spared = optimizer::is_spared(undecayed[block / 32u], block);
        }
        if !spared {
            if DECOUPLED {
                p *= kept;
            } else {
                g += step.weight_decay * p;
            }
        }
        let m = params.beta1 * moment1[item] + params.rest1 * g;
        let v = params.beta2 * moment2[item] + params.rest2 * (g * g);
        let spread = sqrt(v) / root + params.eps;
        parameters[item] = p - size * (m / spread);
        moment1[item] = m;
        moment2[item] = v;
    }
}
