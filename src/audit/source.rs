//! Where pictures come from: does the label depend on it, and can it be told from the pixels? If both, a network can read the
//! source and answer with the label.

use std::collections::BTreeMap;

use serde::Serialize;

use super::probe::{LEAST_PICTURES, PERMUTATIONS, Pictures, Probe, dealt};
use super::table::Table;

/// What rarer sources are called together.
const OTHERS: &str = "(others)";
/// At most so many sources are asked about, the largest: each takes a thousand fits.
const MOST: usize = 8;

/// What the source column tells.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    pub column: String,
    /// Sources with enough pictures, and how many of each class they have; rarer ones together as `(others)`.
    pub values: Vec<SourceValue>,
    /// How far the label depends on the source: Cramér's V without its bias (Bergsma 2013), 0 not at all to 1 wholly.
    pub cramers_v: f64,
    /// How often labels that mean nothing depend on the source as much.
    pub p: f64,
    /// Each source against the rest, from the pixels.
    pub pixels: Probe,
    /// By how much areas fall when all pictures are degraded alike, with 95 % intervals; in the order of `pixels.classes`.
    pub drops: Vec<(f64, [f64; 2])>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SourceValue {
    pub value: String,
    /// In the order of the classes.
    pub pictures: Vec<usize>,
}

/// Asks about the source of each picture, given by name.
pub fn source(
    column: &str,
    values: &[String],
    pictures: Pictures,
    (pixels, harmonised): (&Table, &Table),
    seed: u64,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Source {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    values.iter().for_each(|value| *counts.entry(value).or_default() += 1);
    let mut common: Vec<(&str, usize)> = counts
        .iter()
        .filter(|&(value, &count)| !value.is_empty() && count >= LEAST_PICTURES)
        .map(|(v, n)| (*v, *n))
        .collect();
    common.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    common.truncate(MOST);
    let mut names: Vec<String> = common.into_iter().map(|(value, _)| value.to_owned()).collect();
    if counts.keys().any(|value| !names.iter().any(|name| name == value)) {
        names.push(OTHERS.to_owned());
    }
    let others = names.len() - 1;
    let of: Vec<usize> =
        values.iter().map(|value| names.iter().position(|name| name == value).unwrap_or(others)).collect();

    let classes = pictures.classes.len();
    let v = cramers_v(&contingency(&of, pictures.labels, names.len(), classes));
    let reached = (0..PERMUTATIONS).filter(|&number| {
        let labels = dealt(pictures, seed, number as u64);
        cramers_v(&contingency(&of, &labels, names.len(), classes)) >= v
    });
    let p = (1 + reached.count()) as f64 / (1 + PERMUTATIONS) as f64;

    let counted = contingency(&of, pictures.labels, names.len(), classes);
    let shown = names.iter().zip(counted).map(|(value, pictures)| SourceValue { value: value.clone(), pictures });
    let shown: Vec<SourceValue> = shown.collect();
    let sources = Pictures { classes: &names, labels: &of, groups: pictures.groups };
    let probe = Probe::run(pixels, sources, PERMUTATIONS, seed, progress);
    let after = Probe::run(harmonised, sources, 0, seed, progress);
    let drops = probe.above(&after, sources, seed);
    Source { column: column.to_owned(), values: shown, cramers_v: v, p, pixels: probe, drops }
}

/// Counts: a row for each source, a column for each class.
fn contingency(sources: &[usize], labels: &[usize], rows: usize, columns: usize) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0; columns]; rows];
    sources.iter().zip(labels).for_each(|(&source, &label)| counts[source][label] += 1);
    counts
}

/// Cramér's V, corrected for what chance alone gives (Bergsma 2013, "A bias-correction for Cramér's V and Tschuprow's T").
fn cramers_v(counts: &[Vec<usize>]) -> f64 {
    let rows: Vec<f64> = counts.iter().map(|row| row.iter().sum::<usize>() as f64).collect();
    let width = counts.first().map_or(0, Vec::len);
    let columns: Vec<f64> = (0..width).map(|c| counts.iter().map(|row| row[c]).sum::<usize>() as f64).collect();
    let all: f64 = rows.iter().sum();
    let used = |totals: &[f64]| totals.iter().filter(|&&total| total > 0.0).count() as f64;
    let (r, c) = (used(&rows), used(&columns));
    if r < 2.0 || c < 2.0 {
        return 0.0;
    }
    let mut phi = 0.0;
    for (row, total) in counts.iter().zip(&rows) {
        for (&count, column) in row.iter().zip(&columns).filter(|&(_, &column)| column > 0.0 && *total > 0.0) {
            let expected = total * column / all;
            phi += (count as f64 - expected).powi(2) / expected / all;
        }
    }
    let phi = (phi - (r - 1.0) * (c - 1.0) / (all - 1.0)).max(0.0);
    let shrunk = |n: f64| n - (n - 1.0).powi(2) / (all - 1.0);
    let least = shrunk(r).min(shrunk(c)) - 1.0;
    if least > 0.0 { (phi / least).sqrt().min(1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cramers_v_of_known_cases() {
        assert!((cramers_v(&[vec![50, 0], vec![0, 50]]) - 1.0).abs() < 1e-9);
        assert_eq!(cramers_v(&[vec![25, 25], vec![25, 25]]), 0.0);
        // φ² = 0.16, less 1/99; both counts of kinds shrink to 2 - 1/99.
        let v = cramers_v(&[vec![35, 15], vec![15, 35]]);
        let wanted = ((0.16_f64 - 1.0 / 99.0) / (1.0 - 1.0 / 99.0)).sqrt();
        assert!((v - wanted).abs() < 1e-12, "{v} {wanted}");
        assert_eq!(cramers_v(&[vec![3, 4]]), 0.0);
        assert_eq!(cramers_v(&[]), 0.0);
    }
}
