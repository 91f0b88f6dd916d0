//! Two classes at every threshold: the ROC curve, and precision against recall.

/// A point of a curve: x, y.
pub type Point = (f64, f64);

/// What a score says of one class against the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// False-positive rate, true-positive rate; from (0, 0) to (1, 1). The area under it is [`super::roc_auc`].
    pub roc: Vec<Point>,
    /// Recall, precision; one point for each threshold, recall ascending.
    pub precision_recall: Vec<Point>,
    /// Average precision: the sum over thresholds of the step in recall times the precision there. No interpolation, which
    /// would flatter (Davis and Goadrich 2006).
    pub average_precision: f64,
    /// The share of covers of the class: the precision of guessing.
    pub prevalence: f64,
}

impl Curves {
    /// Of the class that `is` marks, by descending `scores`. `None` unless both classes occur.
    pub fn new(is: &[bool], scores: &[f32]) -> Option<Self> {
        let positives = is.iter().filter(|&&is| is).count();
        let negatives = is.len() - positives;
        if positives == 0 || negatives == 0 {
            return None;
        }
        let mut order: Vec<(f32, bool)> = scores.iter().copied().zip(is.iter().copied()).collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut roc, mut precision_recall) = (vec![(0.0, 0.0)], vec![]);
        let (mut hits, mut alarms, mut average_precision) = (0, 0, 0.0);
        for equal in order.chunk_by(|a, b| a.0 == b.0) {
            let found = equal.iter().filter(|(_, is)| *is).count();
            (hits, alarms) = (hits + found, alarms + equal.len() - found);
            let recall = hits as f64 / positives as f64;
            let precision = hits as f64 / (hits + alarms) as f64;
            average_precision += found as f64 / positives as f64 * precision;
            roc.push((alarms as f64 / negatives as f64, recall));
            precision_recall.push((recall, precision));
        }
        Some(Self { roc, precision_recall, average_precision, prevalence: positives as f64 / is.len() as f64 })
    }
}
