//! `gatefold sample`: a small labelled set of album covers drawn by our own code.
//!
//! Each genre has a motif of its own, the *evidence*, somewhere on the cover; its bounding box is in the table.
//! Everything else (background, colours, lettering, stickers, wear) is drawn without knowledge of the genre.
//! So a network can learn the genres from shape only, and a heat map can be checked: we know where to look.

mod background;
mod cover;
mod dice;
mod layout;
mod letters;
mod motifs;
mod names;
mod palette;
mod pen;
mod print;
mod wear;

use std::fs;
use std::path::{Path, PathBuf};

use cover::{PixelBox, Sleeve};
use motifs::GENRES;
use names::{Names, discographies};
use rayon::prelude::*;

use crate::claim::make_folder;
use crate::file::cannot_write;
use crate::{Error, Result};

/// The table's name inside the sample's folder.
pub const TABLE: &str = "covers.csv";

/// The table's columns. The box is in pixels of the picture, from its top left corner.
pub const COLUMNS: [&str; 8] = ["path", "genre", "artist", "album", "box_x", "box_y", "box_w", "box_h"];

/// Covers of one genre.
pub const MAX_PER_GENRE: usize = 1000;
/// Sides of covers in pixels.
pub const SIZES: std::ops::RangeInclusive<u32> = 48..=1024;

/// How large a sample, and which one.
#[derive(Clone, Debug)]
pub struct SampleOptions {
    /// Covers per genre, 1 to 1000.
    pub per_genre: usize,
    /// Side of the square covers in pixels, 48 to 1024.
    pub size: u32,
    /// Another seed makes other covers.
    pub seed: u64,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self { per_genre: 72, size: 128, seed: 0 }
    }
}

/// What [`write()`] made.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Covers in all.
    pub covers: usize,
    /// The genres, which are the folders' names, in alphabetical order.
    pub genres: Vec<&'static str>,
    /// The table of all covers.
    pub csv: PathBuf,
}

/// Writes `out/<Genre>/<nnn>.png` and `out/covers.csv` ([`COLUMNS`]; paths are relative to `out`).
///
/// The same options give the same bytes. An earlier sample in `out` is written over; a folder that holds
/// anything else is refused, and nothing is ever deleted.
pub fn write(out: &Path, options: &SampleOptions) -> Result<Summary> {
    check_options(options)?;
    let jobs = plan(options);
    check_folder(out, options)?;
    for (genre, _) in GENRES {
        make_folder(&out.join(genre))?;
    }
    // The heading goes first: it marks the folder as ours, should we be interrupted.
    let csv = out.join(TABLE);
    write_file(&csv, &table(&[])?)?;
    let boxes: Vec<PixelBox> = jobs.par_iter().map(|job| job.write(out, options.size)).collect::<Result<_>>()?;
    let rows: Vec<(&Job, PixelBox)> = jobs.iter().zip(boxes).collect();
    write_file(&csv, &table(&rows)?)?;
    Ok(Summary { covers: jobs.len(), genres: GENRES.iter().map(|g| g.0).collect(), csv })
}

/// One cover to draw.
struct Job {
    genre: usize,
    number: usize,
    sleeve: Sleeve,
}

/// All covers, genre by genre. A larger sample begins with the covers of a smaller one of the same seed.
fn plan(options: &SampleOptions) -> Vec<Job> {
    let names = Names::new(options.seed);
    let artists = discographies(options.seed, options.per_genre);
    let all = GENRES.len();
    let of_genre = |genre| {
        let (names, artists) = (&names, &artists);
        (0..options.per_genre).map(move |number| Job {
            genre,
            number,
            sleeve: Sleeve {
                seed: options.seed,
                serial: (number * all + genre) as u64,
                artist: names.artist(artists[number] * all + genre),
                album: names.album(number * all + genre),
            },
        })
    };
    (0..all).flat_map(of_genre).collect()
}

