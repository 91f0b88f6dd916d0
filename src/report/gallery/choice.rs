//! Which of the test covers does a page show?

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet, VecDeque};

use crate::score::predictions::Answered;

/// Covers in each of the first two lists, if the page has room for four times as many.
const SHOWN: usize = 12;

/// The covers of a page.
pub struct Choice<'a> {
    /// The surest right answers, the surest first.
    pub hits: Vec<&'a Answered>,
    /// The surest wrong answers.
    pub mistakes: Vec<&'a Answered>,
    /// Some of each cell of the confusion matrix, cell by cell: those of wrong answers first, of equals the larger first.
    pub more: Vec<&'a Answered>,
    /// How many of one class the first two lists show before others fill them up.
    pub each: usize,
}

impl<'a> Choice<'a> {
    /// At most so many in all.
    pub fn new(covers: &'a [Answered], classes: usize, most: usize) -> Self {
        let mut sorted: Vec<&Answered> = covers.iter().collect();
        sorted.sort_by(|a, b| b.answer.confidence.total_cmp(&a.answer.confidence).then_with(|| a.hash.cmp(&b.hash)));
        let (hits, mistakes): (Vec<_>, Vec<_>) = sorted.iter().partition(|cover| cover.answer.is_right());
        let room = (most / 4).min(SHOWN);
        let first = |list: &[&'a Answered]| varied(list, classes, room, |cover| cover.answer.label);
        let (hits, mistakes) = (first(&hits), first(&mistakes));
        let taken: HashSet<*const Answered> =
            hits.iter().chain(&mistakes).map(|cover| std::ptr::from_ref(*cover)).collect();
        let left: Vec<&Answered> =
            sorted.into_iter().filter(|&cover| !taken.contains(&std::ptr::from_ref(cover))).collect();
        let more = of_cells(&left, most - hits.len() - mistakes.len());
        Self { hits, mistakes, more, each: per_class(classes, room) }
    }
}

/// In turn one of each cell, first its surest, then its least sure, and so on; `sorted` by how sure they are.
fn of_cells<'a>(sorted: &[&'a Answered], most: usize) -> Vec<&'a Answered> {
    let mut by_cell: BTreeMap<(usize, usize), VecDeque<&Answered>> = BTreeMap::new();
    for cover in sorted {
        by_cell.entry((cover.answer.label, cover.answer.predicted)).or_default().push_back(cover);
    }
    let mut cells: Vec<VecDeque<&Answered>> = by_cell.into_values().collect();
    cells.sort_by_key(|cell| (cell[0].answer.is_right(), Reverse(cell.len())));
    let (mut taken, mut count, mut round): (Vec<Vec<&Answered>>, _, _) = (vec![Vec::new(); cells.len()], 0, 0);
    while count < most && cells.iter().any(|cell| !cell.is_empty()) {
        for (cell, taken) in cells.iter_mut().zip(&mut taken) {
            let next = if round % 2 == 0 { cell.pop_front() } else { cell.pop_back() };
            if let Some(cover) = next.filter(|_| count < most) {
                taken.push(cover);
                count += 1;
            }
        }
        round += 1;
    }
    taken.iter_mut().for_each(|cell| cell.sort_by(|a, b| b.answer.confidence.total_cmp(&a.answer.confidence)));
    taken.concat()
}

/// How many covers of one class a list of `room` shows before others fill it up.
fn per_class(classes: usize, room: usize) -> usize {
    room.div_ceil(classes.max(1)).max(2)
}

/// The first of a sorted list, no more than a few of each class as long as there are others; still sorted.
fn varied<'a, T>(sorted: &[&'a T], classes: usize, room: usize, class: impl Fn(&T) -> usize) -> Vec<&'a T> {
    let (mut taken, mut counts) = (vec![], vec![0; classes]);
    for (place, item) in sorted.iter().enumerate() {
        let count = &mut counts[class(item)];
        if *count < per_class(classes, room) {
            *count += 1;
            taken.push(place);
        }
    }
    taken.truncate(room);
    let among: HashSet<usize> = taken.iter().copied().collect();
    taken.extend((0..sorted.len()).filter(|place| !among.contains(place)).take(room - among.len()));
    taken.sort_unstable();
    taken.into_iter().map(|place| sorted[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::metrics::Answer;

    #[test]
    fn a_list_shows_all_classes_before_more_of_one() {
        let items: Vec<(usize, usize)> = (0..40).map(|i| (i, usize::from(i >= 30))).collect();
        let sorted: Vec<&(usize, usize)> = items.iter().collect();
        let shown = varied(&sorted, 2, SHOWN, |item| item.1);
        assert_eq!(shown.len(), SHOWN);
        assert_eq!(shown.iter().filter(|item| item.1 == 1).count(), 6);
        // Others fill up where a class has too few.
        let shown = varied(&sorted[..31], 2, SHOWN, |item| item.1);
        let places: Vec<usize> = shown.iter().map(|item| item.0).collect();
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30]);
        assert!(varied(&sorted[..0], 2, SHOWN, |item| item.1).is_empty());
    }

    #[test]
    fn every_cell_has_covers_before_one_has_more_and_no_cover_is_shown_twice() {
        // Two classes: 50 covers of (0, 0), 6 of (0, 1), 2 of (1, 0), 20 of (1, 1).
        let cells = [(0, 0, 50), (0, 1, 6), (1, 0, 2), (1, 1, 20)];
        let covers: Vec<Answered> = cells
            .iter()
            .flat_map(|&(label, predicted, count)| (0..count).map(move |i| (label, predicted, i)))
            .map(|(label, predicted, i)| {
                let confidence = 0.99 - 0.005 * i as f32;
                let row = if predicted == 0 { [confidence, 1.0 - confidence] } else { [1.0 - confidence, confidence] };
                Answered::new(format!("{label}{predicted}{i}").into(), format!("{label}{predicted}{i}"), label, &row)
                    .unwrap()
            })
            .collect();
        for most in [0, 1, 3, 8, 20, 60, 500] {
            let Choice { hits, mistakes, more, .. } = Choice::new(&covers, 2, most);
            let all: Vec<&Answered> = [&hits[..], &mistakes, &more].concat();
            assert_eq!(all.len(), most.min(covers.len()), "{most}");
            let names: HashSet<&String> = all.iter().map(|cover| &cover.hash).collect();
            assert_eq!(names.len(), all.len(), "{most}");
            assert!(hits.iter().all(|cover| cover.answer.is_right()) && mistakes.iter().all(|c| !c.answer.is_right()));
        }
        let Choice { mistakes, more, .. } = Choice::new(&covers, 2, 20);
        let of = |cell: (usize, usize)| move |cover: &&&Answered| (cover.answer.label, cover.answer.predicted) == cell;
        assert_eq!(mistakes.len(), 5);
        for cell in [(0, 0), (0, 1), (1, 1)] {
            assert!(more.iter().filter(of(cell)).count() >= 2, "{cell:?}");
        }
        // The surest and the least sure of a cell.
        let last = more.iter().rfind(of((0, 0))).map(|cover| cover.hash.as_str());
        assert_eq!(last, Some("0049"));
        let Answer { confidence, .. } = more.iter().find(|cover| of((0, 0))(cover)).unwrap().answer;
        assert!(confidence > 0.9);
    }
}
