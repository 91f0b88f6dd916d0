#define_import_path gatefold::random

// Counter-based random numbers: the same counters give the same number, and nothing is stored. PCG's output function
// over 3 words (Jarzynski and Olano, "Hash Functions for GPU Rendering", 2020).
fn hash(counters: vec3<u32>) -> vec3<u32> {
    var v = counters * 1664525u + 1013904223u;
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v ^= v >> vec3<u32>(16u);
    v.x += v.y * v.z;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    return v;
}

// A number in [0, 1) from the upper 24 bits.
fn unit(bits: u32) -> f32 {
    return f32(bits >> 8u) * (1.0 / 16777216.0);
}
