//! Dynamic loss scaling (Micikevicius and others, "Mixed Precision Training", 2018). Half precision loses gradients below 6e-8, so
//! the loss is multiplied by a large factor before the backward pass, and the parameters' gradients are divided by it after.
//! Where the factor was too large a gradient is NaN or infinite; that step is skipped, and the factor halved.

use serde::{Deserialize, Serialize};

/// The factor, a power of two, and how it fares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    pub factor: f32,
    /// Steps since it changed.
    pub steady: u32,
    /// Optimiser steps that were skipped because a gradient was NaN or infinite.
    pub skipped: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { factor: 65_536.0, steady: 0, skipped: 0 }
    }
}

impl LossScale {
    /// After so many steps without a skip the factor is doubled.
    const PATIENCE: u32 = 2000;
    const LARGEST: f32 = (1 << 24) as f32;

    /// Takes note of a step: whether its gradient was finite. `false` if even the smallest factor is too large, which no factor
    /// can mend.
    pub fn after(&mut self, finite: bool) -> bool {
        if !finite {
            let exhausted = self.factor <= 1.0;
            *self = Self { factor: (self.factor / 2.0).max(1.0), steady: 0, skipped: self.skipped + 1 };
            return !exhausted;
        }
        self.steady += 1;
        if self.steady >= Self::PATIENCE {
            *self = Self { factor: (self.factor * 2.0).min(Self::LARGEST), steady: 0, ..*self };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::LossScale;

    #[test]
    fn the_factor_halves_with_each_skip_and_doubles_after_a_long_while() {
        let mut scale = LossScale::default();
        assert!(scale.after(false) && scale.after(false));
        assert_eq!(scale, LossScale { factor: 16_384.0, steady: 0, skipped: 2 });
        assert!((0..2000).all(|_| scale.after(true)));
        assert_eq!(scale, LossScale { factor: 32_768.0, steady: 0, skipped: 2 });
        assert!((0..15).all(|_| scale.after(false)));
        assert_eq!(scale.factor, 1.0);
        assert!(!scale.after(false), "nothing is left to halve");
    }
}
