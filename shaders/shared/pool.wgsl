#define_import_path gatefold::pool

// What poolings have in common. They work on squares of 2x2 neighbouring pixels: of the output in the forward pass, of the input in
// the backward pass.

// The words of a backward pass. RECTIFIED: see `max_pool/backward.wgsl`.
struct Backward {
    squares: u32,
    height: i32,
    width: i32,
    out_height: i32,
    out_width: i32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
#ifdef RECTIFIED
    y_offset: u32,
    y_stride: u32,
#endif
}

// A square's place, counted in squares, and its channel, counted in what the kernel moves.
struct Square {
    picture: u32,
    row: u32,
    column: u32,
    channel: u32,
}

// Callers pass overrides, so that the divisions cost multiplications once this is inlined.
fn square(item: u32, channels: u32, rows: u32, columns: u32) -> Square {
    let number = item / channels;
    let line = number / columns;
    return Square(line / rows, line % rows, number % columns, item % channels);
}

// How many pixels from `first` on, `kernel` of them, lie inside the input.
fn inside(first: i32, kernel: i32, size: i32) -> i32 {
    return min(first + kernel, size) - max(first, 0);
}
