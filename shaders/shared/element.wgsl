#define_import_path gatefold::element

// Index arithmetic of element-wise kernels, which move an `Element` at a time: one number, or four neighbouring channels
// where every view is aligned (VECTOR is 1 or 4). An invocation moves TURNS of them (a divisor of the pixels), 1 / TURNS of the
// map apart: more than one keeps several loads under way, and neighbouring invocations still move neighbours.

struct Place {
    item: u32,
    pixel: u32,
    channel: u32,
    // From one turn to the next: so many pixels, which are so many Elements in dense order.
    pixels: u32,
    items: u32,
}

// Where an invocation begins in a tensor of `length` numbers. `channels` counts Elements; callers pass an override, so that the
// division by it costs a multiplication once this is inlined.
fn place(item: u32, channels: u32, length: u32) -> Place {
    let pixel = item / channels;
    let items = length / #{VECTOR}u / #{TURNS}u;
    return Place(item, pixel, item - pixel * channels, items / channels, items);
}

// Whether the invocation has nothing to do.
fn beyond(place: Place) -> bool {
    return place.item >= place.items;
}

// Index of a turn's Element in a view whose offset and stride are given in numbers.
fn index_in(place: Place, turn: u32, offset: u32, stride: u32) -> u32 {
    return (offset + place.pixel * stride) / #{VECTOR}u + place.channel + turn * (place.pixels * stride / #{VECTOR}u);
}

// Number of a turn's Element in dense order.
fn number(place: Place, turn: u32) -> u32 {
    return place.item + turn * place.items;
}
