#define_import_path gatefold::steps

// What changes from step to step: `params::StepWords`, word by word.
struct StepWords {
    step: u32,
    seed: u32,
    learning_rate: f32,
    weight_decay: f32,
    // 1 - beta^t of Adam's two moments.
    correction_of_mean: f32,
    correction_of_square: f32,
    gradient_scale: f32,
    // Pictures of a larger batch that lie before this one's.
    first: u32,
}
