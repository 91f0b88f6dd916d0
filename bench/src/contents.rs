//! What lies in the storage of a launch that is timed by itself, and whether two kernels made the same of it.

use gatefold_engine::plan::{Content, Output};
use gatefold_engine::tape::Launch;
use gatefold_engine::tensor::Tensor;
use kernels_tests::tolerance;

/// Uniform noise: vectors (variances and scales among them) between 0.5 and 1.5, everything else between -1 and 1. Where a
/// kernel reads whole numbers, numbers that it may meet.
pub fn contents(launch: &Launch, operand: usize, tensor: Tensor) -> Vec<u32> {
    let words = tensor.shape.len();
    if launch.op.ends_with("cross_entropy") {
        // One of the operands holds labels, and no label but 0 is sure to be a class.
        return vec![0; words];
    }
    let mut state = 0x9e37_79b9_u32.wrapping_mul(operand as u32 + 1);
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    if launch.op == "max_pool" && launch.pass == "backward" && operand == 0 {
        // The place of the maximum in its window, a byte each.
        let extent = |name: &str| {
            let kernel = launch.kernels.first();
            let constant = kernel.and_then(|k| k.constants.iter().find(|(constant, _)| *constant == name));
            constant.map_or(1, |&(_, value)| value.unsigned_abs())
        };
        let area = (extent("KERNEL_Y") * extent("KERNEL_X")).clamp(1, 256);
        return (0..words).map(|_| (0..4).fold(0, |word, _| (word << 8) | (random() % area))).collect();
    }
    let from = if tensor.shape.pixels() == 1 { 0.5 } else { -1.0 };
    let width = if tensor.shape.pixels() == 1 { 1.0 } else { 2.0 };
    (0..words).map(|_| (from + width * random() as f32 / (1 << 24) as f32).to_bits()).collect()
}

/// Largest difference of two right kernels, relative to what they did.
pub fn tolerance(outputs: &[Output], rounds_factors: bool) -> f64 {
    let half = rounds_factors || outputs.iter().any(|output| output.content == Content::F16);
    if half { tolerance::OTHER_KERNEL_HALF } else { tolerance::OTHER_KERNEL }
}

/// How far a kernel's outputs are from the plain one's: the norm of the difference over that of what the plain one changed.
/// Infinite if anything is NaN or infinite, or if indices differ.
pub fn difference(plain: &[Output], other: &[Output]) -> f64 {
    let (mut apart, mut changed) = (0.0_f64, 0.0_f64);
    for (plain, other) in plain.iter().zip(other) {
        if plain.indices() != other.indices() {
            return f64::INFINITY;
        }
        for ([before, a], [_, b]) in plain.numbers().zip(other.numbers()) {
            // A NaN in either makes the sum one.
            apart += (a - b) * (a - b);
            changed += (a - before) * (a - before);
        }
    }
    let error = if apart == 0.0 { 0.0 } else { (apart / changed).sqrt() };
    if error.is_finite() && changed.is_finite() { error } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: [u32; 3] = [0; 3];

    fn output(after: [f32; 3]) -> [Output<'static>; 1] {
        [Output { before: &BEFORE, after: after.map(f32::to_bits).to_vec(), content: Content::F32 }]
    }

    #[test]
    fn a_wrong_number_or_none_at_all_is_a_difference() {
        let plain = output([1.0, 2.0, 2.0]);
        assert_eq!(difference(&plain, &output([1.0, 2.0, 2.0])), 0.0);
        assert_eq!(difference(&plain, &output([1.0, 2.0, 5.0])), 1.0);
        assert!(difference(&plain, &output([1.0, f32::NAN, 2.0])) > tolerance(&plain, false));
        assert!(difference(&plain, &output([f32::INFINITY, 2.0, 2.0])) > tolerance(&plain, false));
    }

    #[test]
    fn indices_are_the_same_or_wrong() {
        // As a float, the last would be NaN.
        let indices = |after| [Output { before: &BEFORE, after, content: Content::Indices }];
        let plain = indices(vec![0, 1, 0xffc0_ffff]);
        assert_eq!(difference(&plain, &indices(vec![0, 1, 0xffc0_ffff])), 0.0);
        assert_eq!(difference(&plain, &indices(vec![0, 2, 0xffc0_ffff])), f64::INFINITY);
    }

    #[test]
    fn a_word_in_half_precision_is_two_numbers() {
        // 1 and -2.
        let output = Output { before: &[0], after: vec![0xc000_3c00], content: Content::F16 };
        assert_eq!(output.numbers().collect::<Vec<_>>(), [[0.0, 1.0], [0.0, -2.0]]);
    }
}
