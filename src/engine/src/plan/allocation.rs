//! Where every value of a tape lies, and what memory that takes: pure arithmetic, before anything is allocated.

use super::slots::Slots;
use super::{BLOCK_BYTES, marks};
use crate::gpu::{AdapterSummary, MemoryUse, take_fitting};
use crate::tape::{Home, Tape};
use crate::tensor::Shape;

/// Which storage every value of a tape gets.
pub struct Allocation {
    /// Storage that is reused.
    pub(super) slots: Slots,
    memory: MemoryUse,
    largest: Shape,
    /// Bytes of the parameters alone: no long-lived buffer has more.
    arena: u64,
}

impl Allocation {
    /// Gives every value a place; `training` if gradients and moments exist.
    pub fn new(tape: &Tape, training: bool) -> Self {
        let slots = Slots::new(tape);
        let roots = || tape.roots().map(|root| &tape.values[root.id]);
        let fixed: u64 = roots()
            .map(|v| match v.home {
                Home::Input => v.bytes(),
                // Once on the device, twice for the two read-backs in flight.
                Home::Result => 3 * v.bytes(),
                _ => 0,
            })
            .sum();
        let (largest_tensor, largest) =
            roots().map(|v| (v.bytes(), v.shape)).max_by_key(|&(bytes, _)| bytes).unwrap_or((0, Shape::vector(0)));
        let memory = MemoryUse {
            slots: slots.sizes.iter().sum(),
            fixed: fixed + BLOCK_BYTES * tape.launches.len() as u64 + marks::FIXED + 2 * marks::BYTES,
            parameters: tape.spec().bytes(if training { tape.trained_words() } else { 0 }),
            largest_tensor,
        };
        Self { slots, memory, largest, arena: 4 * tape.spec().parameter_words() as u64 }
    }

    pub fn memory(&self) -> MemoryUse {
        self.memory
    }

    /// Bytes of each slot.
    pub fn slots(&self) -> &[u64] {
        &self.slots.sizes
    }

    /// Each value with reusable storage, by its number, its slot, and its first byte there.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        self.slots.places.iter().map(|(&root, place)| (root, place.slot, place.offset))
    }

    /// Bytes of slots that this needs beyond those that `other` has left in the pool (see [`BufferPool`](crate::gpu::BufferPool)).
    pub fn slots_beyond(&self, other: &Self) -> u64 {
        let mut free = other.slots.sizes.clone();
        free.sort_unstable();
        self.slots.sizes.iter().filter(|&&bytes| take_fitting(&mut free, bytes, |&size| size).is_none()).sum()
    }

    /// Says why this does not fit the adapter, in numbers; `None` if it does. `free` is what it may take, in bytes; see
    /// [`AdapterSummary::free_memory`].
    pub fn misfit(&self, adapter: &AdapterSummary, free: u64) -> Option<String> {
        let largest_tensor = self.memory.largest_tensor;
        let peak = self.memory.peak();
        let needs = format!("needs {}, largest tensor {} ({})", mib(peak), mib(largest_tensor), self.largest);
        if largest_tensor > adapter.max_binding_bytes {
            Some(format!("{needs}, and {} binds at most {}", adapter.name, mib(adapter.max_binding_bytes)))
        } else if self.arena > adapter.max_buffer_bytes {
            Some(format!("{needs}, and a buffer of {} holds at most {}", adapter.name, mib(adapter.max_buffer_bytes)))
        } else if peak > free {
            let of = if adapter.software { "this machine's memory" } else { "the adapter's memory" };
            Some(format!("{needs}, and {} of {of} are free", mib(free)))
        } else {
            None
        }
    }
}

/// Bytes as people say them.
pub fn mib(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    match mib {
        1024.0.. => format!("{:.1} GiB", mib / 1024.0),
        1.0.. => format!("{mib:.1} MiB"),
        _ => format!("{:.1} KiB", mib * 1024.0),
    }
}
