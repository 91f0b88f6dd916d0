//! Which set does a name mean? `train`, `training_set`, `seg_train`, `1_train`, `Valid`, `test2017`.

use crate::data::set::split::Split;

/// What people call the sets.
const SETS: [(&str, Split); 21] = [
    ("train", Split::Train),
    ("training", Split::Train),
    ("trn", Split::Train),
    ("trainset", Split::Train),
    ("trainingset", Split::Train),
    ("traindata", Split::Train),
    ("val", Split::Val),
    ("valid", Split::Val),
    ("validate", Split::Val),
    ("validation", Split::Val),
    ("valset", Split::Val),
    ("validset", Split::Val),
    ("validationset", Split::Val),
    ("dev", Split::Val),
    ("devset", Split::Val),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("tst", Split::Test),
    ("testset", Split::Test),
    ("eval", Split::Test),
    ("holdout", Split::Test),
];

/// Words that say nothing of which covers lie there.
const FILLERS: [&str; 17] = [
    "set", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "cover",
    "covers", "split", "folder", "part", "seg",
];

/// A name with a set's in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SetName {
    pub set: Split,
    /// What else it says: nothing in `1_train`, "soul" in `Soul Train`.
    pub rest: Vec<String>,
}

/// The set that a name means, if one of its words is one and no other word is another.
pub(super) fn named_like_a_set(name: &str) -> Option<SetName> {
    let (mut set, mut rest) = (None, Vec::new());
    for word in words(name) {
        match SETS.iter().find(|(known, _)| *known == word) {
            Some(&(_, other)) if set.is_some_and(|set| set != other) => return None,
            Some(&(_, found)) => set = Some(found),
            None if is_filler(&word) => {}
            None => rest.push(word),
        }
    }
    set.map(|set| SetName { set, rest })
}

/// Whether a folder of this name tells its pictures from no others: `images`, `data_1`. A number alone may be a class.
pub(super) fn says_nothing(name: &str) -> bool {
    let words = words(name);
    words.iter().all(|word| is_filler(word)) && words.iter().any(|word| FILLERS.contains(&word.as_str()))
}

/// The set that is meant by this value in a table, where nothing else may stand.
pub(super) fn set_named(value: &str) -> Option<Split> {
    named_like_a_set(value).filter(|name| name.rest.is_empty()).map(|name| name.set)
}

fn is_filler(word: &str) -> bool {
    FILLERS.contains(&word) || word.chars().all(char::is_numeric)
}

/// Lower-case words, cut where letters, digits and other characters meet and where a capital follows a small letter.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.chars() {
        if c.is_alphanumeric() {
            let same = before.is_alphanumeric()
                && before.is_numeric() == c.is_numeric()
                && !(before.is_lowercase() && c.is_uppercase());
            match words.last_mut() {
                Some(word) if same => word.extend(c.to_lowercase()),
                _ => words.push(c.to_lowercase().collect()),
            }
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_known_by_a_word_of_their_names() {
        for (name, set, rest) in [
            ("Train", Split::Train, &[][..]),
            ("VALID", Split::Val, &[][..]),
            ("training_set", Split::Train, &[][..]),
            ("seg_train", Split::Train, &[][..]),
            ("1_train", Split::Train, &[][..]),
            ("train2017", Split::Train, &[][..]),
            ("TestImages", Split::Test, &[][..]),
            (" test ", Split::Test, &[][..]),
            ("test-images", Split::Test, &[][..]),
            ("data_train_1", Split::Train, &[][..]),
            ("soul train", Split::Train, &["soul"]),
            ("flowers_test", Split::Test, &["flowers"]),
        ] {
            assert_eq!(
                named_like_a_set(name),
                Some(SetName { set, rest: rest.iter().map(|&word| word.into()).collect() }),
                "{name}"
            );
        }
        for name in ["tests", "Trainers", "Country", "train-and-test", "train_val", "", "images", "Contest"] {
            assert_eq!(named_like_a_set(name), None, "{name}");
        }
        assert!(says_nothing("images") && !says_nothing("01") && !says_nothing("Rock"));
        assert_eq!(set_named("soul train"), None);
    }
}
