// Gradient of a convolution by an input of four channels, such as a picture, in the registers of a subgroup of eight. The tiles of
// subgroup.wgsl are 32 channels wide; here each lane has eight pixels instead, and all lanes share the weights, which
// `subgroupShuffle` hands round.
//
// Pixels whose rows and columns leave the same rests when divided by the stride are seen under the same taps: they make a class, and
// a workgroup keeps to one. A lane's pixels are neighbours in a row of their class, so four taps of a row see eleven pixels of dy.
#import gatefold::conv
#import gatefold::grid
#import gatefold::line

override ACCUMULATE: bool = false;

@group(0) @binding(0) var<uniform> params: conv::Maps;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

// Index of the first vec4 of a pixel of dy, or -1 outside the picture.
fn index(first_of_row: i32, column: i32) -> i32 {
    let i = (first_of_row + column) * i32(params.source_stride / 4u) + i32(params.source_offset / 4u);
    return select(-1, i, first_of_row >= 0 && column >= 0 && column < i32(params.source_width));
}

fn load(base: i32, k: u32) -> vec4<f32> {
    return select(vec4<f32>(0.0), dy[u32(max(base, 0)) + k], base >= 0);
}

// A lane's share of the weights of two taps: of an input channel, zero for a tap beyond the window.
fn share(tap_row: u32, tap_column: u32, k: u32, lane: u32) -> vec4<f32> {
    let inside = tap_column < params.kernel_w;
    let tap = tap_row * params.kernel_w + min(tap_column, params.kernel_w - 1u);
    return select(vec4<f32>(0.0), weight[(tap * 4u + lane % 4u) * (params.cout / 4u) + k], inside);
}

fn first_tap(share: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        subgroupShuffle(share, 0u), subgroupShuffle(share, 1u), subgroupShuffle(share, 2u), subgroupShuffle(share, 3u),
    );
}

fn second_tap(share: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        subgroupShuffle(share, 4u), subgroupShuffle(share, 5u), subgroupShuffle(share, 6u), subgroupShuffle(share, 7u),
    );
}

@compute @workgroup_size(8)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let depth4 = params.cout / 4u;
    let pictures = params.pixels / (params.height * params.width);
    let class_height = (params.height + params.stride_h - 1u) / params.stride_h;
    let class_width = (params.width + params.stride_w - 1u) / params.stride_w;
    let across_tiles = (class_width + 7u) / 8u;
    let class_tiles = pictures * class_height * across_tiles;
    let class_groups = (class_tiles + 7u) / 8u;
    let number = grid::linear_group(group, groups);
    let own = grid::class_of(number, params.stride_h, params.stride_w);
    let class_row = own.row;
    let class_column = own.column;
    if own.tile >= class_groups {
        return;
    }
    // Lanes past the last tile compute it again and store nothing.
    let wanted = own.tile * 8u + lane;
    let tile = min(wanted, class_tiles - 1u);
    let p = conv::position(tile, class_height, across_tiles);
    let across = p.column * 8u;
    let row = p.row * params.stride_h + class_row;

    // The class' first tap sees this pixel of dy from the first of the lane's pixels; each next tap lies one row or column before.
    let source_row = i32(p.row + (class_row + params.pad_top) / params.stride_h);
    let source_column = i32(across + (class_column + params.pad_left) / params.stride_w);
    var sum = line::same(vec4<f32>(0.0));
    var up = 0;
    for (var tap_row = (class_row + params.pad_top) % params.stride_h; tap_row < params.kernel_h; tap_row += params.stride_h) {
        let at = source_row - up;
        let inside = at >= 0 && at < i32(params.source_height);
        let first_of_row = select(-1, (i32(p.picture * params.source_height) + at) * i32(params.source_width), inside);
        var left = source_column - 3;
        var tap_column = (class_column + params.pad_left) % params.stride_w;
        while tap_column < params.kernel_w {
            let i0 = index(first_of_row, left);
            let i1 = index(first_of_row, left + 1);
            let i2 = index(first_of_row, left + 2);
            let i3 = index(first_of_row, left + 3);
            let i4 = index(first_of_row, left + 4);
            let i5 = index(first_of_row, left + 5);
            let i6 = index(first_of_row, left + 6);
            let i7 = index(first_of_row, left + 7);
            let i8 = index(first_of_row, left + 8);
            let i9 = index(first_of_row, left + 9);
            let i10 = index(first_of_row, left + 10);
            let tap_of_lane = tap_column + lane / 4u * params.stride_w;
            for (var k = 0u; k < depth4; k++) {
                let front = share(tap_row, tap_of_lane, k, lane);
                let back = share(tap_row, tap_of_lane + 2u * params.stride_w, k, lane);
                let q0 = load(i0, k);
                let q1 = load(i1, k);
                let q2 = load(i2, k);
                let q3 = load(i3, k);
                let q4 = load(i4, k);
                let q5 = load(i5, k);
                let q6 = load(i6, k);
                let q7 = load(i7, k);
                let q8 = load(i8, k);
                let q9 = load(i9, k);
                let q10 = load(i10, k);
                sum = line::add_transposed(sum, first_tap(front), line::Line(q3, q4, q5, q6, q7, q8, q9, q10));
                sum = line::add_transposed(sum, second_tap(front), line::Line(q2, q3, q4, q5, q6, q7, q8, q9));
                sum = line::add_transposed(sum, first_tap(back), line::Line(q1, q2, q3, q4, q5, q6, q7, q8));
                sum = line::add_transposed(sum, second_tap(back), line::Line(q0, q1, q2, q3, q4, q5, q6, q7));
            }
            left -= 4;
            tap_column += 4u * params.stride_w;
        }
        up++;
    }
    for (var i = 0u; i < 8u; i++) {
        let column = (across + i) * params.stride_w + class_column;
        if wanted < class_tiles && row < params.height && column < params.width {
            let pixel = (p.picture * params.height + row) * params.width + column;
            let to = (params.offset + pixel * params.stride) / 4u;
            if ACCUMULATE {
                dx[to] += line::pick(sum, i);
            } else {
                dx[to] = line::pick(sum, i);
            }
        }
    }
}
