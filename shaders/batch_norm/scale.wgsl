// What the input is multiplied with, from running statistics.
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    channels: u32,
    eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> variance: array<Element>;
@group(0) @binding(2) var<storage, read> gamma: array<Element>;
@group(0) @binding(3) var<storage, read_write> scale: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let channel = grid::linear_item(group, groups, lane);
    if channel >= params.channels / #{VECTOR}u {
        return;
    }
    scale[channel] = gamma[channel] / sqrt(variance[channel] + params.eps);
}
