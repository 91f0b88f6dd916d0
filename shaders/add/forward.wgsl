// y = a + b, or max(a + b, 0)
#import gatefold::grid
#import gatefold::element

#if VECTOR == 4
alias Element = vec4<f32>;
#else
alias Element = f32;
#endif

struct Params {
    length: u32,
    a_offset: u32,
    a_stride: u32,
    b_offset: u32,
    b_stride: u32,
    y_offset: u32,
    y_stride: u32,
}

override CHANNELS: u32 = 1u;
override RELU: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read> b: array<Element>;
@group(0) @binding(3) var<storage, read_write> y: array<Element>;

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
        let left = a[element::index_in(place, turn, params.a_offset, params.a_stride)];
        let right = b[element::index_in(place, turn, params.b_offset, params.b_stride)];
        var sum = left + right;
        if RELU {
            sum = max(sum, Element(0.0));
        }
        y[element::index_in(place, turn, params.y_offset, params.y_stride)] = sum;
    }
}
