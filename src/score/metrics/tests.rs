use super::text::MAX_LINE;
use super::*;

#[track_caller]
fn close(value: f64, expected: f64, epsilon: f64) {
    assert!((value - expected).abs() <= epsilon, "{value} is not {expected}");
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

/// Rows that put 0.8 on the given class and share the rest out evenly.
fn rows(predictions: &[usize], classes: usize) -> Vec<f32> {
    let rest = 0.2 / (classes - 1) as f32;
    predictions.iter().flat_map(|&p| (0..classes).map(move |c| if c == p { 0.8 } else { rest })).collect()
}

fn answers(labels: &[usize], rows: &[f32], classes: usize) -> Vec<Answer> {
    labels.iter().zip(rows.chunks(classes)).map(|(&label, row)| Answer::new(label, row).unwrap()).collect()
}

#[test]
fn three_classes_by_hand() {
    let labels = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2];
    let m = Metrics::new(
        &labels,
        &rows(&[0, 0, 0, 1, 1, 1, 0, 2, 0, 1], 3),
        &names(&["Rock", "Pop", "Jazz"]),
        &[10, 20, 5],
    )
    .unwrap();
    assert_eq!(m.confusion, Some(vec![vec![3, 1, 0], vec![1, 2, 0], vec![1, 1, 1]]));
    close(m.accuracy, 0.6, 1e-12);
    close(m.accuracy_ci[0], 0.312_674, 1e-6);
    close(m.accuracy_ci[1], 0.831_820, 1e-6);
    close(m.balanced_accuracy, (3.0 / 4.0 + 2.0 / 3.0 + 1.0 / 3.0) / 3.0, 1e-12);
    // F1 = 2 right / (support + called): 6/9, 4/7, 2/4
    close(m.macro_f1, (6.0 / 9.0 + 4.0 / 7.0 + 0.5) / 3.0, 1e-12);
    assert_eq!((m.majority, m.majority_label.as_str()), (0.3, "Pop"), "the training set's majority, not this set's");
    close(m.chance, 1.0 / 3.0, 1e-12);
    // Shares of the training set, weighted with those of this one.
    close(m.stratified, (4.0 * 10.0 + 3.0 * 20.0 + 3.0 * 5.0) / 35.0 / 10.0, 1e-12);
    assert_eq!(m.roc_auc, None);
    close(m.loss, -(6.0 * 0.8_f64.ln() + 4.0 * 0.1_f64.ln()) / 10.0, 1e-7);
    let pop = &m.per_class[1];
    assert_eq!((pop.precision, pop.support), (0.5, 3));
    close(pop.recall, 2.0 / 3.0, 1e-12);
    assert_eq!(m.verdict(), Verdict::Better);
}

#[test]
fn json_has_the_promised_keys() {
    let m = Metrics::new(&[0, 1], &[0.2, 0.9], &names(&["a", "b"]), &[1, 1]).unwrap();
    let json = serde_json::to_value(&m).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut promised = vec!["n", "labels", "accuracy", "accuracy_ci", "balanced_accuracy", "macro_f1", "majority"];
    promised.extend(["majority_label", "chance", "stratified", "confusion", "roc_auc", "per_class", "loss"]);
    let sorted = |mut v: Vec<&str>| {
        v.sort_unstable();
        v.join(" ")
    };
    assert_eq!(sorted(keys), sorted(promised));
    assert_eq!(serde_json::from_value::<Metrics>(json).unwrap(), m);
}

#[test]
fn auc_counts_ties_half() {
    // pairs (one, zero): 0.5>0.2, 0.5=0.5, 0.9>0.2, 0.9>0.5 -> 3.5 of 4
    assert_eq!(roc_auc(&[0, 0, 1, 1], &[0.2, 0.5, 0.5, 0.9]), Some(0.875));
    assert_eq!(roc_auc(&[0, 1, 0, 1], &[0.3; 4]), Some(0.5));
    assert_eq!(roc_auc(&[0, 1], &[-0.0, 0.0]), Some(0.5), "minus zero ties with zero");
    assert_eq!(roc_auc(&[1, 1], &[0.1, 0.2]), None);
}

