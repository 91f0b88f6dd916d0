#define_import_path gatefold::normalise

// What a kernel does to its input while it loads it: batch-norm and ReLU where NORMALISE_FOUR is defined, for kernels that load four
// neighbouring channels, or NORMALISE_ONE, for those that load elements (the binding of the mean; scale and shift follow). Nothing
// otherwise: then there is nothing to hold either, and no binding that it could come from.

#ifdef NORMALISE_FOUR
@group(0) @binding(#{NORMALISE_FOUR}) var<storage, read> mean: array<vec4<f32>>;
@group(0) @binding(#{NORMALISE_FOUR} + 1) var<storage, read> scale: array<vec4<f32>>;
@group(0) @binding(#{NORMALISE_FOUR} + 2) var<storage, read> shift: array<vec4<f32>>;

struct Four {
    mean: vec4<f32>,
    scale: vec4<f32>,
    shift: vec4<f32>,
}

fn four_of(channel: u32) -> Four {
    return Four(mean[channel], scale[channel], shift[channel]);
}

fn four(value: vec4<f32>, norm: Four) -> vec4<f32> {
    return max((value - norm.mean) * norm.scale + norm.shift, vec4<f32>(0.0));
}
#else
struct Four {
    none: u32,
}

fn four_of(channel: u32) -> Four {
    return Four(0u);
}

fn four(value: vec4<f32>, norm: Four) -> vec4<f32> {
    return value;
}
#endif

#ifdef NORMALISE_ONE
@group(0) @binding(#{NORMALISE_ONE}) var<storage, read> mean: array<f32>;
@group(0) @binding(#{NORMALISE_ONE} + 1) var<storage, read> scale: array<f32>;
@group(0) @binding(#{NORMALISE_ONE} + 2) var<storage, read> shift: array<f32>;

struct One {
    mean: f32,
    scale: f32,
    shift: f32,
}

fn one_of(channel: u32) -> One {
    return One(mean[channel], scale[channel], shift[channel]);
}

fn one(value: f32, norm: One) -> f32 {
    return max((value - norm.mean) * norm.scale + norm.shift, 0.0);
}
#else
struct One {
    none: u32,
}

fn one_of(channel: u32) -> One {
    return One(0u);
}

fn one(value: f32, norm: One) -> f32 {
    return value;
}
#endif
