// Adds up the partial sums of a split reduction, in the order of the splits: total (+)= sum over s of sums[s].
#import gatefold::grid

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    elements: u32,  // of the total, in units of Element
    splits: u32,
}

override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<Element>;
@group(0) @binding(2) var<storage, read_write> total: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.elements {
        return;
    }
    var sum = Element(0.0);
    for (var split = 0u; split < params.splits; split++) {
        sum += sums[split * params.elements + item];
    }
    if ACCUMULATE {
        sum += total[item];
    }
    total[item] = sum;
}
