//! Numbers and names as people write them.

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{}:{:02} min", whole / 60, whole % 60),
        _ => format!("{}:{:02} h", whole / 3600, whole / 60 % 60),
    }
}

/// "12.3 %".
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Digits in groups of three.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// "a, b and c".
pub fn list(names: &[String]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// A class's name on a page: names come from folders and tables, and a page of very long ones would be very large. What is cut is
/// marked.
pub fn short(name: &str) -> String {
    const LONGEST: usize = 80;
    match name.char_indices().nth(LONGEST) {
        None => name.to_owned(),
        Some(_) => name.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

/// A network's name as its authors write it.
pub fn network(name: &str) -> String {
    let split = name.find(|c: char| c.is_ascii_digit()).map_or((name, ""), |at| name.split_at(at));
    match split {
        ("prognet", "") => "ProgNet".to_owned(),
        ("resnet", layers) => format!("ResNet-{layers}"),
        ("densenet", layers) => format!("DenseNet-{layers}"),
        ("inception_v", version) => format!("Inception-v{version}"),
        ("small", "") => "The small network".to_owned(),
        _ => name.to_owned(),
    }
}

/// A p value: three digits, and a bound where it is smaller than they show.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// A command as a shell takes it.
pub fn command<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,=:+%@".contains(c);
    let quoted = words.into_iter().map(|word| {
        let word = word.as_ref();
        let is_plain = !word.is_empty() && word.chars().all(plain);
        if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_as_people_write_them() {
        assert_eq!([thousands(7), thousands(1234), thousands(25_557_032)], ["7", "1,234", "25,557,032"]);
        assert_eq!([duration(5.25), duration(65.0), duration(7260.0)], ["5.2 s", "1:05 min", "2:01 h"]);
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!([list(&names), list(&names[..1])], ["a, b and c", "a"]);
        assert_eq!(command(["train", "my covers", "it's", ""]), "train 'my covers' 'it'\\''s' ''");
        let written = ["prognet", "resnet50", "densenet169", "inception_v3"].map(network);
        assert_eq!(written, ["ProgNet", "ResNet-50", "DenseNet-169", "Inception-v3"]);
        assert_eq!([short("Rock"), short(&"ü".repeat(80))], ["Rock".to_owned(), "ü".repeat(80)]);
        assert_eq!(short(&"ü".repeat(81)), "ü".repeat(79) + "…");
        assert_eq!([p_value(0.0004), p_value(0.0312)], ["< 0.001", "0.031"]);
    }
}
