//! Logistic regression with a ridge, by Newton's method.
//!
//! Written here because the audit fits it some ten thousand times on tables of thirty columns with weighted pictures, for which
//! the crates that offer it (linfa-logistic, smartcore) have neither weights nor a Newton step.

/// What one picture is worth in a fit, so that both sides of an uneven question count alike.
fn balanced(labels: &[bool]) -> [f64; 2] {
    let yes = labels.iter().filter(|&&label| label).count() as f64;
    let all = labels.len() as f64;
    [all / (2.0 * (all - yes)).max(1.0), all / (2.0 * yes).max(1.0)]
}

/// The ridge, per picture, on standardised columns: strong enough that thirty columns and forty pictures do no harm, too weak to
/// hide what is plain to see.
pub const RIDGE: f64 = 0.01;
const STEPS: usize = 50;

/// A fitted model: log odds = bias + Σ weights × columns.
#[derive(Clone, Debug)]
pub struct Logistic {
    pub weights: Vec<f64>,
    pub bias: f64,
}

impl Logistic {
    /// The weights that minimise the mean negative log-likelihood, both sides counting half, plus [`RIDGE`] / 2 times the squares
    /// of the weights (not of the bias). `rows` holds a row of `width` numbers for each label.
    pub fn fit(rows: &[f64], width: usize, labels: &[bool]) -> Self {
        let worth = balanced(labels);
        let (count, all) = (labels.len() as f64, width + 1);
        // The bias comes last.
        let mut beta = vec![0.0; all];
        let mut loss = objective(rows, width, labels, worth, &beta);
        let mut gradient = vec![0.0; all];
        let mut hessian = vec![0.0; all * all];
        for _ in 0..STEPS {
            gradient.fill(0.0);
            hessian.fill(0.0);
            for (row, &label) in rows.chunks_exact(width).zip(labels) {
                let weight = worth[usize::from(label)] / count;
                let p = sigmoid(dot(row, &beta));
                let slope = weight * (p - f64::from(u8::from(label)));
                let curve = weight * p * (1.0 - p);
                for i in 0..width {
                    gradient[i] += slope * row[i];
                    let scaled = curve * row[i];
                    hessian[i * all..][..=i].iter_mut().zip(row).for_each(|(h, x)| *h += scaled * x);
                    hessian[width * all + i] += scaled;
                }
                gradient[width] += slope;
                hessian[width * all + width] += curve;
            }
            for i in 0..width {
                gradient[i] += RIDGE * beta[i];
                hessian[i * all + i] += RIDGE;
            }
            hessian[width * all + width] += 1e-12;
            if gradient.iter().map(|g| g.abs()).fold(0.0, f64::max) < 1e-7 {
                break;
            }
            solve(&mut hessian, &mut gradient, all);
            // A full step nearly always does; halves where it would overshoot.
            let mut share = 1.0;
            let next = loop {
                let next: Vec<f64> = beta.iter().zip(&gradient).map(|(b, step)| b - share * step).collect();
                let loss_there = objective(rows, width, labels, worth, &next);
                if loss_there <= loss || share < 1e-6 {
                    loss = loss_there;
                    break next;
                }
                share /= 2.0;
            };
            beta = next;
        }
        let bias = beta.pop().unwrap_or(0.0);
        Self { weights: beta, bias }
    }

    /// The log odds of a row.
    pub fn score(&self, row: &[f64]) -> f64 {
        self.bias + row.iter().zip(&self.weights).map(|(x, w)| x * w).sum::<f64>()
    }
}

fn dot(row: &[f64], beta: &[f64]) -> f64 {
    beta[row.len()] + row.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>()
}

fn sigmoid(z: f64) -> f64 {
    1.0 / (1.0 + (-z).exp())
}

fn objective(rows: &[f64], width: usize, labels: &[bool], worth: [f64; 2], beta: &[f64]) -> f64 {
    let one = |(row, &label): (&[f64], &bool)| {
        let z = dot(row, beta) * if label { -1.0 } else { 1.0 };
        // ln(1 + e^z) without overflow.
        worth[usize::from(label)] * (z.max(0.0) + (-z.abs()).exp().ln_1p())
    };
    let likelihood: f64 = rows.chunks_exact(width).zip(labels).map(one).sum();
    likelihood / labels.len() as f64 + RIDGE / 2.0 * beta[..width].iter().map(|b| b * b).sum::<f64>()
}

/// Solves A x = b for a positive definite A, of which only the lower triangle is read, by Cholesky's factors. `a` is spoilt, `b`
/// becomes x.
fn solve(a: &mut [f64], b: &mut [f64], n: usize) {
    for i in 0..n {
        for j in 0..=i {
            let (above, row) = a.split_at(i * n);
            let other = if j < i { &above[j * n..][..j] } else { &row[..j] };
            let sum = row[j] - row[..j].iter().zip(other).map(|(x, y)| x * y).sum::<f64>();
            a[i * n + j] = if i == j { sum.max(1e-300).sqrt() } else { sum / a[j * n + j] };
        }
    }
    for i in 0..n {
        let sum: f64 = (0..i).map(|j| a[i * n + j] * b[j]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|j| a[j * n + i] * b[j]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solves_a_known_system() {
        // Only the lower triangle counts.
        let mut a = [4.0, 9.0, 9.0, 2.0, 5.0, 9.0, 2.0, 3.0, 6.0];
        let mut b = [14.0, 21.0, 26.0];
        solve(&mut a, &mut b, 3);
        for (x, wanted) in b.iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - wanted).abs() < 1e-12, "{b:?}");
        }
    }

    /// scikit-learn 1.9: `LogisticRegression(C=1/(0.01*24), class_weight="balanced", solver="newton-cholesky", tol=1e-12)` minimises
    /// the same sum, multiplied by 1 / ridge.
    #[test]
    fn agrees_with_scikit_learn() {
        let rows: Vec<f64> = (0..24)
            .flat_map(|i| (0..3).map(move |j| (1.7 * f64::from(i) + 0.3 * f64::from(j * i) + f64::from(j)).sin()))
            .collect();
        let label = |i: i32| (1.7 * f64::from(i)).sin() + 0.8 * (3.1 * f64::from(i * i)).cos() > 0.35;
        let labels: Vec<bool> = (0..24).map(label).collect();
        assert_eq!(labels.iter().filter(|&&label| label).count(), 10);
        let model = Logistic::fit(&rows, 3, &labels);
        let wanted = [2.027_207_046_428_148, 0.190_832_893_950_037, 0.008_072_842_936_751, -0.269_355_536_431_215];
        for (own, wanted) in model.weights.iter().chain([&model.bias]).zip(wanted) {
            assert!((own - wanted).abs() < 1e-6, "{model:?}");
        }
    }

    #[test]
    fn a_perfect_separation_stays_finite() {
        let rows: Vec<f64> = (0..40).map(|i| if i < 3 { 5.0 } else { -0.3 }).collect();
        let labels: Vec<bool> = (0..40).map(|i| i < 3).collect();
        let model = Logistic::fit(&rows, 1, &labels);
        assert!(model.score(&[5.0]) > 2.0 && model.score(&[-0.3]) < -0.5 && model.weights[0].is_finite(), "{model:?}");
    }
}
