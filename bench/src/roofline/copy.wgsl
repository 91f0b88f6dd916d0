// y = x: EACH Elements per invocation, as far apart as the grid is wide.
#import gatefold::grid

#if WIDTH == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    // Invocations.
    items: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= params.items {
        return;
    }
    y[item] = x[item];
#if EACH >= 4
    y[item + params.items] = x[item + params.items];
    y[item + 2u * params.items] = x[item + 2u * params.items];
    y[item + 3u * params.items] = x[item + 3u * params.items];
#endif
}
