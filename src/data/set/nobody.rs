//! Names that mean nobody.

/// Whether the name of an artist or an album stands for "several" or "unknown", and so says nothing of who it is.
pub(in crate::data) fn means_nobody(name: &str) -> bool {
    [
        "various artists",
        "various",
        "va",
        "v/a",
        "v.a.",
        "unknown",
        "unknown artist",
        "unknown album",
        "nan",
        "none",
        "n/a",
        "null",
    ]
    .contains(&name.trim().to_lowercase().as_str())
}
