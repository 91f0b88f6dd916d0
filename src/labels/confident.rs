//! Confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 70): which
//! labels contradict a network that has not seen them?
//!
//! In the paper's letters: ỹ is the label that was given, y* the true one, p the probability that a network gives for a cover that was
//! in none of its training. All sums run in the order of the covers, so the same answers give the same result.

/// What a network says of one cover: its label, and the probabilities of classes. Those that are left out count as 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// The class that was given.
    pub label: usize,
    /// Classes and their probabilities, each class once; that of the label among them.
    pub probabilities: Vec<(usize, f32)>,
}

impl Opinion {
    /// Self-confidence: the probability of the label, p(ỹ).
    pub fn self_confidence(&self) -> f32 {
        self.of(self.label)
    }

    /// Normalised margin of a class as if it were the label: its probability less that of the most probable other class, between -1
    /// and 1.
    pub fn margin_of(&self, label: usize) -> f32 {
        self.of(label) - self.best_but(label).map_or(0.0, |(_, p)| p)
    }

    /// The most probable class that is not the label; the first of equals.
    pub fn best_other(&self) -> Option<(usize, f32)> {
        self.best_but(self.label)
    }

    fn best_but(&self, label: usize) -> Option<(usize, f32)> {
        most_probable(self.probabilities.iter().copied().filter(|&(class, _)| class != label))
    }

    /// The probability of a class.
    pub fn of(&self, class: usize) -> f32 {
        self.probabilities.iter().find(|&&(other, _)| other == class).map_or(0.0, |&(_, p)| p)
    }
}

fn most_probable(classes: impl Iterator<Item = (usize, f32)>) -> Option<(usize, f32)> {
    let better = |a: &(usize, f32), b: &(usize, f32)| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0));
    classes.max_by(better)
}

/// What confident learning finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Confident {
    /// For each class its threshold t: the mean probability that it has where it is the label (the paper's equation 2).
    pub thresholds: Vec<f64>,
    /// For each cover the class that it confidently is: of those whose probability reaches their threshold the most probable. None if
    /// there is none.
    pub counted: Vec<Option<usize>>,
    /// The confident joint C: how many covers of a label are confidently of which class, `(ỹ, y*)`, where there are any (equation 1).
    pub joint: Vec<((usize, usize), u64)>,
    /// Whether a label is pruned, by noise rate: of each cell ỹ ≠ y* of the estimated joint, as many covers as it stands for, those with
    /// the largest p(y*) - p(ỹ) first.
    pub suspects: Vec<bool>,
    /// How many labels are wrong by the estimated joint: the sum of its cells ỹ ≠ y*, of all covers.
    pub wrong: f64,
}

