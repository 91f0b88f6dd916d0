//! Which rows are wanted.

use gatefold_engine::{Error, Result};
use regex::Regex;

use super::Row;
use crate::OPS;

/// Names less alike than this are others (Jaro and Winkler's measure, as clap has it for options).
const ALIKE: f64 = 0.75;

/// Rows of some ops, with names of some form.
pub struct Selection {
    /// Empty for all.
    ops: Vec<String>,
    case: Option<Regex>,
}

impl Selection {
    /// `ops` are names, none of them for all; `case` is a regular expression on "op: case".
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such op or the expression is none.
    pub fn new(ops: &[String], case: Option<&str>) -> Result<Self> {
        ops.iter().try_for_each(|op| known_op(op))?;
        let case = case.map(|case| {
            Regex::new(case).map_err(|e| {
                let why = e.to_string();
                let why = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
                Error::input(format!(
                    "--case {case:?}: not a regular expression: {why}; put a \\ before each of . ( ) [ ] {{ }} * + ? | that is \
                     meant as it is"
                ))
            })
        });
        Ok(Self { ops: ops.to_vec(), case: case.transpose()? })
    }

    pub fn takes(&self, row: &Row) -> bool {
        let op = self.ops.is_empty() || self.ops.iter().any(|op| op == row.op);
        op && self.case.as_ref().is_none_or(|case| case.is_match(&format!("{}: {}", row.op, row.name)))
    }

    /// # Errors
    /// [`Error::Input`] if it takes no row that is run.
    pub fn check(&self, rows: &[Row]) -> Result<()> {
        if rows.iter().any(|row| !row.bench && self.takes(row)) {
            return Ok(());
        }
        let case = self.case.as_ref().map_or("", Regex::as_str);
        let of = if self.ops.is_empty() { String::new() } else { format!(" of {}", self.ops.join(", ")) };
        Err(Error::input(format!(
            "--case {case:?}: no case{of} matches; --list prints them all as \"op\" and \"case\""
        )))
    }
}

/// # Errors
/// [`Error::Input`] if there is no such op, with the one that was probably meant.
pub fn known_op(op: &str) -> Result<()> {
    if OPS.contains(&op) {
        return Ok(());
    }
    let given = op.to_lowercase();
    let alike = OPS.iter().map(|known| (strsim::jaro_winkler(&given, known), known));
    let alike = alike.filter(|(alike, _)| *alike > ALIKE);
    let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = nearest.map_or(String::new(), |(_, known)| format!("; did you mean {known}?"));
    let known = OPS.join(", ");
    Err(Error::input(format!("--op {op}: there is no such op{hint}; there are: {known}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_gets_a_hint_and_nonsense_none() {
        for (typed, meant) in [
            ("rellu", "relu"),
            ("ReLU", "relu"),
            ("conv", "conv2d"),
            ("batchnorm", "batch_norm"),
            ("maxpool", "max_pool"),
        ] {
            let said = known_op(typed).unwrap_err().to_string();
            assert!(said.contains(&format!("did you mean {meant}?")) && !said.contains('\n'), "{said}");
        }
        let said = known_op("xyzzy").unwrap_err().to_string();
        assert!(!said.contains("did you mean") && said.contains("there are: adam, add, "), "{said}");
    }

    #[test]
    fn a_bad_expression_is_one_line_of_bad_input() {
        for bad in ["(", "[a", "a{2", "*"] {
            let error = Selection::new(&[], Some(bad)).err().unwrap();
            assert!(error.exit_code() == 2 && !error.to_string().contains('\n'), "{error}");
        }
    }
}
