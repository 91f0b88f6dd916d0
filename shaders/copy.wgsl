// y (+)= x between views of any offset and stride: what a concatenation does where its parts cannot become slices.
#import gatefold::grid
#import gatefold::element

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    length: u32,
    x_offset: u32,
    x_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

override CHANNELS: u32 = 1u;
override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Element>;
@group(0) @binding(2) var<storage, read_write> y: array<Element>;

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
        var value = x[element::index_in(place, turn, params.x_offset, params.x_stride)];
        let to = element::index_in(place, turn, params.y_offset, params.y_stride);
        if ACCUMULATE {
            value += y[to];
        }
        y[to] = value;
    }
}