impl Job {
    /// The picture's path inside the sample, with forward slashes everywhere.
    fn path(&self) -> String {
        format!("{}/{}", GENRES[self.genre].0, file_name(self.number))
    }

    fn write(&self, out: &Path, size: u32) -> Result<PixelBox> {
        let path = out.join(self.path());
        let (picture, found) = cover::draw(&self.sleeve, Some(self.genre), size)?;
        let mut png = std::io::Cursor::new(Vec::new());
        picture
            .write_to(&mut png, image::ImageFormat::Png)
            .map_err(|e| Error::run(format!("{}: cannot encode: {e}", path.display())))?;
        write_file(&path, png.get_ref())?;
        found.ok_or_else(|| Error::run(format!("{}: no evidence was drawn", path.display())))
    }
}

fn file_name(number: usize) -> String {
    format!("{number:03}.png")
}

fn table(rows: &[(&Job, PixelBox)]) -> Result<Vec<u8>> {
    let fail = |e: csv::Error| Error::run(format!("{TABLE}: {e}"));
    let mut csv = csv::Writer::from_writer(Vec::new());
    csv.write_record(COLUMNS).map_err(fail)?;
    for (job, b) in rows {
        let (path, genre) = (job.path(), GENRES[job.genre].0);
        let Sleeve { artist, album, .. } = &job.sleeve;
        csv.serialize((path, genre, artist, album, b.x, b.y, b.w, b.h)).map_err(fail)?;
    }
    csv.into_inner().map_err(|e| Error::run(format!("{TABLE}: {e}")))
}

fn check_options(options: &SampleOptions) -> Result<()> {
    let SampleOptions { per_genre, size, .. } = options;
    if !(1..=MAX_PER_GENRE).contains(per_genre) {
        return Err(Error::input(format!(
            "{per_genre} covers per genre cannot be drawn: ask for 1 to {MAX_PER_GENRE}"
        )));
    }
    if !SIZES.contains(size) {
        return Err(Error::input(format!(
            "covers of {size} pixels cannot be drawn: ask for {} to {}",
            SIZES.start(),
            SIZES.end()
        )));
    }
    Ok(())
}

/// Refuses a folder that holds anything we would mix with: only an earlier sample may be written over.
fn check_folder(out: &Path, options: &SampleOptions) -> Result<()> {
    let refuse = |path: &Path, cause: &str| {
        Err(Error::input(format!("{}: {cause}; name a new or empty folder", path.display())))
    };
    if out.as_os_str().is_empty() {
        return Err(Error::input("the sample's folder has no name; name a new or empty folder"));
    }
    if !out.exists() {
        return Ok(());
    }
    if !out.is_dir() {
        return make_folder(out);
    }
    if list(out)?.is_empty() {
        return Ok(());
    }
    if !is_sample(out) {
        return refuse(out, "is not empty and holds no earlier sample");
    }
    // A larger earlier sample would leave pictures behind that the new table does not know.
    for (genre, _) in GENRES {
        let folder = out.join(genre);
        if !folder.exists() {
            continue;
        }
        let ours = |name: &String| (0..options.per_genre).any(|i| *name == file_name(i));
        if let Some(other) = list(&folder)?.iter().find(|name| !ours(name)) {
            return refuse(&folder.join(other), "would not belong to the new sample");
        }
    }
    Ok(())
}

/// Whether the folder's table has our heading.
fn is_sample(out: &Path) -> bool {
    csv::Reader::from_path(out.join(TABLE))
        .and_then(|mut table| Ok(table.headers()?.iter().eq(COLUMNS)))
        .unwrap_or(false)
}

/// The names in a folder, sorted.
fn list(folder: &Path) -> Result<Vec<String>> {
    let fail = |e: std::io::Error| cannot_write(folder, &e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        names.push(entry.map_err(fail)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| cannot_write(path, &e))
}

#[cfg(test)]
mod tests;
