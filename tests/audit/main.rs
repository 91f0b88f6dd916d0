//! The audit: does it find what was planted, nothing where nothing is, and say so with the right exit code?

mod command;
mod pictures;
mod planted;
