//! An independent look at an allocation: lifetimes from the launches themselves, and what they demand.

use std::collections::{BTreeMap, HashMap};

use gatefold_engine::plan::Allocation;
use gatefold_engine::tape::{Access, Home, Tape};
use gatefold_engine::{Error, Result};

/// What the values of a tape need, reused or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Bytes of all values with reusable storage together.
    pub total: u64,
    /// Bytes of those that live at the busiest launch: no allocation can do with less.
    pub busiest: u64,
}

/// Checks that values which live at one time share no word, that each fits its slot, and that no launch reads and writes one
/// buffer under two names.
///
/// # Errors
/// [`Error::Run`] that names the values or the launch.
pub fn check(allocation: &Allocation, tape: &Tape) -> Result<Lifetimes> {
    let lives = lives(tape);
    let places: HashMap<usize, (usize, u64)> =
        allocation.places().map(|(root, slot, offset)| (root, (slot, offset))).collect();
    let bytes = |root: usize| tape.bytes(tape.whole(root));
    if lives.len() != places.len() || !lives.keys().all(|root| places.contains_key(root)) {
        return Err(Error::run("the allocation has places for other values than the tape"));
    }
    for (&root, life) in &lives {
        let (slot, offset) = places[&root];
        let end = offset + bytes(root);
        if end > allocation.slots()[slot] {
            return Err(Error::run(format!("value {root} outgrows its slot")));
        }
        for (&other, theirs) in lives.range(root + 1..) {
            let (their_slot, their_offset) = places[&other];
            let together = life.0 <= theirs.1 && theirs.0 <= life.1;
            let overlap = slot == their_slot && offset < their_offset + bytes(other) && their_offset < end;
            if together && overlap {
                return Err(Error::run(format!("values {root} and {other} share words of slot {slot}")));
            }
        }
    }
    for launch in tape.launches() {
        let slot = |tensor| places.get(&tape.root(tensor)).map(|(slot, _)| *slot);
        let slots = |access: Access| {
            launch.operands().iter().filter(move |(_, how)| *how == access).filter_map(move |&(tensor, _)| slot(tensor))
        };
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

/// First and last launch that touches each value with storage of its own.
fn lives(tape: &Tape) -> BTreeMap<usize, (usize, usize)> {
    let mut lives = BTreeMap::new();
    for (time, launch) in tape.launches().iter().enumerate() {
        for &(tensor, _) in launch.operands() {
            let root = tape.root(tensor);
            if tape.home(tape.whole(root)) == Home::Own {
                let life = lives.entry(root).or_insert((time, time));
                *life = (time.min(life.0), time.max(life.1));
            }
        }
    }
    lives
}
