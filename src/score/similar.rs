//! Which covers does a network take for alike? The nearest by the cosine between what comes out of its trunk.
//!
//! Each cover is compared as it comes and then let go, so any number of covers is compared exactly, and only the nearest are kept.

use std::sync::Arc;

use blake3::Hash;
use rayon::prelude::*;

use crate::data::Item;
use crate::score::stream::Answer;

/// Covers that are compared at a time: enough work for all cores.
const BLOCK: usize = 256;

/// Asks which covers are near to some.
pub struct Search {
    most: usize,
    asked: Vec<Asked>,
    /// Those that wait to be compared, with what tells them from others.
    block: Vec<(Arc<Item>, Hash)>,
    /// Their features, of length 1.
    units: Vec<f32>,
}

/// A cover that was asked about.
struct Asked {
    unit: Vec<f32>,
    picture: Hash,
    nearest: Vec<Neighbour>,
    itself: bool,
}

/// A cover that is near to another.
#[derive(Clone, Debug)]
pub struct Neighbour {
    pub item: Arc<Item>,
    /// The cosine: 1 where the network sees no difference.
    pub similarity: f32,
}

/// What was found for a cover.
pub struct Found {
    /// The nearest first; of equal ones that which came first.
    pub nearest: Vec<Neighbour>,
    /// Whether the very same picture was among those that were compared. It is not among the nearest.
    pub itself: bool,
}

impl Search {
    /// For at most so many for each.
    pub fn new(most: usize) -> Self {
        Self { most, asked: Vec::new(), block: Vec::new(), units: Vec::new() }
    }

    /// Asks about one more cover; before any is compared.
    pub fn ask(&mut self, answer: &Answer) {
        let unit = unit(&answer.features);
        self.asked.push(Asked { unit, picture: answer.picture, nearest: Vec::new(), itself: false });
    }

    /// Compares one more cover with all that were asked about.
    pub fn add(&mut self, item: Item, answer: &Answer) {
        self.block.push((Arc::new(item), answer.picture));
        self.units.extend(unit(&answer.features));
        if self.block.len() == BLOCK {
            self.compare();
        }
    }

    fn compare(&mut self) {
        let Self { most, asked, block, units } = self;
        let width = units.len() / block.len().max(1);
        asked.par_iter_mut().for_each(|asked| {
            for ((item, picture), unit) in block.iter().zip(units.chunks_exact(width.max(1))) {
                if *picture == asked.picture {
                    asked.itself = true;
                    continue;
                }
                let similarity = dot(&asked.unit, unit);
                let place = asked.nearest.partition_point(|other| other.similarity >= similarity);
                if place < *most {
                    asked.nearest.insert(place, Neighbour { item: Arc::clone(item), similarity });
                    asked.nearest.truncate(*most);
                }
            }
        });
        block.clear();
        units.clear();
    }

    /// What was found, in the order in which it was asked.
    pub fn finish(mut self) -> Vec<Found> {
        self.compare();
        self.asked.into_iter().map(|Asked { nearest, itself, .. }| Found { nearest, itself }).collect()
    }
}

/// Covers that one core compares at least.
const ALONE: usize = 4096;

/// Covers that stay, to look among again and again. Memory for each: 4 bytes a feature, and 40 more.
#[derive(Default)]
pub struct Index {
    /// Features of length 1, cover after cover.
    units: Vec<f32>,
    pictures: Vec<Hash>,
}

impl Index {
    /// Adds one more cover.
    pub fn add(&mut self, answer: &Answer) {
        self.units.extend(unit(&answer.features));
        self.pictures.push(answer.picture);
    }

    /// How many covers there are.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The numbers of at most so many covers and their cosines, the nearest first, of equal ones that which was added first; and whether
    /// the very same picture is here. It is not among the nearest.
    pub fn nearest(&self, answer: &Answer, most: usize) -> (Vec<(usize, f32)>, bool) {
        let asked = unit(&answer.features);
        let width = asked.len().max(1);
        let same = |place: &usize| self.pictures[*place] == answer.picture;
        let mut found: Vec<(usize, f32)> = (0..self.len())
            .into_par_iter()
            // Fewer are done before another core would have begun.
            .with_min_len(ALONE)
            .filter(|place| !same(place))
            .map(|place| (place, dot(&asked, &self.units[place * width..][..asked.len()])))
            .collect();
        let itself = found.len() < self.len();
        let nearer = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if found.len() > most && most > 0 {
            found.select_nth_unstable_by(most - 1, nearer);
        }
        found.truncate(most);
        found.sort_by(nearer);
        (found, itself)
    }
}

