#define_import_path gatefold::reduce

// Reductions over the 64 invocations of a workgroup, always in the same order: a tree of fixed shape.

var<workgroup> parts: array<f32, 64>;

fn sum(lane: u32, value: f32) -> f32 {
    parts[lane] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half = half >> 1u) {
        if lane < half {
            parts[lane] += parts[lane + half];
        }
        workgroupBarrier();
    }
    let total = parts[0];
    // The next sum may overwrite `parts` only after everybody has read this one.
    workgroupBarrier();
    return total;
}

var<workgroup> quads: array<vec4<f32>, 64>;

// Once in a kernel.
fn sum_of_quads(lane: u32, value: vec4<f32>) -> vec4<f32> {
    quads[lane] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half = half >> 1u) {
        if lane < half {
            quads[lane] += quads[lane + half];
        }
        workgroupBarrier();
    }
    return quads[0];
}

var<workgroup> candidates: array<f32, 64>;

// Once in a kernel.
fn largest(lane: u32, value: f32) -> f32 {
    candidates[lane] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half = half >> 1u) {
        if lane < half {
            candidates[lane] = max(candidates[lane], candidates[lane + half]);
        }
        workgroupBarrier();
    }
    return candidates[0];
}
