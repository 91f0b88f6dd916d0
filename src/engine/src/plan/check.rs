//! An independent look at an allocation, for tests: lifetimes from the launches themselves, and what they demand.

use std::collections::BTreeMap;

use super::Allocation;
use crate::tape::{Access, Home, Tape};
use crate::{Error, Result};

/// What the values of a tape need, reused or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Bytes of all values with reusable storage together.
    pub total: u64,
    /// Bytes of those that live at the busiest launch: no allocation can do with less.
    pub busiest: u64,
}

impl Allocation {
    /// Checks that values which live at one time share no word, that each fits its slot, and that no launch reads and writes one
    /// buffer under two names.
    ///
    /// # Errors
    /// [`Error::Run`] that names the values or the launch.
    pub fn check(&self, tape: &Tape) -> Result<Lifetimes> {
        let (lives, places) = (lives(tape), &self.slots.places);
        let bytes = |root: usize| tape.values[root].bytes();
        if lives.len() != places.len() || !lives.keys().all(|root| places.contains_key(root)) {
            return Err(Error::run("the allocation has places for other values than the tape"));
        }
        for (&root, life) in &lives {
            let (place, end) = (places[&root], places[&root].offset + bytes(root));
            if end > self.slots.sizes[place.slot] {
                return Err(Error::run(format!("value {root} outgrows its slot")));
            }
            for (&other, theirs) in lives.range(root + 1..) {
                let their_place = places[&other];
                let together = life.0 <= theirs.1 && theirs.0 <= life.1;
                let overlap = place.slot == their_place.slot
                    && place.offset < their_place.offset + bytes(other)
                    && their_place.offset < end;
                if together && overlap {
                    return Err(Error::run(format!("values {root} and {other} share words of slot {}", place.slot)));
                }
            }
        }
        for launch in tape.launches() {
            let slot = |tensor| places.get(&tape.root(tensor)).map(|place| place.slot);
            let slots = |access: Access| launch.touched(access).filter_map(slot);
            if slots(Access::Read).any(|slot| slots(Access::Write).any(|written| written == slot)) {
                return Err(Error::run(format!("{} reads and writes one buffer", launch.label())));
            }
        }
        let at = |time: usize| {
            let living = lives.iter().filter(|(_, (first, last))| (*first..=*last).contains(&time));
            living.map(|(&root, _)| bytes(root)).sum::<u64>()
        };
        let busiest = (0..tape.launches().len()).map(at).max().unwrap_or(0);
        Ok(Lifetimes { total: lives.keys().map(|&root| bytes(root)).sum(), busiest })
    }
}

/// First and last launch that touches each value with storage of its own.
fn lives(tape: &Tape) -> BTreeMap<usize, (usize, usize)> {
    let mut lives = BTreeMap::new();
    for (time, launch) in tape.launches().iter().enumerate() {
        for &(tensor, _) in launch.operands() {
            let root = tape.root(tensor);
            if tape.values[root].home == Home::Own {
                let life = lives.entry(root).or_insert((time, time));
                *life = (time.min(life.0), time.max(life.1));
            }
        }
    }
    lives
}
