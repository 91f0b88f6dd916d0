// Multiply-adds from registers: CHAINS independent vec4s, each of them a long chain. Processors want few chains, because they
// have few registers, and GPUs many, because each step has to wait for the one before.
enable f16;
#import gatefold::grid

#if HALF == 1
alias Number = f16;
alias Vector = vec4<f16>;
#else
alias Number = f32;
alias Vector = vec4<f32>;
#endif

struct Params {
    rounds: u32,
    // Numbers of the host, so that no compiler can work the chains out beforehand. They tend to `added / (1 - factor)`.
    factor: f32,
    added: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

struct Chains {
    a: Vector,
    b: Vector,
#if CHAINS >= 3
    c: Vector,
#endif
#if CHAINS >= 4
    d: Vector,
#endif
#if CHAINS >= 8
    e: Vector,
    f: Vector,
    g: Vector,
    h: Vector,
#endif
}

fn step(x: Chains, factor: Vector, added: Vector) -> Chains {
    var y: Chains;
    y.a = fma(x.a, factor, added);
    y.b = fma(x.b, factor, added);
#if CHAINS >= 3
    y.c = fma(x.c, factor, added);
#endif
#if CHAINS >= 4
    y.d = fma(x.d, factor, added);
#endif
#if CHAINS >= 8
    y.e = fma(x.e, factor, added);
    y.f = fma(x.f, factor, added);
    y.g = fma(x.g, factor, added);
    y.h = fma(x.h, factor, added);
#endif
    return y;
}

fn sum(x: Chains) -> Vector {
    var total = x.a + x.b;
#if CHAINS >= 3
    total += x.c;
#endif
#if CHAINS >= 4
    total += x.d;
#endif
#if CHAINS >= 8
    total += x.e + x.f + x.g + x.h;
#endif
    return total;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let item = grid::linear_item(group, groups, lane);
    if item >= arrayLength(&y) {
        return;
    }
    let factor = Vector(Number(params.factor));
    let added = Vector(Number(params.added));
    let seed = Number(f32(lane) * 0.01);
    var x: Chains;
    x.a = Vector(seed, seed + 1.0, seed + 2.0, seed + 3.0);
    x.b = x.a + 4.0;
#if CHAINS >= 3
    x.c = x.a + 8.0;
#endif
#if CHAINS >= 4
    x.d = x.a + 12.0;
#endif
#if CHAINS >= 8
    x.e = x.a + 16.0;
    x.f = x.a + 20.0;
    x.g = x.a + 24.0;
    x.h = x.a + 28.0;
#endif
    for (var round = 0u; round < params.rounds; round++) {
        x = step(x, factor, added);
        x = step(x, factor, added);
        x = step(x, factor, added);
        x = step(x, factor, added);
        x = step(x, factor, added);
        x = step(x, factor, added);
        x = step(x, factor, added);
        x = step(x, factor, added);
    }
    let total = sum(x);
    y[item] = f32(total.x + total.y + total.z + total.w);
}
