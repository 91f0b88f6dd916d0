use super::*;
use crate::explain::scorer::CHANNELS;

/// A picture whose channels rise evenly from pixel to pixel.
fn slope(width: usize, height: usize) -> Vec<f32> {
    let pixel = |p: usize| {
        let (x, y) = ((p % width) as f32, (p / width) as f32);
        [0.1 * x, 0.2 * y - 1.0, 0.3 - 0.05 * x + 0.1 * y, 0.0]
    };
    (0..width * height).flat_map(pixel).collect()
}

#[test]
fn holes_are_filled_in_as_smoothly_as_the_picture_allows() {
    // A slope is the weighted mean of its neighbours everywhere but at the edges, so it comes back as it was.
    let (width, height) = (41, 30);
    let whole = slope(width, height);
    let missing: Vec<bool> =
        (0..width * height).map(|p| (3..38).contains(&(p % width)) && (2..27).contains(&(p / width))).collect();
    let mut filled = whole.clone();
    for (pixel, _) in filled.chunks_mut(CHANNELS).zip(&missing).filter(|(_, missing)| **missing) {
        pixel[..3].fill(9.0);
    }
    impute(&mut filled, &missing, width, height);
    let worst = filled.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-3, "off by {worst}");
}

#[test]
fn what_is_known_stays_and_nothing_known_becomes_the_mean_colour() {
    let whole = slope(5, 4);
    let mut picture = whole.clone();
    impute(&mut picture, &[false; 20], 5, 4);
    assert_eq!(picture, whole);
    impute(&mut picture, &[true; 20], 5, 4);
    assert!(picture.iter().all(|v| *v == 0.0));
    // One pixel that is known is known everywhere.
    let mut picture = whole.clone();
    impute(&mut picture, &std::array::from_fn::<_, 20, _>(|p| p != 7), 5, 4);
    let [r, g, b] = [0, 1, 2].map(|c| whole[7 * CHANNELS + c]);
    assert!(picture.chunks(4).all(|p| (p[0] - r).abs() + (p[1] - g).abs() + (p[2] - b).abs() < 1e-3), "{picture:?}");
}

#[test]
fn verdicts_say_who_was_beaten_by_what() {
    let comparison = |against: &str, measure, beats| Comparison {
        method: "grad-cam".into(),
        against: against.into(),
        measure,
        advantage: Estimate { mean: 0.0, ci: None },
        beats,
    };
    let all = |random: [bool; 3], blob: [bool; 3]| {
        let of = |name: &'static str, beats: [bool; 3]| {
            Measure::ALL.into_iter().zip(beats).map(move |(measure, beats)| comparison(name, measure, beats))
        };
        verdict("grad-cam", 9, &of(RANDOM, random).chain(of(BLOB, blob)).collect::<Vec<_>>())
    };
    let said = all([true; 3], [true; 3]);
    assert!(said.contains("beats both a random map and a centred blob by deletion, insertion and ROAD"), "{said}");
    let said = all([true; 3], [false; 3]);
    assert!(said.contains("beats a random map") && said.contains("not shown to beat a centred blob"), "{said}");
    let said = all([false; 3], [true, true, false]);
    assert!(said.contains("beats a centred blob by deletion and insertion, but is not shown"), "{said}");
    let said = all([true, false, false], [false, false, true]);
    assert!(said.contains("random map by deletion and a centred blob by ROAD"), "{said}");
    assert!(all([false; 3], [false; 3]).contains("not shown to beat a random map or a centred blob"));
    assert!(verdict("grad-cam", 4, &[]).contains("4 pictures with positive evidence are too few"));
}

#[test]
fn the_chart_shows_the_numbers_and_says_what_no_map_can_show() {
    let scores = |name: &str, mean| {
        let estimate = Estimate { mean, ci: Some([mean - 0.1, mean + 0.1]) };
        let curve = vec![1.0, mean, 0.0];
        let road = vec![mean, mean / 2.0];
        let curves = Curves {
            deletion: curve.clone(),
            insertion: curve,
            most_relevant_first: road.clone(),
            least_relevant_first: road,
        };
        MapScores { name: name.into(), pictures: 3, deletion: estimate, insertion: estimate, road: estimate, curves }
    };
    let faithfulness = Faithfulness {
        layer: "conv4".into(),
        class: None,
        source: "test set".into(),
        pictures: 3,
        of: 9,
        compared: 3,
        fractions: vec![0.0, 0.5, 1.0],
        percentages: vec![10, 90],
        maps: vec![scores("grad-cam", 0.25), scores(RANDOM, 0.5), scores(BLOB, 0.5)],
        comparisons: vec![],
        verdicts: vec!["It is what it is.".into()],
        cannot_show: super::super::CANNOT_SHOW.into(),
    };
    let svg = chart(&faithfulness).unwrap();
    for text in
        ["grad-cam 0.250 (0.150 to 0.350)", "random 0.500", "3 of 9 pictures", "It is what it is.", "gatefold audit"]
    {
        assert!(svg.contains(text), "{text} is missing in {svg}");
    }
    assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
}
