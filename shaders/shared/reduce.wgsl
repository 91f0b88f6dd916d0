#define_import_path gatefold::reduce

// Sums over the 64 invocations of a workgroup, always in the same order: a tree of fixed shape.
var<workgroup> partial: array<f32, 64>;

fn sum64(lane: u32, value: f32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var half = 32u; half > 0u; half = half >> 1u) {
        if lane < half {
            partial[lane] += partial[lane + half];
        }
        workgroupBarrier();
    }
    let total = partial[0];
    // The next sum may overwrite `partial` only after everybody has read this one.
    workgroupBarrier();
    return total;
}
