//! Changes bytes at random, for those who read what others have written.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A number below `end`, which is not 0.
pub fn below(rng: &mut ChaCha8Rng, end: usize) -> usize {
    (rng.next_u64() % end as u64) as usize
}

/// Changes bytes as disks, copies and editors do.
pub fn change(bytes: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    for _ in 0..=below(rng, 3) {
        if bytes.is_empty() {
            return;
        }
        let at = below(rng, bytes.len());
        let length = 1 + below(rng, 500).min(bytes.len() - at - 1);
        match below(rng, 8) {
            0..3 => bytes[at] ^= 1 << below(rng, 8),
            3 => bytes.truncate(at),
            4 => bytes[at..at + length].fill(0),
            5 => bytes[at..at + length].fill_with(|| rng.next_u32() as u8),
            6 => drop(bytes.drain(at..at + length)),
            _ => {
                let part = bytes[at..at + length].to_vec();
                let to = below(rng, bytes.len());
                bytes.splice(to..to, part);
            }
        }
    }
}
