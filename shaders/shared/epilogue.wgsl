#define_import_path gatefold::epilogue

// What is done to a result before it is stored, in place of launches of their own that would read it back: a normalisation (in
// inference, where mean and scale are known beforehand), the sum with a residual map, a ReLU. `Tape::fuse` decides. It defines
// THEN_FOUR for kernels that move four channels at a time or THEN_ONE for the others, and as far as they are wanted THEN_NORMALISE
// (the binding of the mean; scale and shift follow), THEN_ADD (the binding of the residual map) and THEN_RELU. Where neither is
// defined the result is stored as it is.
//
// In training, a kernel may also keep the statistics of what it stores, where THEN_STATISTICS is defined (the binding of the means;
// the sums of squared deviations follow): those of 32 pixels that follow each other. A file that can do so tests the definition.
//
// `at` is the place in the residual map, which has the result's shape and is dense. It and `channel` count what the kernel moves.

#ifdef THEN_FOUR
#ifdef THEN_NORMALISE
@group(0) @binding(#{THEN_NORMALISE}) var<storage, read> then_mean: array<vec4<f32>>;
@group(0) @binding(#{THEN_NORMALISE} + 1) var<storage, read> then_scale: array<vec4<f32>>;
@group(0) @binding(#{THEN_NORMALISE} + 2) var<storage, read> then_shift: array<vec4<f32>>;
#endif
#ifdef THEN_ADD
@group(0) @binding(#{THEN_ADD}) var<storage, read> then_residual: array<vec4<f32>>;
#endif

#ifdef THEN_STATISTICS
@group(0) @binding(#{THEN_STATISTICS}) var<storage, read_write> then_means: array<vec4<f32>>;
@group(0) @binding(#{THEN_STATISTICS} + 1) var<storage, read_write> then_squares: array<vec4<f32>>;
#endif

fn end_four(result: vec4<f32>, at: u32, channel: u32) -> vec4<f32> {
    var value = result;
#ifdef THEN_NORMALISE
    value = (value - then_mean[channel]) * then_scale[channel] + then_shift[channel];
#endif
#ifdef THEN_ADD
    value += then_residual[at];
#endif
#ifdef THEN_RELU
    value = max(value, vec4<f32>(0.0));
#endif
    return value;
}
#else
fn end_four(result: vec4<f32>, at: u32, channel: u32) -> vec4<f32> {
    return result;
}
#endif

#ifdef THEN_ONE
#ifdef THEN_NORMALISE
@group(0) @binding(#{THEN_NORMALISE}) var<storage, read> then_mean: array<f32>;
@group(0) @binding(#{THEN_NORMALISE} + 1) var<storage, read> then_scale: array<f32>;
@group(0) @binding(#{THEN_NORMALISE} + 2) var<storage, read> then_shift: array<f32>;
#endif
#ifdef THEN_ADD
@group(0) @binding(#{THEN_ADD}) var<storage, read> then_residual: array<f32>;
#endif

fn end_one(result: f32, at: u32, channel: u32) -> f32 {
    var value = result;
#ifdef THEN_NORMALISE
    value = (value - then_mean[channel]) * then_scale[channel] + then_shift[channel];
#endif
#ifdef THEN_ADD
    value += then_residual[at];
#endif
#ifdef THEN_RELU
    value = max(value, f32(0.0));
#endif
    return value;
}
#else
fn end_one(result: f32, at: u32, channel: u32) -> f32 {
    return result;
}
#endif
