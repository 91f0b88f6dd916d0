//! When to look for the fastest kernels, and where what was found is kept.
//!
//! Other kernels add in another order, so they give other bits. A run therefore keeps its choices (`tune.json`), and `--resume`
//! takes them from there; and what was found is cached per adapter and driver, so that the same run again takes the same kernels.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gatefold_engine::gpu::{AdapterSummary, Gpu};
use gatefold_engine::plan::Choices;
use gatefold_engine::plan::tune::{Event, Tuner};
use gatefold_engine::tape::Tape;

use crate::Result;
use crate::file::write_atomically;
use crate::train::run::RunFolder;

/// Whether to tune.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// On GPUs. On software adapters the rule of thumb names kernels that were chosen by measurement, and trials cost more than a
    /// small training wins.
    #[default]
    OnGpus,
    Always,
    Never,
    /// Those that the run has chosen already.
    OfRun,
}

impl When {
    /// Whether kernels are tried on this adapter.
    pub fn tries(self, adapter: &AdapterSummary) -> bool {
        match self {
            Self::OnGpus => !adapter.software,
            Self::Always => true,
            Self::Never | Self::OfRun => false,
        }
    }
}

/// The time that looking for kernels may take.
pub const BUDGET: Duration = Duration::from_secs(20);

/// Between two lines of progress.
const EVERY: Duration = Duration::from_secs(2);

/// How a trainer comes to its kernels.
pub struct Tuning<'a> {
    pub when: When,
    pub budget: Duration,
    /// The folder of the cache; `None` keeps nothing beyond the run.
    pub cache: Option<PathBuf>,
    /// Hears what happens, a line at a time.
    pub say: &'a mut dyn FnMut(String),
}

/// Writes choices to a file that [`Choices::read`] reads.
///
/// # Errors
/// As [`cannot_write`](crate::file::cannot_write) says if the file cannot be written.
pub fn write(choices: &Choices, path: &Path) -> Result<()> {
    let text = choices.to_json()?;
    write_atomically(path, |file| file.write_all(text.as_bytes()))
}

impl Tuning<'_> {
    /// The choices for a run's tapes: those of the run that is resumed, else what is known of this adapter, and the rest by trial.
    pub(super) fn choices(&mut self, gpu: &Gpu, tapes: &[&Tape], run: &RunFolder) -> Result<Choices> {
        let adapter = gpu.adapter();
        if self.when == When::OfRun {
            return Ok(match Choices::read(&run.tune(), adapter) {
                Ok(choices) => choices.unwrap_or_else(|| Choices::new(adapter)),
                Err(why) => {
                    let path = run.tune();
                    (self.say)(format!("note: {} {why}; the kernels are those of the rule of thumb", path.display()));
                    Choices::new(adapter)
                }
            });
        }
        if !self.when.tries(adapter) {
            return Ok(Choices::new(adapter));
        }
        let file = self.file(gpu);
        let _alone = file.as_deref().and_then(|file| self.alone(file));
        let known = file.as_ref().map_or(Ok(None), |file| Choices::read(file, adapter));
        let known = known.unwrap_or_else(|why| {
            let name = adapter.cache_name("tune", "json");
            (self.say)(format!("note: {name} in the cache folder {why}; it is built anew"));
            None
        });
        let mut choices = known.unwrap_or_else(|| Choices::new(adapter));
        tapes.iter().try_for_each(|tape| self.search(gpu, tape, &mut choices))?;
        if let Some(file) = &file
            && let Err(e) = write(&choices, file)
        {
            (self.say)(format!("note: the choice of kernels is not cached ({e})"));
        }
        let taken = choices.of_tapes(tapes);
        write(&taken, &run.tune())?;
        Ok(taken)
    }

    /// The cache for this process alone. Another one would lose what this one finds, and disturb its clock. A crash frees it; where the file system knows no locks, nothing is lost but that.
    fn alone(&mut self, file: &Path) -> Option<File> {
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(file.with_extension("lock")).ok()?;
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            (self.say)("another gatefold is choosing kernels for this adapter; waiting for it".to_owned());
            lock.lock().ok()?;
        }
        Some(lock)
    }

    /// The cache's file, in a folder that exists.
    fn file(&mut self, gpu: &Gpu) -> Option<PathBuf> {
        let folder = self.cache.as_ref()?;
        if let Err(e) = fs::create_dir_all(folder) {
            (self.say)(format!("note: the cache folder {} cannot be made ({e})", folder.display()));
            return None;
        }
        Some(folder.join(gpu.adapter().cache_name("tune", "json")))
    }

    fn search(&mut self, gpu: &Gpu, tape: &Tape, choices: &mut Choices) -> Result<()> {
        let (start, mut said) = (Instant::now(), Instant::now());
        let say = &mut *self.say;
        let mut listen = |event| match event {
            Event::Progress { done, of } => {
                if said.elapsed() >= EVERY {
                    said = Instant::now();
                    say(format!("choosing kernels: {done} of {of} shapes"));
                }
            }
            Event::Refused { launch, variant, why } => {
                say(format!("note: kernel {variant} is not used for {launch}: {why}"))
            }
        };
        let report = Tuner { gpu, budget: self.budget, listen: &mut listen }.tune(tape, choices)?;
        if report.timed + report.unreached > 0 {
            let unreached = match report.unreached {
                0 => String::new(),
                n => format!("; {n} more take the rule of thumb, since time was up"),
            };
            let seconds = start.elapsed().as_secs_f64();
            (self.say)(format!("chose kernels for {} shapes in {seconds:.1} s{unreached}", report.timed));
        }
        Ok(())
    }
}
