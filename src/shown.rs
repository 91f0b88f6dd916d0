//! Names and paths that others have chosen, as people and programs can read them.

use std::fmt::Write;
use std::path::Path;

use serde::Serializer;

/// Whether a terminal does something with it instead of showing it: moves the cursor, begins a line, or turns the text around.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn with(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) && !stays(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The text in one line that does nothing to a terminal: `\u{1b}` stands for an escape character, `\u{a}` for a line break. What
/// is escaped already stays as it is.
pub fn escaped(text: &str) -> String {
    with(text, |_| false)
}

/// As [`escaped`] for text of several lines, whose line breaks stay.
pub fn escaped_lines(text: &str) -> String {
    with(text, |c| c == '\n')
}

/// Numbers of more digits are shortened: nobody compares them, and they hide the line they stand in.
const DIGITS: usize = 40;

/// The text with the middle of very long numbers left out.
pub fn shortened(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let length = rest[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - start);
        let (digits, end) = (&rest[start..start + length], start + length);
        short += &rest[..start];
        if length > DIGITS {
            short += &format!("{}… ({length} digits)", &digits[..10]);
        } else {
            short += digits;
        }
        rest = &rest[end..];
    }
    short + rest
}

/// What a cell begins with that a spreadsheet takes for a formula, and runs.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Text as a cell of a spreadsheet: an apostrophe stands before what would be taken for a formula.
pub fn for_spreadsheet(text: &str) -> String {
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}

/// The text that [`for_spreadsheet`] made a cell of.
pub fn from_spreadsheet(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| text.starts_with(FORMULA)).unwrap_or(cell)
}

/// A path as text. If it is not UTF-8, `\xff` stands for a byte that belongs to no character, and `\\` for a backslash, so that
/// nothing is lost.
pub fn path_text(path: &Path) -> String {
    if let Some(text) = path.to_str() {
        return text.to_owned();
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += &chunk.valid().replace('\\', "\\\\");
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Writes a path as [`path_text`] does, for `serialize_with`: serde itself fails where a path is not UTF-8, and all else with it.
///
/// # Errors
/// Those of the serializer.
pub fn path<S: Serializer>(path: &impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path_text(path.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_letters_stay() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\r\t\u{7f}\u{9b}"), "a\\u{1b}[2Jb\\u{a}c\\u{d}\\u{9}\\u{7f}\\u{9b}");
        assert_eq!(escaped("x\u{202e}gpj\u{2066}"), "x\\u{202e}gpj\\u{2066}");
        for plain in ["Sigur Rós – ( )", "ごはん 🎵", "a\\u{1b}"] {
            assert_eq!(escaped(plain), plain);
        }
        assert_eq!(escaped_lines("a\nb\r"), "a\nb\\u{d}");
        assert_eq!(escaped(&escaped("\u{1b}")), escaped("\u{1b}"));
    }

    #[test]
    fn formulas_are_text_in_a_spreadsheet_and_come_back() {
        for (text, wanted) in
            [("=1+1", "'=1+1"), ("-x", "'-x"), ("\tx", "'\tx"), ("a=b", "a=b"), ("", ""), ("'n'", "'n'")]
        {
            assert_eq!(for_spreadsheet(text), wanted);
            assert_eq!(from_spreadsheet(wanted), text);
        }
        // An apostrophe of a name's own stays.
        assert_eq!(for_spreadsheet("'=x"), "'=x");
    }

    #[test]
    fn long_numbers_are_short() {
        let digits = "7".repeat(900);
        assert_eq!(shortened(&format!("--lr {digits}.5: no")), "--lr 7777777777… (900 digits).5: no");
        for same in ["", "ä", "cover 12 of 4294967295", "x1"] {
            assert_eq!(shortened(same), same);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_loses_nothing() {
        use std::os::unix::ffi::OsStrExt;
        let of = |bytes: &[u8]| path_text(Path::new(std::ffi::OsStr::from_bytes(bytes)));
        assert_eq!(of("für.jpg".as_bytes()), "für.jpg");
        assert_eq!(of(br"a\xff"), r"a\xff");
        assert_eq!(of(b"caf\xe9\\.jpg"), r"caf\xe9\\.jpg");
    }
}
