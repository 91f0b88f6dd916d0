//! "Did you mean …?": names that are nearly right.

/// Names less alike than this are others (Jaro and Winkler's measure, as clap has it for options).
const ALIKE: f64 = 0.75;

/// The name that is nearly the one that was given: the same but for case, blanks and signs, else the most alike, if any is alike.
pub fn nearest<'a>(given: &str, names: &'a [impl AsRef<str>]) -> Option<&'a str> {
    let plain = |name: &str| name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let wanted = plain(given);
    if let Some(same) = names.iter().find(|name| !wanted.is_empty() && plain(name.as_ref()) == wanted) {
        return Some(same.as_ref());
    }
    let given = given.to_lowercase();
    let alike = |name: &str| strsim::jaro_winkler(&given, &name.to_lowercase());
    let nearest = names.iter().map(|name| (alike(name.as_ref()), name.as_ref()));
    let nearest = nearest.filter(|(alike, _)| *alike > ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map(|(_, name)| name)
}

/// `; did you mean "rock"?` if one of the names is nearly the one that was given ([`nearest`]), else nothing.
pub fn did_you_mean(given: &str, names: &[impl AsRef<str>]) -> String {
    nearest(given, names).map_or(String::new(), |name| format!("; did you mean {name}?"))
}

/// A word in quotation marks where a shell needs them.
pub fn quoted(text: &str) -> String {
    if text.chars().all(|c| c.is_alphanumeric() || "-_=,./+".contains(c)) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_asked_for_and_a_far_one_is_not() {
        let names = ["hip-hop", "jazz", "metal"];
        assert_eq!(did_you_mean("HipHop", &names), "; did you mean hip-hop?");
        assert_eq!(did_you_mean("jaz", &names), "; did you mean jazz?");
        assert_eq!(did_you_mean("classical", &names), "");
        assert_eq!(did_you_mean("", &names), "");
        assert_eq!(nearest("Hip Hop", &["Hip", "HipHop", "Hip-Hoq"]), Some("HipHop"));
        assert_eq!(nearest("R&B", &["RnB", "r & b"]), Some("r & b"));
        assert_eq!(nearest("--", &["!!"]), None);
    }

    #[test]
    fn words_are_ready_to_paste() {
        assert_eq!(quoted("Hip Hop"), "'Hip Hop'");
        assert_eq!(quoted("Rock'n'Roll"), "'Rock'\\''n'\\''Roll'");
        assert_eq!(quoted("rock=Rock"), "rock=Rock");
    }
}
