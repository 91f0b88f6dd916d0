//! The program as its users meet it: exit codes, one clear error line, files, and what scripts read.

mod adapters;
mod bad_input;
mod checkpoints;
mod claims;
mod common;
mod damage;
mod explain;
mod faults;
mod feeding;
mod fine_tuning;
mod harmonise;
mod interrupted;
mod names;
mod output;
mod precision;
mod printing;
mod report;
mod training;
mod tuning;
mod weights;
