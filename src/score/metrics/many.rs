//! Tests of many classes, and that the short ways around a matrix give what the plain ones do.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Answers of a network that is right now and then, and the rows of probabilities that they come from.
fn drawn(covers: usize, classes: usize) -> (Vec<usize>, Vec<f32>, Vec<Answer>) {
    let mut rng = ChaCha8Rng::seed_from_u64(classes as u64);
    // One class has no covers.
    let labels: Vec<usize> = (0..covers).map(|_| rng.random_range(0..classes).max(usize::from(classes > 2))).collect();
    let rows: Vec<f32> = labels
        .iter()
        .flat_map(|&label| {
            let mut row: Vec<f32> = (0..classes).map(|_| rng.random_range(0.0..1.0_f32)).collect();
            row[label] += rng.random_range(0.0..0.6_f32);
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|p| *p /= sum);
            row
        })
        .collect();
    let answers = labels.iter().zip(rows.chunks(classes)).map(|(&l, row)| Answer::new(l, row).unwrap()).collect();
    (labels, rows, answers)
}

fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|i| format!("class {i:05}")).collect()
}

/// Balanced accuracy and macro-F1 from a whole matrix.
fn plainly(matrix: &[Vec<u64>]) -> (f64, f64) {
    let (mut recalls, mut f1s, mut occurring) = (0.0, 0.0, 0);
    for class in 0..matrix.len() {
        let right = matrix[class][class] as f64;
        let support: u64 = matrix[class].iter().sum();
        let called: u64 = matrix.iter().map(|row| row[class]).sum();
        if support > 0 {
            occurring += 1;
            recalls += right / support as f64;
            f1s += right / ((support + called) as f64 / 2.0);
        }
    }
    (recalls / f64::from(occurring), f1s / f64::from(occurring))
}

#[test]
fn intervals_are_to_the_bit_those_of_whole_scores_of_each_draw() {
    for (covers, classes) in [(60, 2), (80, 7), (90, 120)] {
        let (labels, rows, answers) = drawn(covers, classes);
        let (names, counts) = (numbered(classes), vec![1; classes]);
        let draws: Vec<Metrics> = (0..1000)
            .map(|draw| {
                let mut rng = ChaCha8Rng::seed_from_u64(draw);
                let (mut drawn, mut drawn_rows) = (vec![], vec![]);
                for _ in 0..covers {
                    let i = rng.random_range(0..covers);
                    drawn.push(labels[i]);
                    drawn_rows.extend_from_slice(&rows[i * classes..(i + 1) * classes]);
                }
                Metrics::new(&drawn, &drawn_rows, &names, &counts).unwrap()
            })
            .collect();
        let interval = |score: &dyn Fn(&Metrics) -> Option<f64>| {
            let mut values: Vec<f64> = draws.iter().filter_map(score).collect();
            values.sort_by(f64::total_cmp);
            let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
            [at(0.025), at(0.975)]
        };
        let intervals = Intervals::new(&answers, classes);
        assert_eq!(intervals.balanced_accuracy, interval(&|m| Some(m.balanced_accuracy)));
        assert_eq!(intervals.macro_f1, interval(&|m| Some(m.macro_f1)));
        assert_eq!(intervals.loss, interval(&|m| Some(m.loss)));
        assert_eq!(intervals.roc_auc, (classes == 2).then(|| interval(&|m| m.roc_auc)));
    }
}

