//! `audit.json` and `audit.html`.

use std::io::Write;
use std::path::Path;

use super::Audit;
use crate::data::write_atomically;
use crate::{Error, Result};

/// Writes both into the folder `out`.
///
/// # Errors
/// [`Error::Run`] if they cannot be written.
pub fn write(audit: &Audit, out: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(audit).map_err(Error::run)?;
    write_atomically(&out.join("audit.json"), |file| writeln!(file, "{text}"))
}
