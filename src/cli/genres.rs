//! `gatefold genres`

use clap::Args;

use super::console;
use crate::Result;
use crate::data::source::GENRES;

/// Print the built-in table of genres, which says what a music library's tags make
///
/// To change it: gatefold genres > genres.toml, edit that, and gatefold import MUSIC --genres genres.toml
#[derive(Args)]
pub struct Arguments {}

pub fn run(_: &Arguments) -> Result<()> {
    console::print(GENRES);
    Ok(())
}
