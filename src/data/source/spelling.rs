//! When are two labels one? Unicode forms, blanks and characters that nobody sees do not tell them apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The text in NFC, without characters that cannot be seen, its blanks single and none around it.
pub(super) fn tidy(text: &str) -> Cow<'_, str> {
    let single = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    let plain = |c: char| c == ' ' || !(c.is_whitespace() || c.is_control() || is_invisible(c));
    if single && text.chars().all(plain) && is_nfc(text) {
        return Cow::Borrowed(text);
    }
    let seen: String = text.chars().filter(|&c| c.is_whitespace() || !(c.is_control() || is_invisible(c))).collect();
    Cow::Owned(seen.split_whitespace().collect::<Vec<_>>().join(" ").nfc().collect())
}

/// Marks of width nought: joiners, directions, byte-order marks, soft hyphens, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// What is left of a label when case, blanks, hyphens and the forms of letters do not count.
fn skeleton(label: &str) -> String {
    label.nfkc().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace() && !"-_'’.".contains(*c)).collect()
}

/// Classes that differ in nothing but case, blanks or hyphens, in groups. Each is given with its number of covers.
pub(super) fn alike<'a>(classes: &[(&'a str, usize)]) -> Vec<Vec<(&'a str, usize)>> {
    let mut groups: BTreeMap<String, Vec<(&str, usize)>> = BTreeMap::new();
    for &(class, covers) in classes {
        groups.entry(skeleton(class)).or_default().push((class, covers));
    }
    groups.into_values().filter(|group| group.len() > 1).collect()
}

/// `text` in both Unicode forms, where they differ from it.
pub(super) fn other_forms(text: &str) -> impl Iterator<Item = String> {
    let forms = [text.nfc().collect::<String>(), text.nfd().collect::<String>()];
    forms.into_iter().filter(move |form| form != text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_does_not_count() {
        for text in ["Rock", " Rock ", "Rock\u{a0}", "Ro\u{200b}ck", "\u{feff}Rock", "Rock\t", "Ro\u{ad}ck", "\0Rock"] {
            assert_eq!(tidy(text), "Rock", "{text:?}");
        }
        assert_eq!(tidy("Hip \u{2003} Hop"), "Hip Hop");
        assert_eq!(tidy("Cafe\u{301}"), "Café");
        assert_eq!(tidy("Drum & Bass / 2-Step"), "Drum & Bass / 2-Step");
    }

    #[test]
    fn classes_alike_but_for_case_are_found() {
        let found = alike(&[("Hip Hop", 1), ("Jazz", 2), ("hip-hop", 3), ("HIPHOP", 4), ("Rock", 5)]);
        assert_eq!(found, [[("Hip Hop", 1), ("hip-hop", 3), ("HIPHOP", 4)]]);
    }
}