/// The vector with length 1; one of zeros stays as it is, and is like nothing.
fn unit(features: &[f32]) -> Vec<f32> {
    let length = features.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    if length == 0.0 {
        return features.to_vec();
    }
    features.iter().map(|&v| (f64::from(v) / length) as f32).collect()
}

/// The sum of products, in parts that a compiler can take side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const PARTS: usize = 16;
    let (a_parts, b_parts) = (a.chunks_exact(PARTS), b.chunks_exact(PARTS));
    let rest: f32 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0; PARTS];
    for (a, b) in a_parts.zip(b_parts) {
        for i in 0..PARTS {
            sums[i] += a[i] * b[i];
        }
    }
    // Rounding must not make a cosine that is none.
    (sums.iter().sum::<f32>() + rest).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use crate::data::source::listing::Pixels;

    use super::*;

    fn item(number: usize) -> Item {
        Item { path: format!("{number}").into(), pixels: Pixels::File, named: false, about: None }
    }

    fn answer(number: usize, features: Vec<f32>) -> Answer {
        let picture = blake3::hash(&number.to_le_bytes());
        Answer { logits: vec![], probabilities: vec![], features, picture }
    }

    /// Numbers that look as if they were drawn.
    fn features(number: usize, width: usize) -> Vec<f32> {
        (0..width).map(|i| ((number * 7919 + i * 104_729) % 1009) as f32 / 1009.0 - 0.3).collect()
    }

    #[test]
    fn the_nearest_of_many_are_those_of_all_cosines() {
        let (width, count) = (37, 700);
        let mut search = Search::new(5);
        for number in [3, 699, 10_000] {
            search.ask(&answer(number, features(number, width)));
        }
        for number in 0..count {
            search.add(item(number), &answer(number, features(number, width)));
        }
        let found = search.finish();
        assert_eq!(found.iter().map(|found| found.itself).collect::<Vec<_>>(), [true, true, false]);
        for (found, number) in found.iter().zip([3, 699, 10_000]) {
            let asked = features(number, width);
            let cosine = |other: usize| {
                let other = features(other, width);
                let dot =
                    |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum() };
                dot(&asked, &other) / (dot(&asked, &asked) * dot(&other, &other)).sqrt()
            };
            let mut order: Vec<usize> = (0..count).filter(|&other| other != number).collect();
            order.sort_by(|&a, &b| cosine(b).total_cmp(&cosine(a)));
            let nearest: Vec<f64> = found.nearest.iter().map(|near| f64::from(near.similarity)).collect();
            assert_eq!(nearest.len(), 5);
            for (near, other) in nearest.iter().zip(order) {
                assert!((near - cosine(other)).abs() < 1e-5, "{near} {}", cosine(other));
            }
        }
    }

    #[test]
    fn an_index_finds_what_a_search_finds() {
        let (width, count) = (19, 400);
        let (mut search, mut index) = (Search::new(7), Index::default());
        let asked: Vec<Answer> =
            [5, 399, 20_000].map(|number| answer(number, features(number, width))).into_iter().collect();
        asked.iter().for_each(|answer| search.ask(answer));
        for number in 0..count {
            search.add(item(number), &answer(number, features(number, width)));
            index.add(&answer(number, features(number, width)));
        }
        for (found, asked) in search.finish().into_iter().zip(&asked) {
            let (nearest, itself) = index.nearest(asked, 7);
            let told = |near: &Neighbour| (near.item.path.to_str().unwrap().parse().unwrap(), near.similarity);
            assert_eq!((nearest, itself), (found.nearest.iter().map(told).collect(), found.itself));
        }
        assert_eq!(index.nearest(&asked[0], 0), (vec![], true));
        assert_eq!(index.nearest(&asked[0], 1000).0.len(), count - 1);
        assert_eq!(Index::default().nearest(&asked[0], 3), (vec![], false));
    }

    #[test]
    fn a_picture_of_nothing_is_like_nothing_and_fewer_than_asked_for_are_all() {
        let mut search = Search::new(12);
        search.ask(&answer(0, vec![0.0; 3]));
        search.ask(&answer(1, vec![1.0, 0.0, 0.0]));
        search.add(item(2), &answer(2, vec![2.0, 0.0, 0.0]));
        search.add(item(3), &answer(3, vec![2.0, 0.0, 0.0]));
        let found = search.finish();
        let told = |found: &Found| -> Vec<(String, f32)> {
            found.nearest.iter().map(|near| (near.item.path.display().to_string(), near.similarity)).collect()
        };
        assert_eq!(told(&found[0]), [("2".to_owned(), 0.0), ("3".to_owned(), 0.0)]);
        assert_eq!(told(&found[1]), [("2".to_owned(), 1.0), ("3".to_owned(), 1.0)]);
    }
}
