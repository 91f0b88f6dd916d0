//! Artists and albums that stand for none: what is tagged "Various Artists" has no artist in common.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// How taggers, shops and data frames write that there is no one artist; compared as [`normalise`] leaves them, so "V/A", "V.A."
/// and "va" are one.
const NOBODY: [&str; 71] = [
    // English, and what programs write.
    "various artists",
    "various artist",
    "various",
    "various performers",
    "various interprets",
    "various composers",
    "v.a.",
    "va - various artists",
    "compilation",
    "compilations",
    "multiple artists",
    "several artists",
    "mixed artists",
    "unknown artist",
    "unknown artists",
    "artist unknown",
    "unknown",
    "no artist",
    "anonymous",
    "soundtrack",
    "original soundtrack",
    "nan",
    "n/a",
    "none",
    "null",
    "nil",
    "undefined",
    "untitled artist",
    // German, Dutch, and the Nordic languages.
    "verschiedene interpreten",
    "verschiedene künstler",
    "verschiedene",
    "diverse interpreten",
    "diverse künstler",
    "diverse",
    "unbekannter interpret",
    "unbekannter künstler",
    "unbekannt",
    "diverse artiesten",
    "verschillende artiesten",
    "onbekende artiest",
    "diverse artister",
    "diverse kunstnere",
    "blandade artister",
    "okänd artist",
    "ukendt kunstner",
    "ukjent artist",
    "eri esittäjiä",
    // The Romance languages.
    "varios artistas",
    "varios",
    "varios intérpretes",
    "artista desconocido",
    "artista desconhecido",
    "desconocido",
    "artistes divers",
    "artistes variés",
    "divers",
    "divers artistes",
    "artiste inconnu",
    "inconnu",
    "artisti vari",
    "autori vari",
    "aa.vv.",
    "artista sconosciuto",
    // Further east.
    "různí interpreti",
    "różni wykonawcy",
    "nieznany wykonawca",
    "разные исполнители",
    "неизвестный исполнитель",
    "ヴァリアス・アーティスト",
    "群星",
    "여러 아티스트",
];

/// What stands where an album has no name.
const NO_ALBUM: [&str; 14] = [
    "unknown album",
    "unknown",
    "no album",
    "untitled album",
    "nan",
    "n/a",
    "none",
    "null",
    "unbekanntes album",
    "album inconnu",
    "álbum desconocido",
    "album sconosciuto",
    "onbekend album",
    "неизвестный альбом",
];

/// Whether an artist's name is no one's: empty, or a word for several or unknown ones in any of the languages that taggers use.
pub(in crate::data) fn means_nobody(artist: &str) -> bool {
    // A split asks this several times for every cover.
    static WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| NOBODY.into_iter().map(normalise).collect());
    stands_for_none(artist, &WORDS)
}

/// Whether an album's name is none: empty, or a word for an unknown one.
pub(in crate::data) fn means_no_album(album: &str) -> bool {
    static WORDS: LazyLock<HashSet<String>> = LazyLock::new(|| NO_ALBUM.into_iter().map(normalise).collect());
    stands_for_none(album, &WORDS)
}

/// What of a name's spelling counts: letters without accents and digits, in lower case; & is "and".
pub(in crate::data) fn normalise(name: &str) -> String {
    let spelled = name.replace(['&', '+'], "and").to_lowercase();
    spelled.nfkd().filter(|c| !is_combining_mark(*c) && c.is_alphanumeric()).collect()
}

fn stands_for_none(text: &str, words: &HashSet<String>) -> bool {
    let plain = normalise(text);
    if plain.is_empty() {
        // "!!!" is a band; dashes, dots and question marks are what people type to leave a field empty.
        return text.chars().all(|c| c.is_whitespace() || c.is_control() || "-–—._?/<>[]()".contains(c));
    }
    words.contains(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_nobody_are_known_in_every_spelling_and_names_are_not() {
        for nobody in [
            "Various Artists",
            "VARIOUS ARTISTS ",
            "V/A",
            "VA",
            "v.a.",
            "Various",
            "Unknown Artist",
            "<unknown>",
            "[unknown]",
            "(Unknown)",
            "n/a",
            "N/A",
            "nan",
            "NaN",
            "Verschiedene Interpreten",
            "Varios Artistas",
            "Artistes divers",
            "AA.VV.",
            "Eri esittajia",
            "Разные исполнители",
            "ヴァリアス・アーティスト",
            "",
            "  ",
            "-",
            "???",
        ] {
            assert!(means_nobody(nobody), "{nobody}");
        }
        for somebody in ["Van Halen", "Various Production", "The Unknown", "Nana", "!!!", "+/-", "Vaya Con Dios", "群"]
        {
            assert!(!means_nobody(somebody), "{somebody}");
        }
        assert!(means_no_album("Unknown Album") && means_no_album("") && !means_no_album("Unknown Pleasures"));
    }
}
