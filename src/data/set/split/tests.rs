use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

const TIES: [Tie; 2] = [Tie { column: 0, within: None }, Tie { column: 1, within: None }];

/// A cover for the tests: label, group values, key.
type Row = (usize, Strings, String);

fn item((label, strings, key): &Row) -> Item<'_> {
    Item { label: *label, strings, ties: &TIES, key: blake3::hash(key.as_bytes()), before: None }
}

fn items(rows: &[Row]) -> Items<'_> {
    Items::new(rows.len(), |i| item(&rows[i]))
}

fn groups(values: &[&str]) -> Strings {
    Strings::of("", values)
}

fn classes(count: usize) -> Vec<String> {
    (0..count).map(|class| format!("class{class}")).collect()
}

/// `count` covers of each class, each on its own.
fn singles(classes: usize, count: usize) -> Vec<Row> {
    (0..classes * count).map(|i| (i % classes, groups(&[]), format!("key{i}"))).collect()
}

fn said(result: Result<Vec<Split>>) -> String {
    match result {
        Err(Error::Input(said)) => said,
        other => panic!("{other:?}"),
    }
}

#[test]
fn ratios_are_parsed_and_normalised() {
    let close = |text: &str, wanted: [f64; 3]| {
        let got = parse_ratios(text).unwrap();
        assert!(got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{text}: {got:?}");
    };
    close("70,15,15", [0.7, 0.15, 0.15]);
    close("0.7, 0.15, 0.15", [0.7, 0.15, 0.15]);
    close("80,20", [0.8, 0.0, 0.2]);
    close("80,0,20", [0.8, 0.0, 0.2]);
    close("100,0,0", [1.0, 0.0, 0.0]);
    for text in ["", "70", "70,15,10,5", "a,b", "70,-15,15", "0,50,50", "NaN,1,1", "inf,1", "1e308,1e308"] {
        assert!(matches!(parse_ratios(text), Err(Error::Input(_))), "{text}");
    }
}

#[test]
fn covers_without_groups_come_near_the_ratio() {
    let rows = singles(3, 1000);
    let splits = assign(&classes(3), &items(&rows), [70.0, 15.0, 15.0], 1).unwrap();
    let report = SplitReport::new(&classes(3), &items(&rows), &splits);
    for [train, val, test] in &report.covers {
        // Three standard deviations of a lottery.
        assert!(train.abs_diff(700) < 44 && val.abs_diff(150) < 34 && test.abs_diff(150) < 34, "{report}");
    }
    assert_eq!((report.all_groups, report.largest_group), (3000, 1));
    let two = assign(&classes(3), &items(&rows), [80.0, 0.0, 20.0], 1).unwrap();
    assert!(SplitReport::new(&classes(3), &items(&rows), &two).covers.iter().all(|sets| sets[1] == 0));
}

#[test]
fn covers_that_are_added_move_no_others() {
    let mut rows = singles(3, 120);
    for (i, row) in rows.iter_mut().enumerate().take(200) {
        row.1 = groups(&[&format!("artist{}", i / 6 * 3 + i % 3), ""]);
    }
    let few = assign(&classes(3), &items(&rows[..240]), DEFAULT_RATIOS, 5).unwrap();
    let many = assign(&classes(3), &items(&rows), DEFAULT_RATIOS, 5).unwrap();
    assert_eq!(few, many[..240]);
}

#[test]
fn what_was_in_a_set_before_stays_there_even_where_classes_are_small() {
    let rows = singles(2, 9);
    let few = assign(&classes(2), &items(&rows[..8]), DEFAULT_RATIOS, 3).unwrap();
    for seed in 0..20 {
        let all = Items::new(rows.len(), |i| Item { before: few.get(i).copied(), ..item(&rows[i]) });
        let many = assign(&classes(2), &all, DEFAULT_RATIOS, seed).unwrap();
        assert_eq!(few, many[..8]);
    }
}

#[test]
fn sets_get_from_half_to_one_and_a_half_of_their_share_of_a_class() {
    let mut mended = 0;
    for seed in 0..200 {
        let rows = singles(2, 12 + seed as usize % 30);
        let splits = assign(&classes(2), &items(&rows), DEFAULT_RATIOS, seed).unwrap();
        let report = SplitReport::new(&classes(2), &items(&rows), &splits);
        for sets in &report.covers {
            let total: usize = sets.iter().sum();
            for set in 0..3 {
                let share = sets[set] as f64 / (DEFAULT_RATIOS[set] * total as f64);
                assert!((0.5..=1.5).contains(&share), "seed {seed}: {report}");
            }
        }
        let lottery = gather(&items(&rows), &join(&items(&rows)), seed);
        mended += usize::from(
            lottery.iter().any(|group| Split::ALL[drawn(group.number(), DEFAULT_RATIOS)] != splits[group.id]),
        );
    }
    assert!((20..180).contains(&mended), "{mended} of 200 were mended");
}

#[test]
fn given_sets_are_united_by_group() {
    use Split::{Test, Train, Val};
    let row = |artist: &str| (0, groups(&[artist]), String::new());
    let rows = [row("A"), row("a"), row("A"), row("B"), row("B"), row("C"), row("")];
    let mut splits = [Train, Train, Test, Train, Test, Val, Train];
    assert_eq!(unite(&items(&rows), &mut splits), [2, 3]);
    assert_eq!(splits, [Train, Train, Train, Test, Test, Val, Train]);
}

#[test]
fn the_split_depends_on_the_seed_and_not_on_the_order() {
    let mut rows = singles(2, 50);
    for (i, row) in rows.iter_mut().enumerate().take(60) {
        row.1 = groups(&[&format!("artist{}", i / 4)]);
    }
    let by_key = |rows: &[Row], seed| -> Vec<(String, Split)> {
        let splits = assign(&classes(2), &items(rows), DEFAULT_RATIOS, seed).unwrap();
        let mut pairs: Vec<_> = rows.iter().map(|row| row.2.clone()).zip(splits).collect();
        pairs.sort();
        pairs
    };
    let first = by_key(&rows, 7);
    assert_eq!(first, by_key(&rows, 7));
    assert_ne!(first, by_key(&rows, 8));
    rows.reverse();
    assert_eq!(first, by_key(&rows, 7));
}

#[test]
fn columns_join_through_one_another_and_empty_values_do_not() {
    let row = |artist: &str, album: &str, key: &str| (0, groups(&[artist, album]), key.to_owned());
    let rows = [
        row("A", "x", "0"),
        row("B", " X ", "1"),
        row("b", "", "2"),
        row("", "", "3"),
        row("", "", "4"),
        // The same word in another column is another thing.
        row("x", "A", "5"),
    ];
    assert_eq!(join(&items(&rows)), [0, 0, 0, 1, 2, 3]);
}

/// Random data sets: no group spans sets, every class with groups enough of its own is in every set, and the ratio is
/// missed by no more than the large groups force.
#[test]
fn random_groups_never_span_sets() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut below = |n: usize| (rng.next_u64() % n as u64) as usize;
    let mut checked = 0;
    for round in 0..200 {
        let class_count = 2 + below(3);
        let artists = 5 + below(60);
        let rows: Vec<Row> = (0..20 + below(400))
            .map(|i| {
                let artist = below(artists);
                // Mostly an artist has one genre.
                let label = if below(10) == 0 { below(class_count) } else { artist % class_count };
                let artist = if below(8) == 0 { String::new() } else { format!("artist{artist}") };
                let album = if below(3) == 0 { format!("album{}", below(400)) } else { String::new() };
                (label, groups(&[&artist, &album]), format!("key{i}"))
            })
            .collect();
        let ratios = [[70.0, 15.0, 15.0], [80.0, 0.0, 20.0], [0.6, 0.2, 0.2]][round % 3];
        let sets: Vec<usize> = (0..3).filter(|&set| ratios[set] > 0.0).collect();
        let items = items(&rows);
        let Ok(splits) = assign(&classes(class_count), &items, ratios, round as u64) else {
            continue;
        };
        checked += 1;

        let group_of = join(&items);
        let mut set_of_group = HashMap::new();
        for (&group, &split) in group_of.iter().zip(&splits) {
            assert_eq!(*set_of_group.entry(group).or_insert(split), split, "round {round}");
        }
        for column in 0..2 {
            let mut set_of_value = HashMap::new();
            for (row, &split) in rows.iter().zip(&splits).filter(|(row, _)| !row.1.group(column).is_empty()) {
                assert_eq!(*set_of_value.entry(row.1.group(column)).or_insert(split), split, "round {round}");
            }
        }

        let report = SplitReport::new(&classes(class_count), &items, &splits);
        let groups = gather(&items, &group_of, round as u64);
        let sum: f64 = ratios.iter().sum();
        for (class, covers) in report.covers.iter().enumerate() {
            let own = groups.iter().filter(|group| group.label == class).count();
            let total: usize = covers.iter().sum();
            let largest = groups.iter().flat_map(|g| &g.labels).filter(|l| l.0 == class).map(|l| l.1).max();
            for set in 0..3 {
                let wished = ratios[set] / sum * total as f64;
                if !sets.contains(&set) {
                    assert_eq!(covers[set], 0, "round {round}");
                } else if own >= sets.len() {
                    assert!(covers[set] > 0, "round {round}: {report}");
                    let foreign: usize = groups
                        .iter()
                        .filter(|group| group.label != class)
                        .flat_map(|group| &group.labels)
                        .filter(|label| label.0 == class)
                        .map(|label| label.1)
                        .sum();
                    let slack = (2 * largest.unwrap_or(0) + foreign) as f64;
                    assert!(covers[set] as f64 + slack >= wished / 2.0, "round {round}: {report}");
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} of 200 random data sets could be split");
}

#[test]
fn many_small_groups_come_near_the_ratio() {
    let rows: Vec<Row> = (0..3000)
        .map(|i| (i % 3, groups(&[&format!("artist{}", i * i % 991 * 3 + i % 3)]), format!("key{i}")))
        .collect();
    let splits = assign(&classes(3), &items(&rows), [70.0, 15.0, 15.0], 5).unwrap();
    let report = SplitReport::new(&classes(3), &items(&rows), &splits);
    for [train, val, test] in &report.covers {
        assert!(train.abs_diff(700) < 70 && val.abs_diff(150) < 50 && test.abs_diff(150) < 50, "{report}");
    }
}

#[test]
fn a_class_of_as_many_groups_as_sets_is_in_each_and_the_largest_trains() {
    let mut rows = singles(1, 30);
    rows.extend((0..12).map(|i| (1, groups(&[&format!("artist{}", i.min(2))]), format!("other{i}"))));
    let splits = assign(&classes(2), &items(&rows), DEFAULT_RATIOS, 0).unwrap();
    let report = SplitReport::new(&classes(2), &items(&rows), &splits);
    assert_eq!(report.covers[1], [10, 1, 1]);
    assert_eq!(report.groups[1], 3);
}

#[test]
fn impossible_wishes_name_the_class() {
    let mut rows = singles(1, 10);
    rows.extend((0..2).map(|i| (1, groups(&[]), format!("few{i}"))));
    let text = said(assign(&classes(2), &items(&rows), DEFAULT_RATIOS, 0));
    assert!(text.contains("`class1` has 2 usable covers") && text.contains("3 sets"), "{text}");
    assert!(assign(&classes(2), &items(&rows), [80.0, 0.0, 20.0], 0).is_ok());

    let mut rows = singles(1, 10);
    rows.extend((0..40).map(|i| (1, groups(&["one artist"]), format!("same{i}"))));
    let text = said(assign(&classes(2), &items(&rows), DEFAULT_RATIOS, 0));
    assert!(text.contains("`class1` has 40 covers but only 1 groups") && text.contains("--group"), "{text}");
}

#[test]
fn the_report_is_an_aligned_table() {
    let rows = singles(2, 20);
    let splits = assign(&classes(2), &items(&rows), DEFAULT_RATIOS, 0).unwrap();
    let names = ["Pop".to_owned(), "Drum & Bass é".to_owned()];
    let table = SplitReport::new(&names, &items(&rows), &splits).to_string();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0], "class            train     val    test  groups   reached");
    assert!(lines[1].starts_with("Pop ") && lines[1].contains("      20   ") && lines[1].ends_with(" %"), "{table}");
    let column = |line: &str| line.chars().position(|c| c == '/').unwrap();
    assert!(lines[2..].iter().all(|line| column(line) == column(lines[1])), "{table}");
}