#[test]
fn perfect_worst_and_one_class_absent() {
    let two = names(&["no", "yes"]);
    let perfect = Metrics::new(&[0, 0, 1, 1], &[0.0, 0.1, 0.9, 1.0], &two, &[3, 1]).unwrap();
    assert_eq!((perfect.accuracy, perfect.macro_f1, perfect.roc_auc), (1.0, 1.0, Some(1.0)));
    assert_eq!(perfect.accuracy_ci[1], 1.0);
    close(perfect.accuracy_ci[0], 0.510_109, 1e-6);
    assert_eq!(perfect.verdict(), Verdict::Better, "the interval starts just above one half");

    let worst = Metrics::new(&[0, 0, 1, 1], &[1.0, 0.9, 0.1, 0.0], &two, &[3, 1]).unwrap();
    assert_eq!((worst.accuracy, worst.macro_f1, worst.roc_auc), (0.0, 0.0, Some(0.0)));
    assert_eq!(worst.accuracy_ci[0], 0.0);
    assert!(worst.loss.is_finite() && worst.loss > 10.0);
    assert_eq!(worst.verdict(), Verdict::NotBetter);

    let absent = Metrics::new(&[1, 1], &[0.9, 0.4], &two, &[1, 3]).unwrap();
    assert_eq!((absent.balanced_accuracy, absent.roc_auc), (0.5, None));
    // A class that is predicted but does not occur has no F1 of its own; it lowers the recall of those that do.
    close(absent.macro_f1, 2.0 / 3.0, 1e-12);
    assert_eq!(absent.occurring(), 1);
    let text = absent.text();
    assert!(text.contains("mean recall of the 1 of 2 classes that occur") && !text.contains("NaN"), "{text}");
    assert!(text.contains("mean F1 of the same"), "{text}");
    assert_eq!(
        absent.per_class[0],
        ClassScore { label: "no".into(), precision: 0.0, recall: 0.0, f1: 0.0, support: 0 }
    );

    // A class that neither occurs nor is predicted stays out of both means.
    let unseen = Metrics::new(&[0, 1], &rows(&[0, 1], 3), &names(&["a", "b", "c"]), &[1, 1, 1]).unwrap();
    assert_eq!((unseen.balanced_accuracy, unseen.macro_f1), (1.0, 1.0));
}

#[test]
fn verdicts_in_words() {
    let two = names(&["Rock", "Pop"]);
    let score = |right: usize, n: usize| {
        let labels: Vec<usize> = (0..n).map(|i| usize::from(i % 2 == 1)).collect();
        let flip = |(i, &l): (usize, &usize)| if (i < right) == (l == 1) { 0.9 } else { 0.1 };
        let p: Vec<f32> = labels.iter().enumerate().map(flip).collect();
        Metrics::new(&labels, &p, &two, &[2, 1]).unwrap()
    };
    assert_eq!(score(50, 100).verdict_text(), "This is NOT better than always answering \"Rock\" (50.0 %).");
    assert_eq!(
        score(55, 100).verdict_text(),
        "The 95 % interval includes the majority baseline: on these 100 covers it can't be told apart from \
         always answering \"Rock\" (50.0 %)."
    );
    assert_eq!(
        score(80, 100).verdict_text(),
        "Better than always answering \"Rock\" (50.0 %) by 30.0 points; the interval's lower end is 21.1 points \
         above it."
    );
}

#[test]
fn the_report_is_aligned() {
    let labels: Vec<usize> = (0..300).map(|i| i % 15).collect();
    let guesses: Vec<usize> = (0..300).map(|i| (i * i + i / 40) % 15).collect();
    let genres = "Rock,Electronic,Pop,Jazz,Rap,Metal,RnB,Reggae,Country,Folk,Blues,Punk,Latin,World,New Age";
    for list in [genres.to_owned(), genres.replace(",P", ",Progressive P").replace(",R", ",Progressive R")] {
        let list: Vec<_> = list.split(',').map(str::to_owned).collect();
        let m = Metrics::new(&labels, &rows(&guesses, 15), &list, &[20; 15]).unwrap();
        let text = m.to_string();
        let matrix: Vec<_> = text.lines().skip_while(|l| !l.starts_with("Confusion")).skip(1).collect();
        let width = matrix[0].chars().count();
        assert!(width <= MAX_LINE && matrix.len() == 16, "{text}");
        assert!(matrix.iter().all(|l| l.chars().count() == width), "{text}");
    }
}

#[test]
fn refuses_what_makes_no_sense() {
    let two = names(&["a", "b"]);
    let code = |labels: &[usize], p: &[f32], counts: &[u64]| {
        Metrics::new(labels, p, &two, counts).map_err(|e| e.exit_code()).unwrap_err()
    };
    assert_eq!(code(&[], &[], &[1, 1]), 2);
    assert_eq!(code(&[2], &[0.5], &[1, 1]), 2);
    assert_eq!(code(&[0, 1], &[0.5, 0.5, 0.5], &[1, 1]), 1);
    assert_eq!(code(&[0, 1], &[0.5, f32::NAN], &[1, 1]), 1);
    assert_eq!(code(&[0, 1], &[0.5, 1.5], &[1, 1]), 1);
    assert_eq!(code(&[0], &[3.0, -2.0], &[1, 1]), 1, "logits are not probabilities");
    assert_eq!(code(&[0, 1], &[0.5, 0.5], &[1]), 1);
    assert_eq!(code(&[0, 1], &[0.5, 0.5], &[0, 0]), 1);
    assert!(Metrics::new(&[0], &[1.0], &names(&["only"]), &[1]).is_err());
}

