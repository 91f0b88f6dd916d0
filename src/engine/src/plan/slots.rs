//! Storage for values that live for a while: each gets a place in a slot, and places are used again.

use std::collections::{HashMap, HashSet};

use crate::tape::{Access, Home, Tape};

/// Bindings begin at multiples of this: the largest alignment an adapter may ask for.
const ALIGNMENT: u64 = 256;

/// A part of a slot, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotPart {
    pub slot: usize,
    pub offset: u64,
}

/// Slots, and who lies where in them.
#[derive(Default)]
pub struct Slots {
    /// Bytes of each slot, largest first.
    pub sizes: Vec<u64>,
    /// Where each root with storage of its own lies.
    pub places: HashMap<usize, SlotPart>,
}

/// A root, its bytes, and the first and the last launch that touch it.
#[derive(Clone, Copy)]
struct Tenant {
    root: usize,
    bytes: u64,
    first: usize,
    last: usize,
}

/// Bytes of a slot, and its tenants with their offsets.
type Slot = (u64, Vec<(Tenant, u64)>);

impl Tenant {
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl Slots {
    /// Places the largest value first, each into the first slot with room beside those who live at the same time; where there
    /// is none, a new slot is made for it. A slot is as large as its first tenant, so no byte is lost to growth.
    ///
    /// Two values of one launch that writes either never lie in one slot: wgpu tracks buffers as a whole.
    pub fn new(tape: &Tape) -> Self {
        let (mut lives, mut apart) = (HashMap::new(), HashSet::new());
        for (time, launch) in tape.launches.iter().enumerate() {
            let roots = || launch.operands.iter().map(|&(tensor, access)| (tape.view(tensor).root, access));
            for (root, access) in roots() {
                lives.entry(root).or_insert((time, time)).1 = time;
                if access == Access::Write {
                    apart.extend(roots().flat_map(|(other, _)| [(root, other), (other, root)]));
                }
            }
        }
        let own = |&(&root, _): &(&usize, _)| tape.values[root].home == Home::Own;
        let tenant = |(&root, &(first, last)): (&usize, &(usize, usize))| Tenant {
            root,
            bytes: tape.values[root].bytes(),
            first,
            last,
        };
        let mut tenants: Vec<Tenant> = lives.iter().filter(own).map(tenant).collect();
        tenants.sort_by_key(|t| (std::cmp::Reverse(t.bytes), t.first, t.last, t.root));

        let mut slots: Vec<Slot> = vec![];
        let mut places = HashMap::new();
        for tenant in tenants {
            let room = |(slot, (size, others)): (usize, &Slot)| {
                let beside: Vec<_> = others.iter().filter(|(other, _)| tenant.meets(other)).collect();
                if beside.iter().any(|(other, _)| apart.contains(&(tenant.root, other.root))) {
                    return None;
                }
                let taken = beside.iter().map(|(other, offset)| (*offset, offset + other.bytes)).collect();
                gap(taken, tenant.bytes, *size).map(|offset| SlotPart { slot, offset })
            };
            let place = slots.iter().enumerate().find_map(room).unwrap_or_else(|| {
                slots.push((tenant.bytes, vec![]));
                SlotPart { slot: slots.len() - 1, offset: 0 }
            });
            slots[place.slot].1.push((tenant, place.offset));
            places.insert(tenant.root, place);
        }
        Self { sizes: slots.into_iter().map(|(bytes, _)| bytes).collect(), places }
    }
}

/// The first aligned place for `bytes` bytes within `size`, between intervals that are taken.
fn gap(mut taken: Vec<(u64, u64)>, bytes: u64, size: u64) -> Option<u64> {
    taken.sort_unstable();
    let mut offset = 0;
    for (start, end) in taken {
        if offset + bytes <= start {
            break;
        }
        offset = offset.max(end.next_multiple_of(ALIGNMENT));
    }
    (offset + bytes <= size).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::gap;

    #[test]
    fn a_gap_is_aligned_large_enough_and_inside() {
        assert_eq!(gap(vec![], 100, 100), Some(0));
        assert_eq!(gap(vec![(0, 100)], 100, 356), Some(256));
        assert_eq!(gap(vec![(0, 100)], 101, 356), None);
        assert_eq!(gap(vec![(512, 600), (0, 256)], 256, 600), Some(256));
        assert_eq!(gap(vec![(512, 600), (0, 256)], 257, 1100), Some(768));
        // Intervals may overlap: they are of values that do not live at the same time as each other.
        assert_eq!(gap(vec![(0, 700), (0, 100)], 8, 1000), Some(768));
    }
}
