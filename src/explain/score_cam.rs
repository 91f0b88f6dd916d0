//! Score-CAM (Wang and others, 2020, "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks").
//!
//! Each channel of the layer, brought to the picture's size (bilinear) and stretched to 0 to 1, masks the normalised picture.
//! The channel's weight is the softmax over channels of the class's score (before softmax or sigmoid) of what is left, less the
//! baseline's, the score of a picture of nothing but the mean colour; the map is `ReLU(sum_k w_k A_k)`. No gradient is
//! needed, but a forward pass for each channel, and one for the baseline: it cancels out in the softmax, but a channel that is
//! the same everywhere masks all, so its score is the baseline's.

use gatefold_engine::tensor::Shape;

use super::HeatMap;
use super::method::weighted;
use super::render::{resized, stretched};
use super::scorer::CHANNELS;
use crate::Result;

/// The class's scores of so many pictures, which the second function draws: its picture's number, and the place.
pub type Score<'a> = dyn FnMut(usize, &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<Vec<f32>> + 'a;

/// The map of one picture: `activation` is the layer's, `h x w x c` of `shape`, and `picture` the normalised one, `size x size x 4`.
///
/// # Errors
/// If a run fails.
pub fn score_cam(activation: &[f32], shape: Shape, picture: &[f32], size: usize, score: &mut Score) -> Result<HeatMap> {
    let plane = |k: usize| activation.iter().skip(k).step_by(shape.c).copied();
    let flat = |k: usize| plane(k).min_by(f32::total_cmp) == plane(k).max_by(f32::total_cmp);
    let masking: Vec<usize> = (0..shape.c).filter(|&k| !flat(k)).collect();
    let scores = score(masking.len() + 1, &|number, place| match masking.get(number) {
        None => place.fill(0.0),
        Some(&k) => {
            let cells: Vec<f32> = plane(k).collect();
            let mask = stretched(resized(&cells, shape.w, shape.h, size as u32, size as u32));
            let pixels = place.chunks_exact_mut(CHANNELS).zip(picture.chunks_exact(CHANNELS));
            for ((to, from), m) in pixels.zip(mask) {
                to.iter_mut().zip(from).for_each(|(to, from)| *to = from * m);
            }
        }
    })?;
    let baseline = scores[masking.len()];
    let mut increase = vec![0.0; shape.c];
    masking.iter().zip(&scores).for_each(|(&k, score)| increase[k] = f64::from(score - baseline));
    HeatMap::new(shape.w, shape.h, weighted(activation, &softmax(&increase)))
}

fn softmax(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.iter().map(|v| (v - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_weigh_what_the_picture_masked_by_them_scores() {
        // Two cells on two pixels, three channels: the left pixel, the right one, and one that is the same everywhere.
        let activation = [2.0, 0.0, 0.5, 0.0, 4.0, 0.5];
        let picture = [1.0, 1.0, 1.0, 0.0, 3.0, 3.0, 3.0, 0.0].repeat(2);
        let mut asked = 0;
        let heat = score_cam(&activation, Shape::new(1, 1, 2, 3), &picture, 2, &mut |count, draw| {
            asked = count;
            let mut place = vec![f32::NAN; 16];
            // The score is the sum of what is left to see.
            let scores = (0..count).map(|i| {
                draw(i, &mut place);
                place.iter().sum()
            });
            Ok(scores.collect())
        });
        // Masks 1 0 and 0 1 leave 6 and 18 on two rows, the flat one 0; so the weights are nearly 0, 1 and 0.
        assert_eq!(asked, 3);
        let weights = softmax(&[6.0, 18.0, 0.0]);
        let expected = [2.0 * weights[0] + 0.5 * weights[2], 4.0 * weights[1] + 0.5 * weights[2]];
        for (got, expected) in heat.unwrap().values().iter().zip(expected) {
            assert!((f64::from(*got) - expected).abs() < 1e-6, "{got} {expected}");
        }
    }
}
