#define_import_path gatefold::conv

// What the convolution's kernels have in common: the words of their uniform blocks, in the order in which `ops/conv2d.rs` writes
// them, and where pixels lie. Kernels that have the window as constants do not read its words.

// The forward pass and the gradient by the input make a result (y, or dx) of a source (x, or dy).
struct Maps {
    pixels: u32,         // of the result: n * height * width
    height: u32,         // of the result
    width: u32,
    source_height: u32,
    source_width: u32,
    cin: u32,
    cout: u32,
    source_offset: u32,
    source_stride: u32,
    offset: u32,         // of the result
    stride: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_top: u32,
    pad_left: u32,
}

// The gradient by the weights sums over lines of pixels of y, cut into splits.
struct Weights {
    lines: u32,          // n * output height
    lines_per_split: u32,
    height: u32,         // of x
    width: u32,
    out_height: u32,
    out_width: u32,
    cin: u32,
    cout: u32,
    splits: u32,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_top: u32,
    pad_left: u32,
}

// Where the taps of a pixel lie: row and column of the first one, which may be outside, and the first line of its picture.
struct Place {
    row: i32,
    column: i32,
    picture: i32,
}

// Which pixel of a map a number means.
struct Position {
    picture: u32,
    row: u32,
    column: u32,
}

fn position(number: u32, height: u32, width: u32) -> Position {
    let line = number / width;
    let picture = line / height;
    return Position(picture, line - picture * height, number - line * width);
}

// What is negative becomes a large number.
fn inside(row: i32, column: i32, height: u32, width: u32) -> bool {
    return (u32(row) < height) & (u32(column) < width);
}

// Index of the first vec4 of a pixel of the source; of no use where that is outside.
fn source_index(maps: Maps, line: i32, column: i32) -> i32 {
    return (line * i32(maps.source_width) + column) * i32(maps.source_stride / 4u) + i32(maps.source_offset / 4u);
}

// The columns of y whose window has this tap inside the picture: no test is needed between them.
fn columns(maps: Weights, tap_column: u32, stride: u32, pad_left: i32) -> vec2<u32> {
    let before = pad_left - i32(tap_column);
    let first = (max(before, 0) + i32(stride) - 1) / i32(stride);
    let last = i32(maps.width) - 1 + before;
    let end = select(0, min(last / i32(stride) + 1, i32(maps.out_width)), last >= 0);
    return vec2<u32>(u32(first), u32(max(end, first)));
}
