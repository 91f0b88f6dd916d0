//! From the genres that people write into tags to the classes of a data set.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use lofty::id3::v1::GENRES;

use crate::data::set::nobody::normalise;
use crate::read::{cannot_read, read_text};
use crate::{Error, Result};

/// The built-in table: which spellings make which class.
pub const BUILT_IN: &str = include_str!("../../../datasets/genres.toml");

/// Between the genres of one tag. A tag that the table knows as a whole, such as "Hip-Hop/Rap", is not cut.
const SEPARATORS: [char; 6] = ['\0', ';', '/', ',', '|', '\\'];

/// Which written genres belong to which class.
#[derive(Clone, Debug)]
pub struct GenreTable {
    class_of: HashMap<String, String>,
}

impl GenreTable {
    /// The table in `file`, or the built-in one ([`BUILT_IN`]). A line is `Class = ["written genre", …]`; the
    /// class's own name need not be repeated.
    ///
    /// # Errors
    /// [`Error::Input`] if the file cannot be read, is no such table, or puts a genre into two classes.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        let Some(path) = file else { return Self::parse(BUILT_IN, "the built-in table of genres") };
        let text = read_text(path).map_err(|e| cannot_read(path, &e))?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, shown: &str) -> Result<Self> {
        let classes: BTreeMap<String, Vec<String>> = toml::from_str(text).map_err(|e| {
            let text = e.to_string();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            Error::Input(format!("{shown}: no table of genres: {text}; a line is Class = [\"written genre\", \"…\"]"))
        })?;
        let mut class_of: HashMap<String, String> = HashMap::new();
        for (class, written) in &classes {
            for genre in written.iter().chain([class]) {
                let earlier = class_of.insert(normalise(genre), class.clone());
                if let Some(other) = earlier.filter(|other| other != class) {
                    return Err(Error::Input(format!(
                        "{shown}: `{genre}` stands under {other} and under {class}: remove one of them"
                    )));
                }
            }
        }
        Ok(Self { class_of })
    }

    /// The class of a track with these tags: that of the first genre the table knows. Each tag is tried as a whole, then
    /// cut at separators; "(17)", "17" and "(17)Rock" are read as ID3 numbers them.
    pub fn class_of(&self, tags: &[String]) -> Option<&str> {
        tags.iter().find_map(|tag| {
            let whole = self.class_of.get(&normalise(tag));
            let class = whole.or_else(|| parts(tag).iter().find_map(|part| self.class_of.get(&normalise(part))));
            class.map(String::as_str)
        })
    }
}

/// The single genres in a tag, numbers spelled out.
pub fn parts(tag: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in tag.split(SEPARATORS) {
        let mut rest = part.trim();
        // "(17)(9)Refinement": numbers first, then words.
        while let Some((number, behind)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            let Some(name) = by_number(number) else { break };
            found.push(name.to_owned());
            rest = behind.trim();
        }
        match by_number(rest) {
            Some(name) => found.push(name.to_owned()),
            None if rest.is_empty() => {}
            None => found.push(rest.to_owned()),
        }
    }
    found
}

fn by_number(text: &str) -> Option<&'static str> {
    match text.trim() {
        "RX" => Some("Remix"),
        "CR" => Some("Cover"),
        number => GENRES.get(number.parse::<usize>().ok()?).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(tags: &[&str]) -> Option<String> {
        let tags: Vec<String> = tags.iter().map(|&tag| tag.into()).collect();
        GenreTable::read(None).unwrap().class_of(&tags).map(Into::into)
    }

    #[test]
    fn spellings_come_to_one_class() {
        for written in
            ["Hip Hop", "hip-hop", "HIPHOP", "Hip-Hop/Rap", "hip-hop / rap", "Rap", "(15)", "15", "Rap & Hip-Hop"]
        {
            assert_eq!(class(&[written]).as_deref(), Some("Rap"), "{written}");
        }
        for (written, wanted) in
            [("R&B", "RnB"), ("Rock", "Rock"), ("(17)", "Rock"), ("(9)Metal", "Metal"), ("Électronique", "Electronic")]
        {
            assert_eq!(class(&[written]).as_deref(), Some(wanted), "{written}");
        }
        assert_eq!(class(&["Gesprochenes"]), None);
        assert_eq!(class(&["", "(999)"]), None);
    }

    #[test]
    fn the_first_genre_that_is_known_counts() {
        assert_eq!(class(&["Gesprochenes; Jazz; Rock"]).as_deref(), Some("Jazz"));
        assert_eq!(class(&["Gesprochenes", "Rock"]).as_deref(), Some("Rock"));
        assert_eq!(class(&["Gesprochenes\0Metal"]).as_deref(), Some("Metal"));
        assert_eq!(parts("(17)(9)Thrash; Jazz/ 8"), ["Rock", "Metal", "Thrash", "Jazz", "Jazz"]);
        assert_eq!(parts("((I think))"), ["((I think))"]);
        assert_eq!(parts(" ; "), Vec::<String>::new());
    }

    #[test]
    fn every_one_of_id3s_music_genres_is_mapped_or_known_to_be_none() {
        let table = GenreTable::read(None).unwrap();
        let unmapped: Vec<&str> =
            GENRES.into_iter().filter(|genre| table.class_of(&[(*genre).to_owned()]).is_none()).collect();
        assert!(unmapped.len() < 60, "{} {unmapped:?}", unmapped.len());
        assert!(unmapped.contains(&"Audiobook") && !unmapped.contains(&"Thrash Metal"));
    }

    #[test]
    fn a_table_that_is_none_says_so() {
        for (text, cause) in [
            ("Rap = \"hip hop\"", "no table of genres"),
            ("Rap = [\"Hip Hop\"]\nPop = [\"hip-hop\"]", "`hip-hop` stands under Pop and under Rap"),
        ] {
            let said = GenreTable::parse(text, "g.toml").unwrap_err().to_string();
            assert!(said.contains("g.toml") && !said.contains('\n'), "{said}");
            assert!(said.contains(cause) || said.contains("stands under"), "{cause}: {said}");
        }
        assert!(GenreTable::read(Some(Path::new("/none/genres.toml"))).is_err());
    }
}
