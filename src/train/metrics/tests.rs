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
    assert_eq!(m.confusion, vec![vec![3, 1, 0], vec![1, 2, 0], vec![1, 1, 1]]);
    close(m.accuracy, 0.6, 1e-12);
    close(m.accuracy_ci[0], 0.312_674, 1e-6);
    close(m.accuracy_ci[1], 0.831_820, 1e-6);
    close(m.balanced_accuracy, (3.0 / 4.0 + 2.0 / 3.0 + 1.0 / 3.0) / 3.0, 1e-12);
    // F1 = 2 right / (support + called): 6/9, 4/7, 2/4
    close(m.macro_f1, (6.0 / 9.0 + 4.0 / 7.0 + 0.5) / 3.0, 1e-12);
    assert_eq!((m.majority, m.majority_label.as_str()), (0.3, "Pop"), "the training set's majority, not this set's");
    close(m.chance, 1.0 / 3.0, 1e-12);
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
    promised.extend(["majority_label", "chance", "confusion", "roc_auc", "per_class", "loss"]);
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
    close(absent.macro_f1, (0.0 + 2.0 / 3.0) / 2.0, 1e-12);
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
