// dx (+)= dy where y > 0
#import gatefold::grid
#import gatefold::element

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    length: u32,
    y_offset: u32,
    y_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

override CHANNELS: u32 = 1u;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read_write> dx: array<Element>;

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
    let zero = Element(0.0);
    for (var turn = 0u; turn < #{TURNS}u; turn++) {
        let alive = y[element::index_in(place, turn, params.y_offset, params.y_stride)] > zero;
        var gradient = select(zero, dy[element::index_in(place, turn, params.dy_offset, params.dy_stride)], alive);
        let to = element::index_in(place, turn, params.dx_offset, params.dx_stride);
        if ACCUMULATE {
            gradient += dx[to];
        }
        dx[to] = gradient;
    }
}
