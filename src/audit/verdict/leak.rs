//! What sets and labels share, in a sentence or two.

use super::super::leaks::{Column, Leaks};

/// What was found and what to do about it; none if nothing was.
pub fn text(leaks: &Leaks) -> Option<String> {
    if !leaks.found() {
        return None;
    }
    let mut found = Vec::new();
    let pairs = |count: usize| {
        if count == 1 { "1 pair of covers shows".into() } else { format!("{count} pairs of covers show") }
    };
    if leaks.across_sets > 0 {
        let seen = leaks.covers_seen_in_training;
        found.push(format!(
            "{} the same picture in different sets, so that {} of test or validation {} seen in training",
            pairs(leaks.across_sets),
            if seen == 1 { "1 cover".into() } else { format!("{seen} covers") },
            if seen == 1 { "was" } else { "were" },
        ));
    }
    if leaks.across_labels > 0 {
        found.push(format!("{} the same picture under different labels", pairs(leaks.across_labels)));
    }
    let spanning: Vec<&Column> = leaks.columns.iter().filter(|column| column.spanning > 0).collect();
    for column in &spanning {
        found.push(format!(
            "of {} values of {}, {} are in several sets ({} covers of test or validation share theirs with training)",
            column.values, column.column, column.spanning, column.covers_seen_in_training
        ));
    }
    let mut remedies = Vec::new();
    if leaks.across_sets + leaks.across_labels > 0 {
        remedies.push("remove one of each pair (audit.json and the page list them)".to_owned());
    }
    if !spanning.is_empty() {
        let names: Vec<&str> = spanning.iter().map(|column| column.column.as_str()).collect();
        remedies.push(format!("keep these together with gatefold import … --group {}", names.join(",")));
    }
    let mut text = found.join("; ");
    // Starts a sentence, unless it starts with a number.
    if let Some(first) = text.get(..1).map(str::to_uppercase) {
        text.replace_range(..1, &first);
    }
    Some(format!("{text}. Scores on such a test set are too good. {}, and split again.", capital(&remedies.join("; "))))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
