//! The strip of pictures: each cover, its map by the trained network, and its map in every stage.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::MethodStages;
use crate::explain::HeatMap;
use crate::explain::render::{BACKGROUND, BRIGHT, DIM, PANEL, TEXT, fill};
use crate::font;

const CELL: u32 = 116;
const GAP: u32 = 8;
const MARGIN: u32 = 24;
const SCALE: u32 = 2;
const LINE: u32 = font::LINE * SCALE;
/// The most lines of a column's title.
const TITLE_LINES: usize = 3;

/// One picture of a strip.
pub struct StripRow {
    /// The cover as the network saw it, of any size.
    pub cover: RgbImage,
    /// The trained network's map, then that of each stage.
    pub maps: Vec<HeatMap>,
}

/// A sheet with a row for each picture and a column for each stage, the mean similarities under the columns' titles, and
/// `notes` at the foot. Where a map has no positive evidence there is an empty panel that says so.
#[must_use]
pub fn strip(rows: &[StripRow], of: &MethodStages, notes: &[&str]) -> RgbImage {
    let columns = 2 + of.stages.len() as u32;
    let width = (2 * MARGIN + columns * (CELL + GAP) - GAP).max(800);
    let letters = ((width - 2 * MARGIN) / (font::ADVANCE * SCALE)) as usize;
    let notes: Vec<String> = notes.iter().flat_map(|note| font::wrap(note, letters, 6)).collect();
    let titles = ["cover".to_owned(), "trained".to_owned()];
    let titles: Vec<String> = titles.into_iter().chain(of.stages.iter().map(|stage| stage.layers.clone())).collect();
    // Long names in small letters.
    let letters_of = |scale: u32| (CELL / (font::ADVANCE * scale)) as usize;
    let scale = if titles.iter().all(|title| title.len() <= letters_of(SCALE)) { SCALE } else { 1 };
    let titles: Vec<_> = titles.iter().map(|title| font::wrap(title, letters_of(scale), TITLE_LINES)).collect();
    let title_lines = titles.iter().map(Vec::len).max().unwrap_or(1) as u32;
    let numbers = MARGIN + LINE + GAP + title_lines * font::LINE * scale;
    let head = numbers + LINE + GAP - MARGIN;
    let body = rows.len() as u32 * (CELL + GAP);
    let height = 2 * MARGIN + head + body + GAP + notes.len() as u32 * LINE;
    let mut sheet = RgbImage::from_pixel(width, height, Rgb(BACKGROUND));
    font::draw(
        &mut sheet,
        MARGIN,
        MARGIN,
        SCALE,
        BRIGHT,
        &format!("{}: layers randomised from the head down", of.method),
    );

    let left = |column: u32| MARGIN + column * (CELL + GAP);
    let top = MARGIN + LINE + GAP;
    for (column, lines) in (0..).zip(&titles) {
        for (line, text) in (0..).zip(lines) {
            font::draw(&mut sheet, left(column), top + line * font::LINE * scale, scale, TEXT, text);
        }
    }
    font::draw(&mut sheet, left(0), numbers + (LINE - font::LINE) / 2, 1, DIM, "rank correlation:");
    for (column, stage) in (2..).zip(&of.stages) {
        font::draw(&mut sheet, left(column), numbers, SCALE, BRIGHT, &format!("{:.2}", stage.similarity.mean));
    }

    for (row, y) in rows.iter().zip((0..).map(|row| MARGIN + head + row * (CELL + GAP))) {
        let cover = imageops::resize(&row.cover, CELL, CELL, FilterType::CatmullRom);
        imageops::replace(&mut sheet, &cover, i64::from(left(0)), i64::from(y));
        for (column, map) in (1..).zip(&row.maps) {
            match map.heat_image(CELL, CELL) {
                Some(heat) => imageops::replace(&mut sheet, &heat, i64::from(left(column)), i64::from(y)),
                None => {
                    fill(&mut sheet, left(column), y, CELL, CELL, PANEL);
                    for (line, text) in (0..).zip(["no positive", "evidence"]) {
                        let x = left(column) + (CELL - font::width(text.len(), 1)) / 2;
                        font::draw(&mut sheet, x, y + CELL / 2 - font::LINE + line * font::LINE, 1, TEXT, text);
                    }
                }
            }
        }
    }
    let foot = MARGIN + head + body + GAP;
    for (line, text) in (0..).zip(&notes) {
        font::draw(&mut sheet, MARGIN, foot + line * LINE, SCALE, TEXT, text);
    }
    sheet
}
