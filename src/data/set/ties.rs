//! What ties covers together: equal values of a group column, unless they are names that many share by chance.

use crate::data::set::nobody::means_nobody;
use crate::data::set::strings::Strings;

/// Names of columns that say of whom and of which album a cover is, without case, blanks and underscores.
const ARTISTS: [&str; 6] = ["artist", "artistname", "albumartist", "artistid", "msdartistid", "band"];
const ALBUMS: [&str; 4] = ["album", "albumname", "albumtitle", "release"];

/// Covers with equal values of a group column belong together. Albums named alike (`Greatest Hits`) do not, so an album counts
/// with its artist where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tie {
    /// The place of the column among the group columns.
    pub column: usize,
    /// A column whose value has to be equal too.
    pub within: Option<usize>,
}

/// What of a column's name counts: not case, blanks, underscores or hyphens.
pub(in crate::data) fn plain(column: &str) -> String {
    column.to_lowercase().replace([' ', '_', '-'], "")
}

impl Tie {
    /// The ties of the columns with these places among `group_columns`.
    pub fn of(group_columns: &[String], places: &[usize]) -> Vec<Self> {
        let artist = group_columns.iter().position(|column| ARTISTS.contains(&plain(column).as_str()));
        let is_album =
            |&column: &usize| group_columns.get(column).is_some_and(|name| ALBUMS.contains(&plain(name).as_str()));
        places.iter().map(|&column| Self { column, within: artist.filter(|_| is_album(&column)) }).collect()
    }

    /// What has to be equal; none where a cover is tied to no other by this.
    pub fn value(&self, strings: &Strings) -> Option<String> {
        let value = strings.group(self.column).trim();
        if means_nobody(value) {
            return None;
        }
        let value = value.to_lowercase();
        // Of several artists' albums the name is all there is.
        let within = self.within.map(|column| strings.group(column).trim()).filter(|within| !means_nobody(within));
        Some(within.map_or(value.clone(), |within| format!("{value}\0{}", within.to_lowercase())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_album_counts_with_its_artist_and_nobody_ties_nothing() {
        let columns = ["Artist", "album", "label"].map(String::from);
        let ties = Tie::of(&columns, &[0, 1, 2]);
        assert_eq!(ties.iter().map(|tie| tie.within).collect::<Vec<_>>(), [None, Some(0), None]);
        let value = |groups: [&str; 3], tie: usize| ties[tie].value(&Strings::of("p", &groups));
        assert_eq!(value(["ABBA", "Greatest Hits", ""], 1), value(["abba ", "greatest hits", "x"], 1));
        assert_ne!(value(["ABBA", "Greatest Hits", ""], 1), value(["Queen", "Greatest Hits", ""], 1));
        assert_eq!(value(["", "Now 42", ""], 1), value(["Various Artists", "Now 42", ""], 1));
        assert_eq!(value(["Various Artists", "", ""], 0), None);
        assert_eq!(value(["", "Unknown", "nan"], 1), None);
        assert_eq!(value(["", "", "nan"], 2), None);
        assert_eq!(Tie::of(&columns[1..2], &[0])[0].within, None);
    }
}