/// Finds the labels that are likely wrong. `classes` is the number of classes.
pub fn learn(opinions: &[Opinion], classes: usize) -> Confident {
    let mut sums = vec![(0.0_f64, 0_u64); classes];
    for opinion in opinions {
        let (sum, count) = &mut sums[opinion.label];
        *sum += f64::from(opinion.self_confidence());
        *count += 1;
    }
    let mut of_label: Vec<Vec<usize>> = vec![Vec::new(); classes];
    opinions.iter().enumerate().for_each(|(i, opinion)| of_label[opinion.label].push(i));
    // A class without covers can be confidently nothing.
    let thresholds: Vec<f64> =
        sums.iter().map(|&(sum, count)| if count > 0 { sum / count as f64 } else { f64::INFINITY }).collect();
    // Sums of f32 in f64: a class of one cover must reach its own mean.
    let reaches = |&(class, p): &(usize, f32)| f64::from(p) >= thresholds[class] - 1e-9;
    let counted: Vec<Option<usize>> = opinions
        .iter()
        .map(|opinion| most_probable(opinion.probabilities.iter().copied().filter(reaches)).map(|(class, _)| class))
        .collect();

    let mut cells: Vec<(usize, usize)> =
        opinions.iter().zip(&counted).filter_map(|(opinion, class)| Some((opinion.label, (*class)?))).collect();
    cells.sort_unstable();
    let joint: Vec<((usize, usize), u64)> =
        cells.chunk_by(|a, b| a == b).map(|cell| (cell[0], cell.len() as u64)).collect();

    let mut suspects = vec![false; opinions.len()];
    let mut wrong = 0.0;
    for row in joint.chunk_by(|a, b| a.0.0 == b.0.0) {
        let label = row[0].0.0;
        let confident: u64 = row.iter().map(|(_, count)| count).sum();
        // The joint is scaled so that its rows have as many covers as the labels do (equation 3).
        let scale = sums[label].1 as f64 / confident as f64;
        for &((_, class), count) in row.iter().filter(|((_, class), _)| *class != label) {
            let stands_for = count as f64 * scale;
            wrong += stands_for;
            let lead = |&i: &usize| (opinions[i].of(class) - opinions[i].self_confidence(), i);
            // No cover is pruned for a class that the network finds less probable than its label.
            let mut order: Vec<(f32, usize)> =
                of_label[label].iter().map(lead).filter(|(lead, _)| *lead > 0.0).collect();
            order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            order.iter().take(stands_for.round() as usize).for_each(|&(_, i)| suspects[i] = true);
        }
    }
    Confident { thresholds, counted, joint, suspects, wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opinion(label: usize, probabilities: &[f32]) -> Opinion {
        Opinion { label, probabilities: probabilities.iter().copied().enumerate().collect() }
    }

    /// Worked out by hand. Label 0: 0.9, 0.7 and 0.2, so t0 = 0.6. Label 1: 0.8, 0.6 and 0.1, so t1 = 0.5.
    #[test]
    fn the_confident_joint_of_six_covers_is_that_of_the_paper() {
        let opinions = [
            opinion(0, &[0.9, 0.1]),
            opinion(0, &[0.7, 0.3]),
            opinion(0, &[0.2, 0.8]),
            opinion(1, &[0.2, 0.8]),
            opinion(1, &[0.4, 0.6]),
            opinion(1, &[0.9, 0.1]),
        ];
        let found = learn(&opinions, 2);
        assert!((found.thresholds[0] - 0.6).abs() < 1e-6 && (found.thresholds[1] - 0.5).abs() < 1e-6);
        assert_eq!(found.counted, [Some(0), Some(0), Some(1), Some(1), Some(1), Some(0)]);
        assert_eq!(found.joint, [((0, 0), 2), ((0, 1), 1), ((1, 0), 1), ((1, 1), 2)]);
        assert_eq!(found.suspects, [false, false, true, false, false, true]);
        assert!((found.wrong - 2.0).abs() < 1e-9);
        assert!((opinions[2].self_confidence() - 0.2).abs() < 1e-6 && (opinions[2].margin_of(0) + 0.6).abs() < 1e-6);
        let mut order: Vec<usize> = (0..6).collect();
        order.sort_by(|&a, &b| {
            opinions[a].margin_of(opinions[a].label).total_cmp(&opinions[b].margin_of(opinions[b].label))
        });
        assert_eq!(order, [5, 2, 4, 1, 3, 0]);
    }

    /// Both classes reach their thresholds, so the more probable counts; and a cover that reaches none counts nowhere, but the joint
    /// stands for it.
    #[test]
    fn covers_of_several_confident_classes_count_once_and_of_none_are_stood_for() {
        let opinions = [
            // t0 = (0.5 + 0.3) / 2 = 0.4, t1 = (0.4 + 0.3 + 0.3 + 0.5) / 4 = 0.375, t2 = 0.7
            opinion(0, &[0.5, 0.4, 0.1]),
            opinion(0, &[0.3, 0.6, 0.1]),
            opinion(1, &[0.42, 0.4, 0.18]),
            opinion(1, &[0.35, 0.3, 0.35]),
            opinion(1, &[0.3, 0.3, 0.4]),
            opinion(1, &[0.2, 0.5, 0.3]),
            opinion(2, &[0.1, 0.2, 0.7]),
        ];
        let found = learn(&opinions, 3);
        assert_eq!(found.counted, [Some(0), Some(1), Some(0), None, None, Some(1), Some(2)]);
        assert_eq!(found.joint, [((0, 0), 1), ((0, 1), 1), ((1, 0), 1), ((1, 1), 1), ((2, 2), 1)]);
        // Of label 1 half of the confident covers are of class 0: of four covers two, led by 0.05 and 0.02.
        assert_eq!(found.suspects, [false, true, true, true, false, false, false]);
        assert!((found.wrong - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_class_of_one_cover_or_of_none_does_no_harm() {
        let opinions = [opinion(0, &[0.3, 0.7, 0.0]), opinion(1, &[0.1, 0.9, 0.0])];
        let found = learn(&opinions, 3);
        assert_eq!(found.counted, [Some(0), Some(1)]);
        assert_eq!((found.suspects, found.wrong), (vec![false, false], 0.0));
        assert!(found.thresholds[2].is_infinite());
        assert_eq!(learn(&[], 3).joint, []);
        // Of many classes only the most probable ones are known; the others count as 0.
        let few = Opinion { label: 9, probabilities: vec![(4, 0.6), (9, 0.1)] };
        assert_eq!((few.of(5), few.best_other()), (0.0, Some((4, 0.6))));
    }
}
