//! Of a build without the feature `mpi`: there is no link, so all processes are by themselves.

use std::sync::mpsc::Receiver;

use super::collective::Wire;
use super::{Peer, Say};
use crate::{Error, Result};

/// There is none.
pub enum Link {}

impl Link {
    /// # Errors
    /// Always: this build has no MPI.
    pub fn open(_: Say) -> Result<(Self, usize, usize, String)> {
        Err(Error::input(format!(
            "started {} times at once, and built without MPI: build it with --features mpi, or start it without mpirun",
            super::launch::size()
        )))
    }

    pub fn run<T: Send + 'static>(&self, _: impl FnOnce(&mut dyn Wire) -> T + Send + 'static) -> T {
        match *self {}
    }

    pub fn begin<T: Send + 'static>(&self, _: impl FnOnce(&mut dyn Wire) -> T + Send + 'static) -> Receiver<T> {
        match *self {}
    }

    pub fn know(&self, _: Vec<Peer>) {
        match *self {}
    }

    pub fn fail(&self, _: String, _: u8) -> ! {
        match *self {}
    }

    pub fn finish(&self) {
        match *self {}
    }
}
