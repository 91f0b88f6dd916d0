#define_import_path gatefold::runs
#import gatefold::grid

// Passes over a map in which an invocation takes several pixels of one channel (or of four), so that what it loads of the channel is
// shared: every `runs`-th pixel, so that neighbours stay neighbours. `ops/batch_norm.rs` writes these words first.

struct Map {
    channels: u32,
    channel_share: f32,  // 1 / channels
    pixels: u32,
    runs: u32,
}

// The words of a gradient by the input.
struct Backward {
    map: Map,
    x_offset: u32,
    x_stride: u32,
    dy_offset: u32,
    dy_stride: u32,
    dx_offset: u32,
    dx_stride: u32,
}

// An invocation's first pixel, and its channel, counted in Elements like the number of channels.
struct Run {
    start: u32,
    channel: u32,
    channels: u32,
}

fn run(item: u32, map: Map) -> Run {
    let channels = map.channels / #{VECTOR}u;
    let start = grid::quotient(item, channels, map.channel_share * #{VECTOR}.0);
    return Run(start, item - start * channels, channels);
}
