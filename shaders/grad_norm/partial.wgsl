// Sums of squares of runs of RUN vec4s. LANES invocations share a run: 64 on a GPU; 1 where barriers are dear.
#import gatefold::grid
#if LANES == 64
#import gatefold::reduce
#endif

struct Params {
    vectors: u32,
    runs: u32,
    // Place of the first run's sum.
    start: u32,
}

override RUN: u32 = 256u;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
#if LANES == 64
    let run = grid::linear_group(group, groups);
    let first = lane;
#else
    let run = grid::linear_item(group, groups, lane);
    let first = 0u;
#endif
    if run >= params.runs {
        return;
    }
    let begin = run * RUN;
    let end = min(begin + RUN, params.vectors);
    // In blocks of 64 vec4s per invocation, so that no chain of additions grows long; in each, four sums under way.
    var sum = 0.0;
    for (var block = begin + first; block < end; block += 64u * #{LANES}u) {
        let stop = min(block - first + 64u * #{LANES}u, end);
        var a = vec4<f32>(0.0);
        var b = vec4<f32>(0.0);
        var c = vec4<f32>(0.0);
        var d = vec4<f32>(0.0);
        var place = block;
        for (; place + 3u * #{LANES}u < stop; place += 4u * #{LANES}u) {
            let g0 = gradients[place];
            let g1 = gradients[place + #{LANES}u];
            let g2 = gradients[place + 2u * #{LANES}u];
            let g3 = gradients[place + 3u * #{LANES}u];
            a += g0 * g0;
            b += g1 * g1;
            c += g2 * g2;
            d += g3 * g3;
        }
        for (; place < stop; place += #{LANES}u) {
            let g = gradients[place];
            a += g * g;
        }
        let four = (a + b) + (c + d);
        sum += (four.x + four.y) + (four.z + four.w);
    }
#if LANES == 64
    let total = reduce::sum(lane, sum);
#else
    let total = sum;
#endif
    if first == 0u {
        partial[params.start + run] = total;
    }
}