#[test]
fn scores_without_a_matrix_are_to_the_bit_those_with_one() {
    for classes in [2, 9, WHOLE, WHOLE + 1, 300] {
        let (labels, rows, answers) = drawn(400, classes);
        let metrics = Metrics::new(&labels, &rows, &numbered(classes), &vec![1; classes]).unwrap();
        assert_eq!(metrics, Metrics::of(&answers, &numbered(classes), &vec![1; classes]).unwrap());
        let matrix = confusion::matrix(&answers, classes);
        assert_eq!((metrics.balanced_accuracy, metrics.macro_f1), plainly(&matrix));
        assert_eq!(
            (0..classes).map(|c| metrics.right(c)).collect::<Vec<_>>(),
            (0..classes).map(|c| matrix[c][c]).collect::<Vec<_>>()
        );
        // All that is not on the diagonal, once, the most frequent first.
        let mistakes = metrics.mistakes();
        assert!(mistakes.is_sorted_by_key(|m| (std::cmp::Reverse(m.count), m.label, m.predicted)));
        let wrong =
            (0..classes).flat_map(|l| (0..classes).map(move |p| (l, p))).filter(|&(l, p)| l != p && matrix[l][p] > 0);
        assert_eq!(mistakes.len(), wrong.count());
        assert!(mistakes.iter().all(|m| m.label != m.predicted && matrix[m.label][m.predicted] == m.count));
        // The JSON has one or the other, and comes back.
        let json = serde_json::to_value(&metrics).unwrap();
        assert_eq!(
            (json.get("confusion").is_some(), json.get("confused").is_some()),
            (classes <= WHOLE, classes > WHOLE)
        );
        assert_eq!(serde_json::from_value::<Metrics>(json).unwrap(), metrics);
    }
}

#[test]
fn the_json_of_many_classes_lists_what_was_taken_for_what_and_old_files_are_read() {
    let names = numbered(101);
    let answer = |label, predicted| Answer { label, predicted, confidence: 0.5, truth: 0.1, second: 0.0 };
    let answers = [answer(5, 4), answer(9, 9), answer(7, 3), answer(7, 3), answer(100, 0)];
    let metrics = Metrics::of(&answers, &names, &[1; 101]).unwrap();
    let json = serde_json::to_value(&metrics).unwrap();
    let one = |label: &str, predicted: &str, count: u64| serde_json::json!({ "label": label, "predicted": predicted, "count": count });
    let listed = [
        one("class 00007", "class 00003", 2),
        one("class 00005", "class 00004", 1),
        one("class 00100", "class 00000", 1),
    ];
    assert_eq!(json["confused"].as_array().unwrap(), &listed);
    // Older versions wrote the matrix for any number of classes.
    let mut old = json.clone();
    old.as_object_mut().unwrap().remove("confused");
    old["confusion"] = serde_json::to_value(confusion::matrix(&answers, 101)).unwrap();
    let old: Metrics = serde_json::from_value(old).unwrap();
    assert_eq!(old.mistakes(), metrics.mistakes());
    assert_eq!(old.text(), metrics.text());
    let text = metrics.text();
    let end = "(all are in the JSON):\n  2 of 2 class 00007 answered class 00003\n  1 of 1 class 00005 answered class 00004\n";
    assert!(text.contains(end), "{text}");
    let right = Metrics::of(&[answer(1, 1)], &names, &[1; 101]).unwrap();
    assert!(right.text().ends_with("No cover was answered wrong.\n"));
    assert_eq!(serde_json::to_value(&right).unwrap()["confused"], serde_json::json!([]));
}

/// A matrix of these classes would be 80 GB, and each of the 1,000 draws would have one.
#[test]
fn a_hundred_thousand_classes_take_no_memory_with_their_square() {
    let (classes, covers) = (100_000, 3_000);
    let answers: Vec<Answer> = (0..covers)
        .map(|i| Answer { label: i * 33, predicted: i * i % classes, confidence: 0.1, truth: 0.001, second: 0.0 })
        .collect();
    let metrics = Metrics::of(&answers, &numbered(classes), &vec![1; classes]).unwrap();
    let intervals = Intervals::new(&answers, classes);
    assert!(intervals.loss[0] <= metrics.loss && metrics.loss <= intervals.loss[1]);
    assert_eq!(metrics.confusion, None);
    assert!(metrics.confused.as_ref().unwrap().len() <= covers);
    assert!(metrics.text().lines().count() < 40);
}

#[test]
fn the_sum_of_very_many_small_probabilities_is_not_mistaken_for_a_wrong_one() {
    let classes = 100_000;
    let row = vec![1.0 / classes as f32; classes];
    Answer::new(7, &row).unwrap();
    let mut sure = vec![0.1 / (classes - 1) as f32; classes];
    sure[0] = 0.9;
    assert_eq!(Answer::new(7, &sure).unwrap().predicted, 0);
    sure[0] = 0.8;
    assert!(Answer::new(7, &sure).is_err());
    assert!(Answer::new(classes, &sure).is_err());
}
