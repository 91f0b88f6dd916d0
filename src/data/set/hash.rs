//! Hashes over several parts.

use blake3::{Hash, Hasher};

/// BLAKE3 over parts, each with its length before it, so that no two lists of parts give the same bytes.
#[derive(Default)]
pub struct Parts(Hasher);

impl Parts {
    /// Adds a part.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
    }

    /// The hash of all parts.
    pub fn hash(&self) -> Hash {
        self.0.finalize()
    }
}
