//! A table's bytes as text: which encoding, which character between fields, and what its quotation marks mean.

use std::borrow::Cow;
use std::path::Path;

use crate::data::source::kind::Kind;
use crate::{Error, Result};

/// The table as text in UTF-8, without a byte-order mark.
///
/// # Errors
/// [`Error::Input`] if it is a picture, or no text in UTF-8 or UTF-16.
pub(super) fn decoded(data: &Path, bytes: Vec<u8>) -> Result<String> {
    let shown = data.display();
    if Kind::of_content(&bytes[..bytes.len().min(32)]) != Kind::Other {
        return Err(Error::Input(format!("{shown}: a picture, not a table: give a folder per class or a CSV")));
    }
    if let Some(little) = utf16(&bytes) {
        let units = bytes.chunks(2).map(|pair| {
            let pair = [pair[0], pair.get(1).copied().unwrap_or_default()];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        });
        let text: Result<String, _> = char::decode_utf16(units).collect();
        let text =
            text.map_err(|_| Error::Input(format!("{shown}: damaged UTF-16: save the table as CSV in UTF-8")))?;
        return Ok(text.trim_start_matches('\u{feff}').to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let (bytes, valid) = (e.as_bytes(), e.utf8_error().valid_up_to());
        let line = bytes[..valid].iter().filter(|&&b| b == b'\n').count() + 1;
        Error::Input(format!("{shown}: line {line} is not UTF-8: save the table as CSV in UTF-8"))
    })?;
    if text.contains('\0') {
        return Err(Error::Input(format!("{shown}: no text, but bytes: give a table as CSV in UTF-8")));
    }
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Whether the bytes are UTF-16, and whether the small byte comes first: by their mark, else by zeros in the header.
fn utf16(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0xff, 0xfe, ..] => return Some(true),
        [0xfe, 0xff, ..] => return Some(false),
        _ => {}
    }
    let head = &bytes[..bytes.len().min(64) & !1];
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|&&byte| byte == 0).count() * 4;
    let half = head.len() / 2;
    if half > 1 && zeros(1) > half * 3 && zeros(0) == 0 {
        Some(true)
    } else if half > 1 && zeros(0) > half * 3 && zeros(1) == 0 {
        Some(false)
    } else {
        None
    }
}

/// What is between the fields, and how many bytes of a first line only say so (`sep=;`, as spreadsheets write it).
pub(super) fn delimiter(data: &Path, text: &str) -> (u8, usize) {
    let first = text.lines().next().unwrap_or_default();
    let told = first.trim_matches('"').strip_prefix("sep=").or_else(|| first.strip_prefix("SEP="));
    if let Some(&[delimiter]) = told.map(str::as_bytes) {
        let rest = text[first.len()..].trim_start_matches('\r');
        return (delimiter, text.len() - rest.strip_prefix('\n').unwrap_or(rest).len());
    }
    if data.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv") || e.eq_ignore_ascii_case("tab"))
        && first.contains('\t')
    {
        return (b'\t', 0);
    }
    let count = |delimiter: u8| first.bytes().filter(|&b| b == delimiter).count();
    // The last of equals wins, so a header of one column is read as comma-separated.
    ([b'|', b';', b'\t', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b','), 0)
}

/// Between tabs, a quotation mark that is not closed in its line is a character like others. So that the reader of CSV takes it
/// for one, the field is quoted and its marks are doubled.
pub(super) fn with_plain_quotes(text: String) -> String {
    let closed =
        |field: &str| !field.starts_with('"') || closing(&field[1..], b'\t').is_some_and(|end| end + 2 == field.len());
    // A tab within marks is possible, so the line is looked at as a whole first.
    let fine = |line: &str| !line.contains('"') || whole(line);
    if text.lines().all(fine) {
        return text;
    }
    let mended = text.split_inclusive('\n').map(|line| {
        if fine(line.trim_end_matches('\n')) {
            return Cow::Borrowed(line);
        }
        let end = &line[line.trim_end_matches(['\r', '\n']).len()..];
        let field =
            |field: &str| if closed(field) { field.to_owned() } else { format!("\"{}\"", field.replace('"', "\"\"")) };
        let fields: Vec<String> = line.trim_end_matches(['\r', '\n']).split('\t').map(field).collect();
        Cow::Owned(fields.join("\t") + end)
    });
    mended.collect()
}

/// Whether every quoted field of a line ends in it.
fn whole(line: &str) -> bool {
    let mut rest = line.trim_end_matches('\r');
    loop {
        let quoted = rest.strip_prefix('"');
        let end = match quoted {
            Some(inner) => match closing(inner, b'\t') {
                Some(end) => end + 2,
                None => return false,
            },
            None => rest.find('\t').unwrap_or(rest.len()),
        };
        match rest[end..].strip_prefix('\t') {
            Some(next) => rest = next,
            None => return rest.len() == end,
        }
    }
}

/// Where the mark is that closes a quoted field, given what follows the one that opens it. Doubled ones do not.
fn closing(inner: &str, delimiter: u8) -> Option<usize> {
    let bytes = inner.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            match bytes.get(at + 1) {
                Some(b'"') => at += 1,
                None | Some(b'\r' | b'\n') => return Some(at),
                Some(&next) if next == delimiter => return Some(at),
                Some(_) => return None,
            }
        }
        at += 1;
    }
    None
}

