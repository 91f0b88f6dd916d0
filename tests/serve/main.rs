//! `gatefold serve` as programs, browsers and strangers meet it. docs/tests.md says which of it has a long form.

mod answers;
#[path = "../endure/change.rs"]
mod change;
#[allow(dead_code, reason = "made for the tests of the command line, which use all of it")]
#[path = "../cli/common.rs"]
mod common;
mod hostile;
mod load;
mod page;
mod schema;
mod server;
mod webdriver;
