//! Colours for heat: from black over violet and orange to pale yellow.
//!
//! Lightness rises in even steps with the value, so that equal differences of heat look equally large, also in grey
//! and to the colour-blind.

/// sRGB anchors, evenly spaced from 0 to 1, in the manner of matplotlib's "inferno".
const ANCHORS: [[u8; 3]; 10] = [
    [0, 0, 4],
    [27, 12, 66],
    [75, 12, 107],
    [120, 28, 109],
    [165, 44, 96],
    [207, 68, 70],
    [237, 105, 37],
    [251, 154, 6],
    [247, 208, 60],
    [252, 255, 164],
];

/// The colour of a value from 0 (cold) to 1 (hot); what lies outside is clamped, NaN counts as 0.
#[must_use]
pub fn heat(value: f32) -> [u8; 3] {
    let value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
    let at = value * (ANCHORS.len() - 1) as f32;
    let low = (at as usize).min(ANCHORS.len() - 2);
    let t = at - low as f32;
    std::array::from_fn(|c| {
        let (a, b) = (f32::from(ANCHORS[low][c]), f32::from(ANCHORS[low + 1][c]));
        (a + (b - a) * t).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CIE L* of an sRGB colour.
    fn lightness(rgb: [u8; 3]) -> f64 {
        let linear = rgb.map(|c| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        });
        let y = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
        if y > 0.008_856 { 116.0 * y.cbrt() - 16.0 } else { 903.3 * y }
    }

    #[test]
    fn lightness_rises_evenly() {
        let steps: Vec<f64> = (0..=20).map(|i| lightness(heat(i as f32 / 20.0))).collect();
        assert!(steps[0] < 1.0 && steps[20] > 95.0);
        for pair in steps.windows(2) {
            let step = pair[1] - pair[0];
            assert!((2.0..8.0).contains(&step), "{step} in {steps:?}");
        }
    }

    #[test]
    fn ends_and_nonsense() {
        assert_eq!(heat(0.0), ANCHORS[0]);
        assert_eq!(heat(1.0), ANCHORS[9]);
        assert_eq!(heat(-1.0), ANCHORS[0]);
        assert_eq!(heat(7.0), ANCHORS[9]);
        assert_eq!(heat(f32::NAN), ANCHORS[0]);
        assert_eq!(heat(1.0 / 3.0), ANCHORS[3]);
    }
}
