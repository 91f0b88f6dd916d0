use super::*;
use crate::score::metrics::{Answer, Intervals};

/// Scores of `covers` answers by a network with so many classes, each named with so many letters.
fn scored(classes: usize, covers: usize, letters: usize) -> (Metrics, Vec<Answer>) {
    let names: Vec<String> = (0..classes).map(|i| format!("<{i:05}>{}", "ü".repeat(letters))).collect();
    let answers: Vec<Answer> = (0..covers)
        .map(|i| {
            let label = i % classes;
            let predicted = if i % 3 == 0 { label } else { (i * i / 7) % classes };
            Answer { label, predicted, confidence: 0.5, truth: 0.25, second: 0.5 }
        })
        .collect();
    (Metrics::of(&answers, &names, &vec![1; classes]).unwrap(), answers)
}

fn cells(markup: &str) -> usize {
    markup.matches("<td").count()
}

#[test]
fn pages_of_two_thousand_and_of_fifty_thousand_classes_are_small() {
    for (classes, letters) in [(2_000, 10), (2_000, 5_000), (50_000, 10)] {
        let (metrics, answers) = scored(classes, classes + 17, letters);
        let counts = [vec![1; classes], vec![2; classes], vec![3; classes]];
        let parts = [
            confusion(&metrics, &Cells::new()),
            scores(&metrics),
            covers(&metrics.labels, &counts),
            compared(&[Some(&metrics), Some(&metrics)], &[&metrics.labels, &metrics.labels], &["a".into(), "b".into()]),
        ];
        let bytes: usize = parts.iter().map(|part| part.0.len()).sum();
        assert!(bytes < 2_000_000, "{classes} classes: {bytes} bytes");
        let intervals = Intervals::new(&answers, classes);
        assert!(intervals.macro_f1[0] <= intervals.macro_f1[1]);
    }
}

#[test]
fn few_classes_have_all_of_their_numbers_and_no_words_of_others() {
    for classes in [2, 6, IN_MATRIX] {
        let (metrics, _) = scored(classes, 400, 3);
        let matrix = confusion(&metrics, &Cells::new()).0;
        assert_eq!(cells(&matrix), classes * (classes + 1));
        assert!(!matrix.contains("others") && !matrix.contains("wrong"));
        assert_eq!(scores(&metrics).0.matches("<tr>").count(), classes + 1);
    }
}

#[test]
fn the_matrix_of_many_classes_has_the_most_confused_ones() {
    let names: Vec<String> = (0..50).map(|i| format!("k{i:02}")).collect();
    let answer = |label, predicted| Answer { label, predicted, confidence: 0.5, truth: 0.25, second: 0.5 };
    // 40 is called 7 three times, 8 twice right and once 49; the others are right.
    let mut answers = vec![answer(40, 7); 3];
    answers.extend([answer(8, 8), answer(8, 8), answer(8, 49)]);
    answers.extend((10..30).map(|class| answer(class, class)));
    let metrics = Metrics::of(&answers, &names, &[1; 50]).unwrap();
    assert_eq!(most_confused(&metrics.mistakes()), [7, 8, 40, 49]);
    let page = confusion(&metrics, &Cells::new()).0;
    assert!(page.contains("all 50 classes") && page.contains("of the 4 classes"), "{page}");
    assert!(page.contains("3 of 3 k40 (100.0 %) answered k07") && page.contains("2 of 3 k08 (66.7 %) answered k08"));
    let list = page.split("The most frequent wrong answers.").nth(1).unwrap();
    assert!(list.find("k40").unwrap() < list.find("k08").unwrap());
    // Cells that the page has covers of link to them, in the matrix and in the list.
    let linked = confusion(&metrics, &Cells::from([(40, 7), (10, 10)])).0;
    let link = "<a href=\"#cell-40-7\" data-truth=\"40\" data-answer=\"7\" data-count=\"3\">";
    assert_eq!((linked.matches(link).count(), linked.matches("<a ").count()), (2, 2), "{linked}");
    assert!(!page.contains("<a ") && linked.contains("A click on a number"));
    // What has no column is counted beside the matrix.
    let crowded: Vec<Answer> = (1..50).flat_map(|class| [answer(0, class), answer(0, 0)]).collect();
    let crowded = Metrics::of(&crowded, &names, &[1; 50]).unwrap();
    let shown = most_confused(&crowded.mistakes());
    assert_eq!((shown.len(), shown[0]), (IN_MATRIX, 0));
    let page = confusion(&crowded, &Cells::new()).0;
    assert!(page.contains("<td class=\"total\">20</td><td class=\"total\">98</td>"), "{page}");
    let right = Metrics::of(&[answer(1, 1)], &names, &[1; 50]).unwrap();
    assert!(confusion(&right, &Cells::new()).0.contains("None of the 1 test covers was answered wrong."));
}

#[test]
fn tables_of_many_classes_have_both_ends() {
    let names: Vec<String> = (0..300).map(|i| format!("k{i:03}")).collect();
    let answer = |label, predicted| Answer { label, predicted, confidence: 0.5, truth: 0.25, second: 0.5 };
    // Class 299 is never right, class 0 always; the others have one of two.
    let answers: Vec<Answer> = (0..300)
        .flat_map(|class| match class {
            0 => [answer(0, 0); 2],
            299 => [answer(299, 150); 2],
            _ => [answer(class, class), answer(class, (class * 7) % 290 + 1)],
        })
        .collect();
    let metrics = Metrics::of(&answers, &names, &[1; 300]).unwrap();
    let page = scores(&metrics).0;
    let (worst, best) = page.split_once("The 100 classes with the highest F1.").unwrap();
    assert!(worst.contains("300 of 300 classes have test covers") && worst.contains("test.json"));
    assert!(worst.contains(">k299<") && best.find(">k000<").unwrap() < 1000, "{best}");
    assert_eq!(page.matches("<th scope=\"row\">").count(), ROWS);
    // Fewer occur than a table holds.
    let few = scores(&Metrics::of(&answers[..60], &names, &[1; 300]).unwrap()).0;
    assert!(few.contains("30 of 300 classes have test covers"), "{few}");
    assert_eq!(few.matches("<th scope=\"row\">").count(), 30);

    let counts = [(0..300).collect(), vec![0; 300], vec![0; 300]];
    let page = covers(&names, &counts).0;
    assert!(page.contains(">k299<") && page.contains(">k000<") && !page.contains(">k150<"), "{page}");
    assert!(page.contains("The 100 largest and the 100 smallest of 300 classes"));

    // Two runs that differ in the last class only.
    let mut other = answers.clone();
    other.iter_mut().filter(|answer| answer.label == 299).for_each(|answer| answer.predicted = 299);
    let other = Metrics::of(&other, &names, &[1; 300]).unwrap();
    let page = compared(&[Some(&metrics), Some(&other)], &[&names, &names], &["a".into(), "b".into()]).0;
    let first = page.split("<th scope=\"row\">").nth(1).unwrap();
    assert!(first.starts_with("k299<"), "{first}");
    assert_eq!(page.matches("<th scope=\"row\">").count(), 2 * ROWS);
}
