//! Names and sentences of others in Markdown, as what they are and nothing else.

use std::fmt::Write;

use crate::shown::escaped;

/// What begins something in Markdown or HTML, wherever it stands. Others do so at the start of a line, where no name stands.
const ACTIVE: &str = "&<>\\`*_[]|~$@";

/// Text within a line or a cell of a table. A reader sees it as it is: nothing of it becomes markup, a link or a new line.
pub fn text(of: &str) -> String {
    let shown = escaped(of);
    let mut out = String::with_capacity(shown.len());
    for (place, c) in shown.char_indices() {
        let rest = &shown[place..];
        let link = rest.starts_with("://") || (c == '.' && shown[..place].to_ascii_lowercase().ends_with("www"));
        if link || ACTIVE.contains(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A table with these columns; the text of cells is markup already. Those named in `numbers` stand at the right.
pub fn table(columns: &[&str], numbers: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let names: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
    let rule: Vec<String> =
        columns.iter().map(|name| if numbers.contains(name) { "---:" } else { "---" }.to_owned()).collect();
    line(&names) + &line(&rule) + &rows.iter().map(|row| line(row)).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_is_no_markup() {
        for (of, wanted) in [
            ("Hip-Hop & R'n'B (90s)", "Hip-Hop &#38; R'n'B (90s)"),
            ("Drum | Bass", "Drum &#124; Bass"),
            ("<script>alert(1)</script>", "&#60;script&#62;alert(1)&#60;/script&#62;"),
            ("a\n\n# b", "a&#92;u{a}&#92;u{a}# b"),
            ("[click](javascript:x)", "&#91;click&#93;(javascript:x)"),
            ("`code` *b* _i_ ~s~ $x$", "&#96;code&#96; &#42;b&#42; &#95;i&#95; &#126;s&#126; &#36;x&#36;"),
            ("http://a.b, WWW.a.b, a@b.c", "http&#58;//a.b, WWW&#46;a.b, a&#64;b.c"),
            ("Ünïcödé\u{202e}", "Ünïcödé&#92;u{202e}"),
        ] {
            assert_eq!(text(of), wanted);
        }
    }

    #[test]
    fn a_table_has_as_many_cells_in_each_line() {
        let rows = [vec!["a".to_owned(), text("1 | 2")]];
        assert_eq!(table(&["x", "n"], &["n"], &rows), "| x | n |\n| --- | ---: |\n| a | 1 &#124; 2 |\n");
    }
}
