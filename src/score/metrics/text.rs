//! The score in words: a report for a terminal, and the verdict against the majority baseline.

use std::fmt::Write;

use super::Metrics;

/// Of more classes the most frequent wrong answers are printed instead of the matrix (the JSON has all).
const MAX_PRINTED_CLASSES: usize = 25;
/// So many of them.
const MAX_PRINTED_MISTAKES: usize = 10;
/// No name is longer within a sentence.
const MAX_NAME: usize = 60;
/// No line of the report is longer, unless the counts themselves are.
pub(super) const MAX_LINE: usize = 110;

/// How an accuracy stands to the majority baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not above it.
    NotBetter,
    /// Above it, but the interval includes it.
    Undecided,
    /// The whole interval lies above it.
    Better,
}

impl Metrics {
    /// How the accuracy's interval lies to the majority baseline.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.accuracy <= self.majority {
            Verdict::NotBetter
        } else if self.accuracy_ci[0] <= self.majority {
            Verdict::Undecided
        } else {
            Verdict::Better
        }
    }

    /// The verdict in words: one sentence.
    #[must_use]
    pub fn verdict_text(&self) -> String {
        let (name, base) = (shorten(&self.majority_label, MAX_NAME), percent(self.majority));
        match self.verdict() {
            Verdict::NotBetter => {
                format!("This is NOT better than always answering \"{name}\" ({base}).")
            }
            Verdict::Undecided => format!(
                "The 95 % interval includes the majority baseline: on {} it can't be told apart from always \
                 answering \"{name}\" ({base}).",
                if self.n == 1 { "this 1 cover".into() } else { format!("these {} covers", self.n) },
            ),
            Verdict::Better => format!(
                "Better than always answering \"{name}\" ({base}) by {:.1} points; the interval's lower end is {:.1} \
                 points above it.",
                100.0 * (self.accuracy - self.majority),
                100.0 * (self.accuracy_ci[0] - self.majority),
            ),
        }
    }

    /// The whole report for a terminal: score, baselines, verdict, confusion matrix. Ends with a line break.
    #[must_use]
    pub fn text(&self) -> String {
        let covers = if self.n == 1 { "cover" } else { "covers" };
        let [low, high] = self.accuracy_ci;
        let always = format!("always \"{}\"", shorten(&self.majority_label, 20));
        let (occurring, classes) = (self.occurring(), self.labels.len());
        let [recalls, f1s] = if occurring == classes {
            ["mean recall".to_owned(), String::new()]
        } else {
            [
                format!("mean recall of the {occurring} of {classes} classes that occur"),
                "mean F1 of the same".to_owned(),
            ]
        };
        let mut lines = vec![
            (
                "accuracy".to_owned(),
                percent(self.accuracy),
                format!("95 % interval {:.1} to {} ({} {covers})", 100.0 * low, percent(high), self.n),
            ),
            (always, percent(self.majority), "the majority baseline".into()),
            ("stratified".into(), percent(self.stratified), "guessing classes as often as training has them".into()),
            ("chance".into(), percent(self.chance), format!("{} classes", self.labels.len())),
            ("balanced accuracy".into(), percent(self.balanced_accuracy), recalls),
            ("macro-F1".into(), format!("{:.3}", self.macro_f1), f1s),
        ];
        if let Some(auc) = self.roc_auc {
            lines.push(("ROC-AUC".into(), format!("{auc:.3}"), "0.5 is guessing".into()));
        }
        lines.push(("loss".into(), format!("{:.4}", self.loss), "mean negative log-likelihood".into()));

        let width = lines.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
        let mut out = String::new();
        for (name, value, note) in lines {
            let line = format!("{name:<width$}  {value:>7}  {note}");
            let _ = writeln!(out, "{}", line.trim_end());
        }
        let _ = writeln!(out, "\n{}\n", self.verdict_text());
        self.write_confusion(&mut out);
        out
    }

    /// The confusion matrix with names, and each class's recall at its row's end.
    fn write_confusion(&self, out: &mut String) {
        let classes = self.labels.len();
        if classes > MAX_PRINTED_CLASSES {
            self.write_mistakes(out);
            return;
        }
        let Some(confusion) = &self.confusion else { return };
        let digits = confusion.iter().flatten().max().map_or(1, |m| m.to_string().len());
        let longest = self.labels.iter().map(|l| l.chars().count()).max().unwrap_or(1);
        let mut head = longest.clamp(4, 14);
        let room = (MAX_LINE - head - 10) / classes;
        let mut cell = room.saturating_sub(1).min(longest).clamp(3, 14).max(digits);

        // Short names that look alike would mislead: number the classes then, and give the names more room.
        let mut columns: Vec<String> = self.labels.iter().map(|l| shorten(l, cell)).collect();
        let mut rows: Vec<String> = self.labels.iter().map(|l| shorten(l, head)).collect();
        let alike = |names: &[String]| (1..classes).any(|i| names[..i].contains(&names[i]));
        if alike(&columns) || alike(&rows) {
            cell = digits.max(2);
            head = MAX_LINE.saturating_sub(classes * (cell + 1) + 13).clamp(14, 32);
            columns = (1..=classes).map(|i| i.to_string()).collect();
            rows = self.labels.iter().map(|l| shorten(l, head)).collect();
            for (i, row) in rows.iter_mut().enumerate() {
                *row = format!("{:>2} {row}", i + 1);
            }
        }
        let head = rows.iter().map(|r| r.chars().count()).max().unwrap_or(0);

        let _ = writeln!(out, "Confusion: rows are true classes, columns predicted ones.");
        let names: String = columns.iter().map(|c| format!(" {c:>cell$}")).collect();
        let _ = writeln!(out, "{:head$} {names}   recall", "");
        for (c, row) in confusion.iter().enumerate() {
            let counts: String = row.iter().map(|v| format!(" {v:>cell$}")).collect();
            let score = &self.per_class[c];
            let recall = if score.support > 0 { percent(score.recall) } else { "-".into() };
            let _ = writeln!(out, "{:<head$} {counts}  {recall:>7}", rows[c]);
        }
    }

    /// The most frequent wrong answers, a line each.
    fn write_mistakes(&self, out: &mut String) {
        let (mistakes, classes) = (self.mistakes(), self.labels.len());
        if mistakes.is_empty() {
            let _ = writeln!(out, "No cover was answered wrong.");
            return;
        }
        let _ = writeln!(
            out,
            "The confusion matrix of {classes} classes is too wide to print. The most frequent wrong answers (all are in \
             the JSON):"
        );
        let digits = mistakes[0].count.to_string().len();
        for mistake in mistakes.iter().take(MAX_PRINTED_MISTAKES) {
            let name = |class: usize| shorten(&self.labels[class], 40);
            let (label, predicted, count) = (name(mistake.label), name(mistake.predicted), mistake.count);
            let support = self.per_class[mistake.label].support;
            let _ = writeln!(out, "  {count:>digits$} of {support} {label} answered {predicted}");
        }
    }
}

impl std::fmt::Display for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text())
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Class names come from folders and tables: nothing in them may move the cursor.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// At most `max` characters; what is cut is marked where there is room for a mark.
fn shorten(name: &str, max: usize) -> String {
    let name = printable(name);
    if name.chars().count() <= max {
        return name;
    }
    let (keep, mark) = if max >= 6 { (max - 1, "…") } else { (max, "") };
    name.chars().take(keep).collect::<String>() + mark
}
