#define_import_path gatefold::normalise

// What a kernel does to its input while it loads it: batch-norm and ReLU where NORMALISE is defined, nothing otherwise. `One` is
// for kernels that load numbers, `Four` for those that load four neighbouring channels. Where nothing is done there is nothing
// to hold either, and no binding that it could come from.

#ifdef NORMALISE
struct One {
    mean: f32,
    scale: f32,
    shift: f32,
}

struct Four {
    mean: vec4<f32>,
    scale: vec4<f32>,
    shift: vec4<f32>,
}

fn one(value: f32, norm: One) -> f32 {
    return max((value - norm.mean) * norm.scale + norm.shift, 0.0);
}

fn four(value: vec4<f32>, norm: Four) -> vec4<f32> {
    return max((value - norm.mean) * norm.scale + norm.shift, vec4<f32>(0.0));
}
#else
struct One {
    none: u32,
}

struct Four {
    none: u32,
}

fn one(value: f32, norm: One) -> f32 {
    return value;
}

fn four(value: vec4<f32>, norm: Four) -> vec4<f32> {
    return value;
}
#endif
