//! What is left of a picture when its smooth parts are taken off, its colours' detail, its rim and its levels.

use super::plane::{Plane, Planes, log_ratio};

/// Energy of the Laplacian against the contrast, its kurtosis (logarithm), its skewness, and the share of smooth pixels.
pub fn moments(luma: &Plane, residual: &Plane) -> [f64; 4] {
    let mean = residual.mean();
    let count = residual.values.len() as f64;
    let moment = |power: i32| residual.values.iter().map(|&v| (f64::from(v) - mean).powi(power)).sum::<f64>() / count;
    let variance = moment(2).max(1e-3);
    let smooth = residual.values.iter().filter(|v| v.abs() <= 1.0).count() as f64 / count;
    let skew = moment(3) / variance.powf(1.5);
    [
        log_ratio(variance, luma.variance()),
        (moment(4) / variance.powi(2)).max(1.0).ln(),
        // Its root keeps the rare picture with one bright speck from lying far outside.
        skew.signum() * skew.abs().sqrt(),
        smooth,
    ]
}

/// Correlation of the residual with itself one pixel on, two pixels on, and one on diagonally, rows and columns averaged; and
/// rows less columns one pixel on.
pub fn correlations(residual: &Plane) -> [f64; 4] {
    let variance = residual.variance();
    let (mean, size) = (residual.mean(), residual.size);
    let at = |dx: usize, dy: usize| {
        if variance < 1e-3 {
            return 0.0;
        }
        let mut sum = 0.0;
        for y in 0..size - dy {
            let (one, other) = (&residual.values[y * size..][..size], &residual.values[(y + dy) * size..][..size]);
            for x in 0..size - dx {
                sum += (f64::from(one[x]) - mean) * (f64::from(other[x + dx]) - mean);
            }
        }
        sum / ((size - dx) * (size - dy)) as f64 / variance
    };
    let (rows, columns) = (at(1, 0), at(0, 1));
    [(rows + columns) / 2.0, (at(2, 0) + at(0, 2)) / 2.0, at(1, 1), rows - columns]
}

/// Detail of the colours against the luminance's, smoothness of the colours, and whether they come in pairs.
pub fn colours(planes: &Planes, luma_residual: &Plane) -> [f64; 3] {
    let both = [&planes.blue, &planes.red];
    let detail: f64 = both.iter().map(|plane| plane.laplacian().variance()).sum();
    // Mean squares of steps over one and over two pixels, and of steps over one that start at even and at odd pixels.
    let (mut one, mut two, mut pairs) = (0.0_f64, 0.0_f64, [0.0_f64; 2]);
    for plane in both {
        for row in plane.values.chunks_exact(plane.size) {
            for (x, three) in row.windows(3).enumerate() {
                let step = f64::from(three[1] - three[0]).powi(2);
                one += step;
                two += f64::from(three[2] - three[0]).powi(2);
                pairs[x % 2] += step;
            }
        }
    }
    let count = (2 * planes.blue.size * (planes.blue.size - 2)) as f64;
    [
        log_ratio(detail, luma_residual.variance()),
        log_ratio(one / count, two / count),
        log_ratio(2.0 * pairs[0] / count, 2.0 * pairs[1] / count),
    ]
}

/// Detail beside the edge against that inside, the step from the outermost pixel against steps further in, and the share of
/// plain outermost lines.
pub fn borders(luma: &Plane, residual: &Plane) -> [f64; 3] {
    let last = residual.size - 1;
    let (mut rim, mut inside) = ((0.0_f64, 0_u32), (0.0_f64, 0_u32));
    for (i, &value) in residual.values.iter().enumerate() {
        let (x, y) = (i % residual.size, i / residual.size);
        let part = if x == 0 || y == 0 || x == last || y == last { &mut rim } else { &mut inside };
        part.0 += f64::from(value).powi(2);
        part.1 += 1;
    }
    let mean = |(sum, count): (f64, u32)| sum / f64::from(count.max(1));

    let end = luma.size - 1;
    // The pixel at this depth from a side, at this place along it.
    let pixel = |side: usize, depth: usize, along: usize| match side {
        0 => luma.at(depth, along),
        1 => luma.at(end - depth, along),
        2 => luma.at(along, depth),
        _ => luma.at(along, end - depth),
    };
    let step = |depth: usize| {
        let square = |side, along| f64::from(pixel(side, depth, along) - pixel(side, depth + 1, along)).powi(2);
        (0..4).flat_map(|side| (0..luma.size).map(move |along| (side, along))).map(|(s, a)| square(s, a)).sum::<f64>()
            / (4 * luma.size) as f64
    };
    let plain = (0..4).filter(|&side| {
        let values = (0..luma.size).map(|along| pixel(side, 0, along));
        let (low, high) = values.fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)));
        high - low <= 4.0
    });
    let further = (step(2) + step(3) + step(4)) / 3.0;
    [log_ratio(mean(rim), mean(inside)), log_ratio(step(0), further), plain.count() as f64 / 4.0]
}

/// The share of levels that are missing between levels that are there, and the root of the share of values at either end.
pub fn levels(square: &[u8]) -> [f64; 2] {
    let mut counts = [[0_u32; 256]; 3];
    square.chunks_exact(3).for_each(|pixel| (0..3).for_each(|c| counts[c][usize::from(pixel[c])] += 1));
    let mut missing = 0.0;
    for channel in &counts {
        // Only where the picture has many values: sparse tails are missing some by chance.
        let used = |level: usize| channel[level - 1] + channel[level + 1] > 8;
        let (gaps, all) = (1..255)
            .filter(|&level| used(level))
            .fold((0, 0), |(gaps, all), level| (gaps + u32::from(channel[level] == 0), all + 1));
        missing += f64::from(gaps) / f64::from(all.max(1)) / 3.0;
    }
    let clipped: u32 = counts.iter().map(|channel| channel[0] + channel[255]).sum();
    [missing, (f64::from(clipped) / square.len().max(1) as f64).sqrt()]
}
