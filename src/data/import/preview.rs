//! `preview.png`: some covers of each class, to look at before an hour of training.

use std::io::Write;
use std::path::Path;

use gatefold_engine::file::write_atomically;
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::data::set::manifest::Manifest;
use crate::data::set::pack::Pack;
use crate::{Error, Result, font};

/// Covers shown of a class, in two rows.
const SHOWN: usize = 24;
const IN_ROW: u32 = 12;
const CELL: u32 = 72;
const GAP: u32 = 6;
const MARGIN: u32 = 16;
const SCALE: u32 = 2;
const TITLE: u32 = font::LINE * SCALE + GAP;
const BACKGROUND: [u8; 3] = [22, 22, 26];
const BRIGHT: [u8; 3] = [238, 238, 240];

/// Draws a band per class: its name, how many covers it has, and up to 24 of them, chosen by their hashes.
pub fn draw(manifest: &Manifest, pack: &Pack) -> RgbImage {
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new(); manifest.classes.len()];
    (0..manifest.covers.len()).for_each(|i| chosen[manifest.covers[i].label].push(i));
    let counts: Vec<usize> = chosen.iter().map(Vec::len).collect();
    for covers in &mut chosen {
        covers.sort_by(|&a, &b| manifest.covers[a].hash.as_bytes().cmp(manifest.covers[b].hash.as_bytes()));
        covers.truncate(SHOWN);
    }
    let rows = |covers: &Vec<usize>| (covers.len() as u32).div_ceil(IN_ROW);
    let height: u32 = chosen.iter().map(|covers| TITLE + rows(covers) * (CELL + GAP) + GAP).sum();
    let mut sheet = RgbImage::from_pixel(2 * MARGIN + IN_ROW * (CELL + GAP), 2 * MARGIN + height, Rgb(BACKGROUND));
    let mut y = MARGIN;
    for ((covers, class), count) in chosen.iter().zip(&manifest.classes).zip(counts) {
        font::draw(&mut sheet, MARGIN, y, SCALE, BRIGHT, &format!("{class}: {count}"));
        y += TITLE;
        for (place, &i) in covers.iter().enumerate() {
            let (column, row) = (place as u32 % IN_ROW, place as u32 / IN_ROW);
            let Some(cover) = RgbImage::from_raw(pack.size(), pack.size(), pack.image(i).to_vec()) else { continue };
            let small = imageops::resize(&cover, CELL, CELL, FilterType::CatmullRom);
            let (x, y) = (MARGIN + column * (CELL + GAP), y + row * (CELL + GAP));
            imageops::replace(&mut sheet, &small, i64::from(x), i64::from(y));
        }
        y += rows(covers) * (CELL + GAP) + GAP;
    }
    sheet
}

/// Writes the sheet as a PNG.
///
/// # Errors
/// As [`cannot_write`](gatefold_engine::file::cannot_write) says if the file cannot be written.
pub fn write(manifest: &Manifest, pack: &Pack, path: &Path) -> Result<()> {
    let mut png = std::io::Cursor::new(Vec::new());
    draw(manifest, pack).write_to(&mut png, ImageFormat::Png).map_err(Error::run)?;
    write_atomically(path, |file| file.write_all(png.get_ref()))
}
