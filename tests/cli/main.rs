//! The program as its users meet it: exit codes, one clear error line, files, and what scripts read.

mod adapters;
#[allow(dead_code, reason = "made for the tests of imports, which use all of it")]
#[path = "../import/audio.rs"]
mod audio;
mod bad_input;
mod checkpoints;
mod claims;
mod common;
mod damage;
mod explain;
mod export;
mod faults;
mod feeding;
mod fine_tuning;
mod harmonise;
mod hub;
mod interrupted;
mod labels;
mod names;
mod optimizer;
mod output;
mod precision;
mod predict;
mod printing;
mod report;
mod search;
mod similar;
mod together;
mod training;
mod tuning;
mod weights;
mod wrong_labels;
