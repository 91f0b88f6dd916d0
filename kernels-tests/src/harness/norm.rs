//! An extension of the crate `approx`: equality of whole tensors, by a norm instead of number by number.

use approx::{AbsDiffEq, RelativeEq};

use super::Array;

/// Equality by `||out - reference|| / ||reference||`. Beside a large number a small one is as good as its neighbours, which is
/// what sums in another order give; number by number, it would have to be as good as its own size.
pub trait RelativeNormEq<Rhs: ?Sized = Self> {
    /// `||out - reference|| / ||reference||`, with the plain norm of the difference where the reference is 0. Infinite if the
    /// shapes differ, or if a number is NaN or infinite.
    fn relative_norm(&self, reference: &Rhs) -> f64;

    /// Whether that is at most `max_relative`.
    fn relative_norm_eq(&self, reference: &Rhs, max_relative: f64) -> bool {
        self.relative_norm(reference) <= max_relative
    }
}

impl<A: Copy + Into<f64>, B: Copy + Into<f64>> RelativeNormEq<[B]> for [A] {
    fn relative_norm(&self, reference: &[B]) -> f64 {
        let pairs = || self.iter().zip(reference).map(|(&out, &reference)| (out.into(), reference.into()));
        if self.len() != reference.len() || pairs().any(|(out, _): (f64, f64)| !out.is_finite()) {
            return f64::INFINITY;
        }
        let difference: f64 = pairs().map(|(out, reference)| (out - reference).powi(2)).sum();
        let norm: f64 = pairs().map(|(_, reference)| reference * reference).sum();
        let error = if norm > 0.0 { (difference / norm).sqrt() } else { difference.sqrt() };
        if error.is_nan() { f64::INFINITY } else { error }
    }
}

impl RelativeNormEq for Array {
    fn relative_norm(&self, reference: &Self) -> f64 {
        if self.shape == reference.shape { self.data[..].relative_norm(&reference.data[..]) } else { f64::INFINITY }
    }
}

impl<A: RelativeNormEq<B> + ?Sized, B: ?Sized> RelativeNormEq<&B> for &A {
    fn relative_norm(&self, reference: &&B) -> f64 {
        (**self).relative_norm(*reference)
    }
}

impl<A, B> RelativeNormEq<Vec<B>> for Vec<A>
where
    [A]: RelativeNormEq<[B]>,
{
    fn relative_norm(&self, reference: &Vec<B>) -> f64 {
        self[..].relative_norm(&reference[..])
    }
}

/// Number by number, with equal shapes.
impl AbsDiffEq for Array {
    type Epsilon = f64;

    fn default_epsilon() -> f64 {
        f64::EPSILON
    }

    fn abs_diff_eq(&self, other: &Self, epsilon: f64) -> bool {
        self.shape == other.shape && self.data.abs_diff_eq(&other.data, epsilon)
    }
}

/// Number by number, with equal shapes.
impl RelativeEq for Array {
    fn default_max_relative() -> f64 {
        f64::EPSILON
    }

    fn relative_eq(&self, other: &Self, epsilon: f64, max_relative: f64) -> bool {
        self.shape == other.shape && self.data.relative_eq(&other.data, epsilon, max_relative)
    }
}

/// Like `approx::assert_relative_eq!`, by [`RelativeNormEq`]: `assert_relative_norm_eq!(out, reference, max_relative = 1e-5)`. What
/// follows says what was compared, as in `assert!`. The message holds the norm, not the tensors.
#[macro_export]
macro_rules! assert_relative_norm_eq {
    ($out:expr, $reference:expr, max_relative = $max:expr $(,)?) => {
        $crate::assert_relative_norm_eq!($out, $reference, max_relative = $max, "{}", stringify!($out))
    };
    ($out:expr, $reference:expr, max_relative = $max:expr, $($what:tt)+) => {
        match (&($out), &($reference), $max) {
            (out, reference, max) => assert!(
                $crate::RelativeNormEq::relative_norm_eq(out, reference, max),
                "{}: off by {:.2e} of the reference's norm, allowed {:.0e}",
                format_args!($($what)+),
                $crate::RelativeNormEq::relative_norm(out, reference),
                max,
            ),
        }
    };
}

#[cfg(test)]
mod tests {
    use gatefold_engine::tensor::Shape;

    use super::*;

    #[test]
    fn the_norm_is_of_the_whole_tensor_and_knows_no_nan() {
        let reference = [3.0_f64, 4.0];
        assert_eq!([3.0_f32, 4.0][..].relative_norm(&reference[..]), 0.0);
        assert_eq!([3.0_f32, 4.5][..].relative_norm(&reference[..]), 0.1);
        assert_eq!([0.5_f32][..].relative_norm(&[0.0_f64][..]), 0.5);
        for bad in [&[3.0_f32][..], &[3.0, f32::NAN], &[f32::INFINITY, 4.0]] {
            assert_eq!(bad.relative_norm(&reference[..]), f64::INFINITY);
        }
        assert_eq!([3.0_f32, 4.0][..].relative_norm(&[3.0, f64::NAN][..]), f64::INFINITY);
        assert_relative_norm_eq!([3.0_f32, 4.0][..], reference[..], max_relative = 0.0);
    }

    #[test]
    #[should_panic(expected = "the sum: off by 1.00e-1 of the reference's norm, allowed 9e-2")]
    fn the_assertion_says_what_is_off_by_how_much() {
        assert_relative_norm_eq!([3.0_f32, 4.5][..], [3.0_f64, 4.0][..], max_relative = 0.09, "the {}", "sum");
    }

    #[test]
    fn arrays_of_other_shapes_differ() {
        let (row, column) = (Array::random(Shape::matrix(1, 6), 1), Array::random(Shape::matrix(6, 1), 1));
        assert_eq!(row.data, column.data);
        assert_eq!(row.relative_norm(&column), f64::INFINITY);
        approx::assert_abs_diff_ne!(row, column);
        approx::assert_relative_eq!(row, row.map(|v| v * (1.0 + 1e-12)), max_relative = 1e-11);
    }
}
