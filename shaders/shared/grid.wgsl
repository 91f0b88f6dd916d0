#define_import_path gatefold::grid

// The linear number of this workgroup in a grid that was folded into x, y and z, and may be a part of a larger one.
fn linear_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return #{FIRST_GROUP}u + group.x + groups.x * (group.y + groups.y * group.z);
}

// item / divisor, for quotients below four million. `share` is 1 / divisor in f32: a product with it is off by less than one, and
// the rest tells in which direction. Dividing integers costs many times as much where the divisor is no constant.
fn quotient(item: u32, divisor: u32, share: f32) -> u32 {
    let guess = u32(f32(item) * share);
    let rest = i32(item - guess * divisor);
    return select(select(guess, guess + 1u, rest >= i32(divisor)), guess - 1u, rest < 0);
}

// The linear number of this invocation, for workgroups of 64 invocations in a row.
fn linear_item(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return linear_group(group, groups) * 64u + lane;
}

// The pixels that a convolution's strides see under the same taps make a class: their rows and columns leave the same rests.
struct Class {
    row: u32,
    column: u32,
    // Number of the tile within its class.
    tile: u32,
}

// Whose tile this is. Classes take turns: some have fewer taps than others, and drivers give each processor a run of workgroups.
fn class_of(tile: u32, stride_h: u32, stride_w: u32) -> Class {
    let in_class = tile / (stride_h * stride_w);
    let number = tile - in_class * (stride_h * stride_w);
    let row = number / stride_w;
    return Class(row, number - row * stride_w, in_class);
}
