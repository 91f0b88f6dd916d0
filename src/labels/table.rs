//! What was found as files for others: the ranked list `labels.csv`, which becomes a list of corrections when its column `action` is
//! filled in, and the summary `labels.json`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Found, Trust};
use crate::Result;
use crate::data::set::report::{Told as Same, ToldMember};
use crate::data::source::corrections::COLUMNS;
use crate::file::write_atomically;
use crate::shown::for_spreadsheet;
use crate::train::folds::Score;

/// Columns behind those of corrections.
const MORE: [&str; 8] = [
    "score",
    "suspect",
    "label_probability",
    "suggestion_probability",
    "neighbours",
    "neighbours_of_label",
    "neighbours_of_suggestion",
    "why",
];

/// Writes the ranked list: first the pictures that have several labels, then all covers, the most suspicious first.
///
/// # Errors
/// As [`cannot_write`](crate::file::cannot_write) says if the file cannot be written.
pub fn write(found: &Found, path: &Path) -> Result<()> {
    write_atomically(path, |file| rows(found, file))
}

fn rows(found: &Found, file: impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(file);
    csv.write_record(COLUMNS.into_iter().chain(MORE))?;
    for group in &found.contradictions {
        for member in &group.members {
            let cells = [for_spreadsheet(&member.label), for_spreadsheet(&other_label(group, member)), String::new()];
            let more = ["1", "yes", "", "", "", "", ""].map(str::to_owned);
            csv.write_record([member.path.clone()].into_iter().chain(cells).chain(more).chain([contradicts(member)]))?;
        }
    }
    let (classes, covers) = (found.classes(), &found.dataset.manifest.covers);
    for row in &found.rows {
        let [label, suggestion] = [row.label, row.suggestion].map(|class| for_spreadsheet(&classes[class]));
        let [of_label, of_suggestion] = row.probabilities.map(|p| p.to_string());
        let [near_label, near_suggestion] = row.near_labels.map(|count| count.to_string());
        csv.write_record([
            covers[row.cover].strings.path_text(),
            &label,
            &suggestion,
            "",
            &format!("{:.4}", row.score),
            if row.suspect { "yes" } else { "no" },
            &of_label,
            &of_suggestion,
            &row.near.len().to_string(),
            &near_label,
            &near_suggestion,
            &for_spreadsheet(&found.why(row)),
        ])?;
    }
    csv.flush()
}

/// The label of the picture that it was found to be like, or another one of its group.
pub(super) fn other_label(group: &Same, member: &ToldMember) -> String {
    let others = || group.members.iter().filter(|other| other.label != member.label);
    let like = others().find(|other| member.like.as_ref() == Some(&other.path));
    like.or_else(|| others().next()).map_or_else(String::new, |other| other.label.clone())
}

/// Why a picture was left out.
pub(super) fn contradicts(member: &ToldMember) -> String {
    match &member.like {
        Some(like) => format!("{like} shows the same and has another label, so both were left out"),
        None => "another picture shows the same and has another label, so both were left out".to_owned(),
    }
}

/// The summary.
#[derive(Serialize)]
pub struct Summary<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    pub folder: &'a Path,
    pub covers: usize,
    pub classes: &'a [String],
    /// Of the networks, over all covers.
    pub score: &'a Score,
    pub trust: &'a Trust,
    /// Labels that confident learning takes for wrong; 0 if the networks cannot tell.
    pub suspects: usize,
    /// How many labels are wrong by the estimated joint; `None` if the networks cannot tell.
    pub estimated_wrong: Option<f64>,
    /// Of each class the mean probability that it has where it is the label; 0 of a class without covers.
    pub thresholds: Vec<f64>,
    /// How many covers of a label are confidently of which class.
    pub confident_joint: Vec<JointCell<'a>>,
    /// Pictures that were left out because the same picture has several labels, by groups.
    pub contradictions: usize,
    pub files: [PathBuf; 3],
}

/// A cell of the confident joint.
#[derive(Serialize)]
pub struct JointCell<'a> {
    pub label: &'a str,
    pub class: &'a str,
    pub count: u64,
}

impl<'a> Summary<'a> {
    /// From what was found in a folder, where `files` were written.
    pub fn new(found: &'a Found, folder: &'a Path, files: [PathBuf; 3]) -> Self {
        let (classes, confident) = (found.classes(), &found.confident);
        let cell = |&((label, class), count): &((usize, usize), u64)| JointCell {
            label: &classes[label],
            class: &classes[class],
            count,
        };
        Self {
            folder,
            covers: found.rows.len(),
            classes,
            score: &found.score,
            trust: &found.trust,
            suspects: found.suspects(),
            estimated_wrong: found.trust.can_tell.then_some(confident.wrong),
            // JSON has no infinity.
            thresholds: confident.thresholds.iter().map(|t| if t.is_finite() { *t } else { 0.0 }).collect(),
            confident_joint: confident.joint.iter().map(cell).collect(),
            contradictions: found.contradictions.len(),
            files,
        }
    }
}
