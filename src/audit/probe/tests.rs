use rand::RngExt;

use super::super::table::Column;
use super::*;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("class {i}")).collect()
}

/// Four columns of noise; the first also knows class 1, by so many standard deviations.
fn table(labels: &[usize], shift: f64, seed: u64) -> Table {
    let columns = (0..4).map(|i| Column { name: format!("c{i}"), about: String::new(), nature: Nature::Either });
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    // A sum of twelve even numbers is normal enough.
    let mut normal = || (0..12).map(|_| dice.random::<f64>()).sum::<f64>() - 6.0;
    let rows: Vec<Vec<f64>> = labels
        .iter()
        .map(|&label| {
            let mut row: Vec<f64> = (0..4).map(|_| normal()).collect();
            row[0] += if label == 1 { shift } else { 0.0 };
            row
        })
        .collect();
    Table::new(columns.collect(), rows)
}

fn run(table: &Table, labels: &[usize], groups: &[usize], classes: usize) -> Probe {
    let classes = names(classes);
    Probe::run(table, Pictures { classes: &classes, labels, groups }, 60, 7, &|_, _| {})
}

#[test]
fn finds_what_is_there_and_nothing_where_nothing_is() {
    let labels: Vec<usize> = (0..240).map(|i| i % 2).collect();
    let groups: Vec<usize> = (0..240).collect();
    let found = run(&table(&labels, 1.5, 1), &labels, &groups, 2);
    assert_eq!(found.classes.len(), 1);
    let one = &found.classes[0];
    // Two normal numbers 1.5 deviations apart: an area of Φ(1.5 / √2) = 0.856. The class asked about may be either.
    assert!((0.80..0.90).contains(&one.auc) && one.is_above_chance(), "{one:?}");
    assert!(one.interval[0] > 0.75 && one.interval[1] < 0.93);
    assert_eq!((found.features[0].feature.as_str(), found.features[0].p_holm < 1e-6), ("c0", true));
    assert!(found.features[1..].iter().all(|f| f.p_holm > 0.05));

    let nothing = run(&table(&labels, 0.0, 1), &labels, &groups, 2);
    let (one, null) = (&nothing.classes[0], nothing.null.unwrap());
    assert!((0.4..0.6).contains(&one.auc) && !one.is_above_chance(), "{one:?}");
    assert!((null.mean - 0.5).abs() < 0.02 && (0.02..0.06).contains(&null.sd), "{null:?}");
}

#[test]
fn groups_that_look_alike_are_no_finding() {
    // Ten pictures of an artist look alike, and have one label. Pictures of one artist on both sides of a fold, or labels dealt
    // out picture by picture, would make much of that.
    let groups: Vec<usize> = (0..240).map(|i| i / 10).collect();
    let labels: Vec<usize> = groups.iter().map(|group| group % 2).collect();
    let of_group = table(&[0; 24], 0.0, 3);
    let alike = Table::new(of_group.columns.clone(), groups.iter().map(|&group| of_group.row(group).to_vec()));
    let probe = run(&alike, &labels, &groups, 2);
    assert!(!probe.classes[0].is_above_chance(), "{:?}", probe.classes);
    assert!(probe.features.iter().all(|f| f.p_holm > 0.01), "{:?}", probe.features);
    assert!(probe.null.unwrap().sd > 0.06);
    let apart: Vec<usize> = (0..240).collect();
    assert!(run(&alike, &labels, &apart, 2).classes[0].is_above_chance(), "the trap is none");
}

#[test]
fn dealt_labels_keep_groups_whole() {
    let groups: Vec<usize> = (0..200).map(|i| i / 3).collect();
    let labels: Vec<usize> = groups.iter().map(|group| usize::from(group % 5 == 0)).collect();
    let classes = names(2);
    let pictures = Pictures { classes: &classes, labels: &labels, groups: &groups };
    // Dealing keeps groups whole, and the counts but for the one group that is smaller.
    let dealt = dealt(pictures, 1, 5);
    assert!((1..200).all(|i| groups[i] != groups[i - 1] || dealt[i] == dealt[i - 1]));
    assert!(dealt.iter().sum::<usize>().abs_diff(labels.iter().sum()) <= 1 && dealt != labels);
}

#[test]
fn small_classes_are_not_asked_about_and_missing_values_do_no_harm() {
    let labels: Vec<usize> = (0..200).map(|i| if i < 8 { 2 } else { i % 2 }).collect();
    let groups: Vec<usize> = (0..200).collect();
    let whole = table(&labels, 1.0, 4);
    let holes = Table::new(
        whole.columns.clone(),
        (0..200).map(|i| {
            let mut row = whole.row(i).to_vec();
            row[1] = f64::NAN;
            row[3] = if i % 3 == 0 { f64::NAN } else { row[3] };
            row
        }),
    );
    let probe = run(&holes, &labels, &groups, 3);
    assert_eq!((probe.classes.len(), &probe.too_few[..]), (2, &["class 2".to_owned()][..]));
    assert!(probe.classes.iter().all(|class| class.auc.is_finite()));
    assert!(probe.features.iter().all(|f| f.auc.is_finite() && f.p_holm.is_finite()));
}

#[test]
fn the_difference_of_two_probes_has_an_interval() {
    let labels: Vec<usize> = (0..300).map(|i| i % 2).collect();
    let groups: Vec<usize> = (0..300).collect();
    let classes = names(2);
    let pictures = Pictures { classes: &classes, labels: &labels, groups: &groups };
    let (strong, weak) =
        (run(&table(&labels, 2.0, 5), &labels, &groups, 2), run(&table(&labels, 0.2, 6), &labels, &groups, 2));
    let (difference, [low, high]) = strong.above(&weak, pictures, 7)[0];
    assert!(difference > 0.2 && low > 0.1 && low < difference && difference < high, "{low} {difference} {high}");
    let (none, [low, high]) = strong.above(&strong, pictures, 7)[0];
    assert_eq!((none, low, high), (0.0, 0.0, 0.0));
}
