//! Seams of JPEG's 8 × 8 blocks.

use super::plane::Plane;

const BLOCK: usize = 8;

/// Seams where blocks lie if nothing was cut or scaled since, and at the strongest phase: two logarithms of ratios, near 0 where
/// there are none.
///
/// Third differences across a seam see its step and little of smooth shading (in the manner of Fan and de Queiroz 2003,
/// "Identification of bitmap compression history"); rows and columns are added up.
pub fn blocks(luma: &Plane) -> [f64; 2] {
    let mut sum = [0.0_f64; BLOCK];
    let mut count = [0_u32; BLOCK];
    for plane in [luma, &luma.turned()] {
        for row in plane.values.chunks_exact(plane.size) {
            for (x, four) in row.windows(4).enumerate() {
                // The seam would lie between the second and the third of them.
                let phase = (x + 2) % BLOCK;
                sum[phase] += f64::from((1.0 + (four[0] - 3.0 * four[1] + 3.0 * four[2] - four[3]).abs()).ln());
                count[phase] += 1;
            }
        }
    }
    // A hundredth keeps plain pictures at 0.
    let strength: [f64; BLOCK] = std::array::from_fn(|phase| sum[phase] / f64::from(count[phase].max(1)) + 0.01);
    let others = strength[1..].iter().sum::<f64>() / (BLOCK - 1) as f64;
    let mut sorted = strength;
    sorted.sort_by(f64::total_cmp);
    let middle = (sorted[BLOCK / 2 - 1] + sorted[BLOCK / 2]) / 2.0;
    [(strength[0] / others).ln(), (sorted[BLOCK - 1] / middle).ln()]
}
