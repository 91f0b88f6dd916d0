//! Faults of a device on demand: a test cannot wait for a driver to fail at the right moment.
//!
//! `GATEFOLD_FAULT=lose:N` loses the device at the N-th submission, `refuse:N` refuses the N-th buffer, `late:N` lets the N-th
//! submission end half a second late. Counts begin at 1.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Gpu, keep_first};
use crate::{Error, Result};

/// Names the fault of a test.
const VARIABLE: &str = "GATEFOLD_FAULT";
const LATE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Lose,
    Refuse,
    Late,
}

/// What is to go wrong, and when.
#[derive(Debug)]
pub struct Faults {
    wanted: Option<(Kind, u64)>,
    /// How often it could have gone wrong so far.
    calls: AtomicU64,
}

impl Faults {
    /// What the environment asks for; mostly nothing.
    ///
    /// # Errors
    /// [`Error::Input`] if it asks for what there is not.
    pub fn wanted() -> Result<Self> {
        let text = std::env::var(VARIABLE).ok();
        let wanted = text.map(|text| {
            let kinds = [("lose", Kind::Lose), ("refuse", Kind::Refuse), ("late", Kind::Late)];
            let parsed = text.split_once(':').and_then(|(kind, number)| {
                let (_, kind) = kinds.into_iter().find(|(name, _)| *name == kind)?;
                Some((kind, number.parse().ok()?))
            });
            parsed.ok_or_else(|| Error::input(format!("{VARIABLE}={text}: there are lose:N, refuse:N and late:N")))
        });
        Ok(Self { wanted: wanted.transpose()?, calls: AtomicU64::new(0) })
    }

    /// What goes wrong with this call, in which one of `kinds` can.
    fn now(&self, kinds: &[Kind]) -> Option<Kind> {
        let (kind, number) = self.wanted.filter(|(kind, _)| kinds.contains(kind))?;
        (self.calls.fetch_add(1, Ordering::Relaxed) + 1 == number).then_some(kind)
    }
}

impl Gpu {
    /// Before a submission.
    pub(super) fn fail_submission(&self) {
        match self.faults.now(&[Kind::Lose, Kind::Late]) {
            Some(Kind::Lose) => {
                let text = "the device was lost (a test asked for it); start again from what was saved last";
                keep_first(&self.failure, text.to_owned());
                self.device.destroy();
            }
            Some(_) => std::thread::sleep(LATE),
            None => {}
        }
    }

    /// Before a buffer is made.
    ///
    /// # Errors
    /// [`Error::Run`], as where memory is out.
    pub(super) fn refuse_buffer(&self, what: &str) -> Result<()> {
        match self.faults.now(&[Kind::Refuse]) {
            Some(_) => Err(self.fault(format!("{what}: out of memory (a test asked for it); try a smaller batch"))),
            None => Ok(()),
        }
    }
}
