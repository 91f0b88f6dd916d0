//! How much memory the pictures that are decoded at the same time may take together: a large one waits until the others are done,
//! and is then decoded alone.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes for all threads. Sixteen threads have room for a cover of 3,000 x 3,000 pixels each.
const BYTES: u64 = 1 << 30;

static BUDGET: Budget = Budget::new(BYTES);

struct Budget {
    of: u64,
    used: Mutex<u64>,
    freed: Condvar,
}

/// A part of the budget, given back when it is dropped. Whoever holds one must not ask for another.
pub struct Share(&'static Budget, u64);

/// Waits until there is room for so many bytes; all of the budget is room for any number.
pub fn take(bytes: u64) -> Share {
    BUDGET.take(bytes)
}

impl Budget {
    const fn new(of: u64) -> Self {
        Self { of, used: Mutex::new(0), freed: Condvar::new() }
    }

    fn take(&'static self, bytes: u64) -> Share {
        let bytes = bytes.min(self.of);
        // The number is right whatever became of a thread that held the lock.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used + bytes > self.of {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Share(self, bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) -= self.1;
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn what_is_used_at_a_time_stays_within_it_and_what_is_larger_goes_alone() {
        static SMALL: Budget = Budget::new(100);
        static NOW: AtomicU64 = AtomicU64::new(0);
        static MOST: AtomicU64 = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                scope.spawn(move || {
                    for round in 0..50 {
                        // Every seventh is larger than all there is.
                        let bytes = if (thread + round) % 7 == 0 { 1000 } else { 10 + 5 * thread };
                        let share = SMALL.take(bytes);
                        let now = NOW.fetch_add(bytes.min(100), Ordering::SeqCst) + bytes.min(100);
                        MOST.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        NOW.fetch_sub(bytes.min(100), Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert!(MOST.load(Ordering::SeqCst) <= 100);
        assert_eq!(*SMALL.used.lock().unwrap(), 0);
    }
}
