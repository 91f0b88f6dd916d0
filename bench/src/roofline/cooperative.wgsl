// Matrix units: four independent sums of products of square f16 matrices, in f32. Each subgroup works by itself.
enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    rounds: u32,
    // Tiles that the inputs hold.
    tiles: u32,
}

const SIDE: u32 = #{SIDE}u;
const AREA: u32 = SIDE * SIDE;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f16>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(#{LANES})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let number = group.x + groups.x * (group.y + groups.y * group.z);
    let tile = (number % params.tiles) * AREA;
    let a = coopLoad<coop_mat#{SIDE}x#{SIDE}<f16, A>>(&x[tile], SIDE);
    let b = coopLoad<coop_mat#{SIDE}x#{SIDE}<f16, B>>(&x[tile], SIDE);
    var p = coopLoad<coop_mat#{SIDE}x#{SIDE}<f32, C>>(&y[number * AREA], SIDE);
    var q = p;
    var r = p;
    var s = p;
    for (var round = 0u; round < params.rounds; round++) {
        p = coopMultiplyAdd(a, b, p);
        q = coopMultiplyAdd(a, b, q);
        r = coopMultiplyAdd(a, b, r);
        s = coopMultiplyAdd(a, b, s);
        p = coopMultiplyAdd(a, b, p);
        q = coopMultiplyAdd(a, b, q);
        r = coopMultiplyAdd(a, b, r);
        s = coopMultiplyAdd(a, b, s);
    }
    coopStore(p + q + r + s, &y[number * AREA], SIDE);
}
