#define_import_path gatefold::element

// Index arithmetic of element-wise kernels, which move an `Element` at a time: one number, or four neighbouring channels
// where every view is aligned (VECTOR is 1 or 4).

// Whether an item lies past the end of a tensor of `length` numbers.
fn beyond(item: u32, length: u32) -> bool {
    return item * #{VECTOR}u >= length;
}

// Index of an item in a view whose offset and stride are given in numbers. `channels` counts Elements; callers pass an
// override, so that the division by it costs a multiplication once this is inlined.
fn index_in(item: u32, channels: u32, offset: u32, stride: u32) -> u32 {
    let pixel = item / channels;
    return (offset + pixel * stride) / #{VECTOR}u + (item - pixel * channels);
}
