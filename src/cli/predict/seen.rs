//! What was read of what was named, and what not: the list on stderr, and the exit code.

use crate::shown::path_text;

use crate::cli::console;
use crate::data::{Item, Skipped};
use crate::{Error, Result};

/// What was read so far, and what not.
#[derive(Default)]
pub struct Seen {
    pub count: usize,
    bad: usize,
    /// The first of them.
    first: Vec<Skipped>,
    /// Those that a user named, and the first of them.
    named: usize,
    first_named: Option<Skipped>,
}

impl Seen {
    pub fn add(&mut self, item: &Item, fault: Option<&String>) {
        self.count += 1;
        let Some(reason) = fault else { return };
        self.bad += 1;
        let skipped = Skipped { path: path_text(&item.path), reason: reason.clone() };
        if item.named {
            self.named += 1;
            self.first_named.get_or_insert_with(|| skipped.clone());
        }
        if self.first.len() < console::LISTED {
            self.first.push(skipped);
        }
    }

    pub fn is_nothing_good(&self) -> bool {
        self.bad == self.count
    }

    /// Lists what could not be read.
    pub fn tell(&self) {
        console::skipped_of(&self.first, self.bad);
    }

    /// Lists what could not be read; an error if a user named some of it, or if there was nothing else.
    pub fn end(self) -> Result<()> {
        if self.is_nothing_good() {
            return Err(nothing_left(self.first.first(), self.bad));
        }
        self.tell();
        match self.first_named {
            None => Ok(()),
            Some(Skipped { path, reason }) => {
                let more = more_like_it(self.named);
                Err(Error::input(format!("{path}: {reason}{more}; all others are answered")))
            }
        }
    }
}

fn more_like_it(count: usize) -> String {
    if count > 1 { format!(", and {} more like it", count - 1) } else { String::new() }
}

/// The error where no picture can be read, of so many.
pub fn nothing_left(first: Option<&Skipped>, count: usize) -> Error {
    match first {
        None => Error::input("no picture to predict: the list is empty; name at least one"),
        Some(Skipped { path, reason }) => {
            Error::input(format!("{path}: {reason}{}; no picture is left", more_like_it(count)))
        }
    }
}