#[test]
fn the_calibration_error_is_the_mean_gap_of_the_bins() {
    // Confidences 0.9 and 0.9 (one right), 0.6 (right): gaps 0.4 twice and 0.4 once.
    let calibration = Calibration::new(&answers(&[0, 1, 1], &[0.9, 0.1, 0.9, 0.1, 0.4, 0.6], 2));
    close(calibration.ece, (2.0 * 0.4 + 0.4) / 3.0, 1e-6);
    let counts: Vec<_> = calibration.bins.iter().map(|bin| bin.count).collect();
    assert_eq!(counts, [0, 0, 0, 0, 0, 1, 0, 0, 2, 0]);
    close(calibration.bins[8].accuracy, 0.5, 1e-12);
    close(calibration.bins[5].confidence, 0.6, 1e-6);
    let perfect = Calibration::new(&answers(&[0, 1], &[1.0, 0.0, 0.0, 1.0], 2));
    assert_eq!((perfect.ece, perfect.bins[9].count), (0.0, 2));
}

#[test]
fn curves_over_thresholds_have_the_areas_that_scikit_learn_gives() {
    // Its documentation's example: ROC-AUC 0.75, average precision 0.8333.
    let curves = Curves::new(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]).unwrap();
    assert_eq!(curves.roc, [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]);
    close(curves.average_precision, 0.5 + 0.5 * 2.0 / 3.0, 1e-12);
    assert_eq!((curves.prevalence, curves.precision_recall[0]), (0.5, (0.5, 1.0)));
    // The area under the points is the rank statistic's, also with ties.
    let (labels, scores) = ([0, 1, 1, 0, 1, 0, 0, 1], [0.2, 0.2, 0.7, 0.7, 0.9, 0.1, 0.7, 0.3]);
    let is: Vec<bool> = labels.iter().map(|&label| label == 1).collect();
    let curves = Curves::new(&is, &scores).unwrap();
    let area: f64 = curves.roc.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum();
    close(area, roc_auc(&labels, &scores).unwrap(), 1e-12);
    // All alike: a diagonal, and a precision of the prevalence.
    let alike = Curves::new(&is, &[0.5; 8]).unwrap();
    assert_eq!((alike.roc.as_slice(), alike.average_precision), (&[(0.0, 0.0), (1.0, 1.0)][..], 0.5));
    assert_eq!(Curves::new(&[true, true], &[0.1, 0.2]), None);
}

#[test]
fn mcnemar_is_the_exact_sign_test() {
    let p = |first: u64, second: u64| {
        let n = (first + second) as usize;
        let right: Vec<bool> = (0..n + 3).map(|i| i < first as usize || i >= n).collect();
        let other: Vec<bool> = (0..n + 3).map(|i| i >= first as usize).collect();
        let test = McNemar::new(&right, &other);
        assert_eq!((test.only_first, test.only_second), (first, second));
        test.p
    };
    // scipy.stats.binomtest(k, n).pvalue
    close(p(1, 7), 0.070_312_5, 1e-12);
    close(p(7, 1), 0.070_312_5, 1e-12);
    close(p(0, 6), 0.031_25, 1e-12);
    close(p(12, 30), 0.007_915_897_334_897, 1e-12);
    close(p(5, 5), 1.0, 1e-12);
    close(p(0, 0), 1.0, 1e-12);
    // Beyond the smallest f64 powers of two.
    close(p(900, 1100), 8.457_089_535_504e-6, 1e-12);
}

#[test]
fn holm_multiplies_the_smallest_most_and_keeps_the_order() {
    let corrected = holm(&[0.04, 0.01, 0.03]);
    [0.06, 0.03, 0.06].iter().zip(&corrected).for_each(|(&expected, &p)| close(p, expected, 1e-12));
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
}

#[test]
fn bootstrap_intervals_hold_the_score_and_shrink_with_more_covers() {
    let two = names(&["a", "b"]);
    let interval = |n: usize| {
        let labels: Vec<usize> = (0..n).map(|i| i % 2).collect();
        let guesses: Vec<usize> = (0..n).map(|i| if i % 10 < 7 { i % 2 } else { 1 - i % 2 }).collect();
        let rows = rows(&guesses, 2);
        let metrics = Metrics::new(&labels, &rows, &two, &[1, 1]).unwrap();
        let answers = answers(&labels, &rows, 2);
        let intervals = Intervals::new(&answers, 2);
        assert_eq!(intervals, Intervals::new(&answers, 2), "not repeatable");
        for ([low, high], score) in [
            (intervals.balanced_accuracy, metrics.balanced_accuracy),
            (intervals.macro_f1, metrics.macro_f1),
            (intervals.loss, metrics.loss),
            (intervals.roc_auc.unwrap(), metrics.roc_auc.unwrap()),
        ] {
            assert!(low < score && score < high, "{low} {score} {high}");
        }
        intervals.balanced_accuracy
    };
    let (few, many) = (interval(50), interval(800));
    // The binomial's: 1.96 sqrt(0.7 * 0.3 / 800) = 0.0318.
    close((many[1] - many[0]) / 2.0, 0.031_8, 0.004);
    assert!(few[1] - few[0] > 2.0 * (many[1] - many[0]));
}
