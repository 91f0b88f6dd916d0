//! Which of a network's labels does a genre mean?

use std::collections::HashMap;

use crate::data::set::nobody::normalise;
use crate::data::source::genres::{GenreTable, parts};

/// Knows a network's labels by how they are written, and by the classes that the table of genres puts them into: a network that
/// has learned `Hip-Hop` knows what `Rap` is.
pub struct LabelFinder {
    table: GenreTable,
    exact: HashMap<String, usize>,
    spelled: HashMap<String, usize>,
    /// None of a class that several labels are of.
    of_class: HashMap<String, Option<usize>>,
}

impl LabelFinder {
    pub fn new(table: &GenreTable, labels: &[String]) -> Self {
        let (mut exact, mut spelled, mut of_class) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (i, label) in labels.iter().enumerate() {
            exact.insert(label.clone(), i);
            spelled.entry(normalise(label)).or_insert(i);
            if let Some(class) = table.class_of(std::slice::from_ref(label)) {
                of_class.entry(class.to_owned()).and_modify(|known| *known = None).or_insert(Some(i));
            }
        }
        Self { table: table.clone(), exact, spelled, of_class }
    }

    /// The label that the genres of a track mean, the first that the table knows counting, as in an import.
    pub fn of_tags(&self, tags: &[String]) -> Option<usize> {
        let Some(class) = self.table.class_of(tags) else {
            // The table knows none of them, but the network may have learned one.
            let written = tags.iter().flat_map(|tag| [vec![tag.clone()], parts(tag)].concat());
            return written.into_iter().find_map(|genre| self.spelled(&genre));
        };
        self.spelled(class).or_else(|| self.of_class.get(class).copied().flatten())
    }

    /// The label that a genre written by itself means.
    pub fn of(&self, genre: &str) -> Option<usize> {
        let exact = self.exact.get(genre).copied().or_else(|| self.spelled(genre));
        exact.or_else(|| self.of_tags(&[genre.to_owned()]))
    }

    fn spelled(&self, genre: &str) -> Option<usize> {
        let plain = normalise(genre);
        if plain.is_empty() { None } else { self.spelled.get(&plain).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genres_come_to_the_networks_labels() {
        let labels = ["HipHop", "Rock", "Krautrock", "Polka?"].map(str::to_owned);
        let finder = LabelFinder::new(&GenreTable::read(None).unwrap(), &labels);
        let of_tags = |tags: &[&str]| finder.of_tags(&tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>());
        assert_eq!(of_tags(&["Hip-Hop/Rap"]), Some(0));
        assert_eq!(of_tags(&["(17)"]), Some(1));
        assert_eq!(of_tags(&["Gesprochenes; polka"]), Some(3));
        // A class that the network has not learned is no disagreement.
        assert_eq!(of_tags(&["Jazz"]), None);
        assert_eq!(of_tags(&["", "?"]), None);
        assert_eq!((finder.of("HipHop"), finder.of("Rap"), finder.of("")), (Some(0), Some(0), None));
    }

    #[test]
    fn a_class_of_two_labels_means_neither() {
        let labels = ["Thrash Metal", "Death Metal"].map(str::to_owned);
        let finder = LabelFinder::new(&GenreTable::read(None).unwrap(), &labels);
        assert_eq!((finder.of("Metal"), finder.of("death metal")), (None, Some(1)));
    }
}
