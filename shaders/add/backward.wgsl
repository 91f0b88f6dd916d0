// da (+)= dy and db (+)= dy where y = max(a + b, 0) > 0
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
    da_offset: u32,
    da_stride: u32,
    db_offset: u32,
    db_stride: u32,
}

override CHANNELS: u32 = 1u;
override ACCUMULATE_A: bool = false;
override ACCUMULATE_B: bool = false;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<Element>;
@group(0) @binding(2) var<storage, read> dy: array<Element>;
@group(0) @binding(3) var<storage, read_write> da: array<Element>;
@group(0) @binding(4) var<storage, read_write> db: array<Element>;

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
        let gradient = select(zero, dy[element::index_in(place, turn, params.dy_offset, params.dy_stride)], alive);
        let to_a = element::index_in(place, turn, params.da_offset, params.da_stride);
        let to_b = element::index_in(place, turn, params.db_offset, params.db_stride);
        if ACCUMULATE_A {
            da[to_a] += gradient;
        } else {
            da[to_a] = gradient;
        }
        if ACCUMULATE_B {
            db[to_b] += gradient;
        } else {
            db[to_b] = gradient;
        }
    }
}
