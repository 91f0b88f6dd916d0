// One step of gradient descent with momentum, in place, on vectors of four parameters.
#import gatefold::grid
#import gatefold::optimizer
#import gatefold::steps

struct Params {
    // Half the number of vectors. An invocation takes two, this far apart, so that the loads of both are under way together.
    half: u32,
    momentum: f32,
    // Of the learning rate.
    scale: f32,
    max_norm: f32,
    norm_offset: u32,
    norm_stride: u32,
    // 64 parameters are a block.
    first_block: u32,
}

override NESTEROV: bool = false;
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
@group(0) @binding(5) var<storage, read_write> velocity: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> undecayed: array<u32>;

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
    for (var turn = 0u; turn < 2u; turn++) {
        let item = first + turn * params.half;
        let p = parameters[item];
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
            g += step.weight_decay * p;
        }
        let v = params.momentum * velocity[item] + g;
        velocity[item] = v;
        var way = v;
        if NESTEROV {
            way = g + params.momentum * v;
        }
        parameters[item] = p - rate * way;
    }
}
