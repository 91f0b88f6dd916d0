//! Faults of a device on demand: a test cannot wait for a driver to fail at the right moment.
//!
//! `GATEFOLD_FAULT=lose:N` loses the device at the N-th submission, `abort:N` drops the N-th submission and says nothing of it,
//! `late:N` lets it end half a second late, `refuse:N` refuses the N-th buffer, `device:N` panics when a device is asked for the N-th
//! time, `crash:NAME` ends the program when a kernel with that in its name is compiled, `compile:NAME` loses the device then. Counts
//! begin at 1.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Gpu, keep_first};
use crate::{Error, Result};

/// Names the fault of a test.
const VARIABLE: &str = "GATEFOLD_FAULT";
const LATE: Duration = Duration::from_millis(500);

const KINDS: [&str; 5] = ["lose", "abort", "late", "refuse", "device"];

/// What is to go wrong, and when.
#[derive(Debug, Default)]
pub struct Faults {
    wanted: Option<(&'static str, u64)>,
    /// Part of the name of a kernel, and whether the program ends with it, or the device alone.
    kernel: Option<(String, bool)>,
    /// How often it could have gone wrong so far.
    calls: AtomicU64,
}

impl Faults {
    /// What the environment asks for; mostly nothing.
    ///
    /// # Errors
    /// [`Error::Input`] if it asks for what there is not.
    pub fn wanted() -> Result<Self> {
        let Ok(text) = std::env::var(VARIABLE) else { return Ok(Self::default()) };
        let unknown = || {
            let kinds = KINDS.map(|kind| format!("{kind}:N")).join(", ");
            Error::input(format!("{VARIABLE}={text}: there are {kinds}, crash:NAME and compile:NAME"))
        };
        let (kind, what) = text.split_once(':').ok_or_else(unknown)?;
        if kind == "crash" || kind == "compile" {
            return Ok(Self { kernel: Some((what.to_owned(), kind == "crash")), ..Self::default() });
        }
        let kind = KINDS.into_iter().find(|known| *known == kind).ok_or_else(unknown)?;
        Ok(Self { wanted: Some((kind, what.parse().map_err(|_| unknown())?)), ..Self::default() })
    }

    /// What goes wrong with this call, in which one of `kinds` can.
    fn now(&self, kinds: &[&str]) -> Option<&'static str> {
        let (kind, number) = self.wanted.filter(|(kind, _)| kinds.contains(kind))?;
        (self.calls.fetch_add(1, Ordering::Relaxed) + 1 == number).then_some(kind)
    }

    /// Before a device is asked for.
    pub(super) fn refuse_device(&self) {
        assert!(self.now(&["device"]).is_none(), "a test asked for it");
    }
}

impl Gpu {
    /// Before a submission; whether it is to be made at all.
    pub(super) fn fail_submission(&self) -> bool {
        match self.faults.now(&["lose", "abort", "late"]) {
            Some("lose") => self.lose(),
            Some("abort") => return false,
            Some(_) => std::thread::sleep(LATE),
            None => {}
        }
        true
    }

    /// Before a kernel is compiled.
    pub(super) fn fail_compilation(&self, variant: &str) {
        match &self.faults.kernel {
            Some((name, true)) if variant.contains(name) => std::process::abort(),
            Some((name, false)) if variant.contains(name) => self.lose(),
            _ => {}
        }
    }

    fn lose(&self) {
        let text = "the device was lost (a test asked for it); start again from what was saved last";
        keep_first(&self.failure, text.to_owned());
        self.device.destroy();
    }

    /// Before a buffer is made.
    ///
    /// # Errors
    /// [`Error::Run`], as where memory is out.
    pub(super) fn refuse_buffer(&self, what: &str) -> Result<()> {
        match self.faults.now(&["refuse"]) {
            Some(_) => Err(self.fault(format!("{what}: out of memory (a test asked for it); try a smaller batch"))),
            None => Ok(()),
        }
    }
}