/// Refuses a table in which a quotation mark is opened and not closed: the rows up to the next mark would vanish.
///
/// # Errors
/// [`Error::Input`] with the line where it was opened.
pub(super) fn check_quotes(data: &Path, text: &str, delimiter: u8, lines_before: usize) -> Result<()> {
    let bytes = text.as_bytes();
    let columns = text.lines().next().unwrap_or_default().bytes().filter(|&b| b == delimiter).count();
    let (mut at, mut line, mut starts) = (0, 1 + lines_before, true);
    while at < bytes.len() {
        if starts && bytes[at] == b'"' {
            let swallowed = |field: &str| columns > 0 && inner_rows(field, delimiter).any(|count| count == columns);
            let Some(end) = closing(&text[at + 1..], delimiter).filter(|&end| !swallowed(&text[at + 1..][..end]))
            else {
                return Err(Error::Input(format!(
                    "{}: line {line}: a quotation mark opens here that is not closed: close it before the next field, double those \
                     that are part of the text, or save the table with tabs between fields",
                    data.display()
                )));
            };
            line += bytes[at..at + 1 + end].iter().filter(|&&b| b == b'\n').count();
            at += end + 2;
            starts = false;
            continue;
        }
        starts = bytes[at] == delimiter || bytes[at] == b'\n';
        line += usize::from(bytes[at] == b'\n');
        at += 1;
    }
    Ok(())
}

/// How many delimiters each whole line within a quoted field has.
fn inner_rows(field: &str, delimiter: u8) -> impl Iterator<Item = usize> {
    let lines = field.matches('\n').count();
    let inner = field.lines().skip(1).take(lines.saturating_sub(1));
    inner.map(move |line| line.bytes().filter(|&b| b == delimiter).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16_of(text: &str, little: bool, mark: bool) -> Vec<u8> {
        let marked = if mark { format!("\u{feff}{text}") } else { text.to_owned() };
        marked.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    #[test]
    fn encodings_are_known_by_mark_or_by_zeros() {
        let data = Path::new("t.csv");
        let text = "path,label\nCafé.jpg,x\n";
        for bytes in [
            text.as_bytes().to_vec(),
            format!("\u{feff}{text}").into_bytes(),
            utf16_of(text, true, true),
            utf16_of(text, false, true),
            utf16_of(text, true, false),
            utf16_of(text, false, false),
        ] {
            assert_eq!(decoded(data, bytes).unwrap(), text);
        }
        assert!(decoded(data, b"path,label\na\0,x\n".to_vec()).is_err());
    }

    #[test]
    fn the_delimiter_is_that_of_the_header_or_what_the_first_line_says() {
        for (text, wanted) in [
            ("a,b\n", (b',', 0)),
            ("a;b,c;d\n", (b';', 0)),
            ("a|b|c\n", (b'|', 0)),
            ("a\tb\n", (b'\t', 0)),
            ("sep=;\r\na;b\n", (b';', 7)),
            ("sep=,\na,b\n", (b',', 6)),
            ("label\n", (b',', 0)),
        ] {
            assert_eq!(delimiter(Path::new("t.csv"), text), wanted, "{text}");
        }
        assert_eq!(delimiter(Path::new("t.tsv"), "a\tb,c,d\n"), (b'\t', 0));
        assert_eq!(delimiter(Path::new("t.tsv"), "a,b\n"), (b',', 0));
    }

    #[test]
    fn between_tabs_an_open_mark_is_a_character() {
        for (line, wanted) in [
            ("a\tb\n", "a\tb\n"),
            ("a\t\"Heroes\tc\n", "a\t\"\"\"Heroes\"\tc\n"),
            ("a\t\"Heroes\r\n", "a\t\"\"\"Heroes\"\r\n"),
            ("a\t\"Heroes\"\tc\n", "a\t\"Heroes\"\tc\n"),
            ("a\t\"with\ta tab\"\tc\n", "a\t\"with\ta tab\"\tc\n"),
            ("a\t12\" single\tc\n", "a\t12\" single\tc\n"),
            ("a\t\"Weird Al\" Yankovic\tc\n", "a\t\"\"\"Weird Al\"\" Yankovic\"\tc\n"),
        ] {
            assert_eq!(with_plain_quotes(line.to_owned()), wanted, "{line:?}");
        }
    }

    #[test]
    fn an_open_mark_between_commas_is_refused_with_its_line() {
        let said = |text: &str| check_quotes(Path::new("t.csv"), text, b',', 0).map_err(|e| e.to_string());
        for text in [
            "p,l,t\na,x,\"one\"\nb,y,\"say \"\"two\"\"\"\n",
            "p,l,t\na,x,\"one\nand more\"\nb,y,z\n",
            "p,l,t\na,x,12\" single\nb,y,7\" single\n",
        ] {
            said(text).unwrap();
        }
        for text in [
            "p,l,t\na,x,y\nb,y,\"Heroes\nc,z,w\n",
            "p,l,t\na,x,y\nb,y,\"Heroes\nc,z,\"two\"\n",
            "p,l,t\na,x,y\nb,y,\"Heroes\nc,z,w\nd,z,\"\n",
            "p,l,t\na,x,y\nb,y,\"12\\\" single\"\n",
        ] {
            let said = said(text).unwrap_err();
            assert!(said.contains("line 3: a quotation mark opens here"), "{said}");
        }
    }
}
