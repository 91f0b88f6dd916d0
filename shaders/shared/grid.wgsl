#define_import_path gatefold::grid

// The linear number of this workgroup in a grid that was folded into x, y and z.
fn linear_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.x + groups.x * (group.y + groups.y * group.z);
}

// The linear number of this invocation, for workgroups of 64 invocations in a row.
fn linear_item(group: vec3<u32>, groups: vec3<u32>, lane: u32) -> u32 {
    return linear_group(group, groups) * 64u + lane;
}
