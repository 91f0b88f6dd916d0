//! The contact sheet: each cover, its heat map, the two together, and what the network said.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::{HeatMap, colormap};
use crate::explain::CANNOT_SHOW;
use crate::font;

/// Said where a heat map would be when there is none.
pub const NO_EVIDENCE: &str = "no positive evidence";
/// Covers beyond this many are counted on the sheet, not shown.
pub const SHEET_LIMIT: usize = 120;

const CELL: u32 = 160;
const GAP: u32 = 10;
const MARGIN: u32 = 24;
/// Letters of a caption's line.
const CAPTION: u32 = 22;
const SCALE: u32 = 2;
/// Between two columns of the sheet.
const GUTTER: u32 = 36;
const HEADER: u32 = 26;
const FOOTER: u32 = 40;

pub const BACKGROUND: [u8; 3] = [22, 22, 26];
pub const PANEL: [u8; 3] = [36, 36, 42];
pub const BRIGHT: [u8; 3] = [238, 238, 240];
pub const TEXT: [u8; 3] = [190, 190, 198];
pub const DIM: [u8; 3] = [130, 130, 140];

/// One cover of a contact sheet.
#[derive(Debug, Clone)]
pub struct SheetRow {
    /// The cover as the network saw it (cropped or padded like its input), of any size.
    pub cover: RgbImage,
    /// The heat map, as it came.
    pub heat: HeatMap,
    /// Lines of text: the file's name, the predicted class with its probability, the true class if it is known.
    /// The first line stands out.
    pub caption: String,
}

/// A sheet of covers | heat maps | overlays | captions: one row for each, in one column up to six covers, in two up to
/// 24, else in three. Where a map has no positive evidence, it says so. Of more than [`SHEET_LIMIT`] rows the first are
/// shown, and the sheet tells how many there are.
#[must_use]
pub fn contact_sheet(rows: &[SheetRow]) -> RgbImage {
    let shown = &rows[..rows.len().min(SHEET_LIMIT)];
    let columns = match shown.len() {
        0..=6 => 1,
        7..=24 => 2,
        _ => 3,
    };
    let lines = (shown.len() as u32).div_ceil(columns).max(1);
    let entry = 3 * (CELL + GAP) + GAP + CAPTION * font::ADVANCE * SCALE;
    let width = 2 * MARGIN + columns * entry + (columns - 1) * GUTTER;
    let note = font::wrap(CANNOT_SHOW, ((width - 2 * MARGIN) / (font::ADVANCE * SCALE)) as usize, usize::MAX);
    let height = 2 * MARGIN + HEADER + lines * (CELL + GAP) - GAP + FOOTER + note.len() as u32 * font::LINE * SCALE;
    let mut sheet = RgbImage::from_pixel(width, height, Rgb(BACKGROUND));

    for column in 0..columns.min((shown.len() as u32).max(1)) {
        let x = MARGIN + column * (entry + GUTTER);
        for (i, title) in ["cover", "heat map", "overlay"].into_iter().enumerate() {
            font::draw(&mut sheet, x + i as u32 * (CELL + GAP), MARGIN, SCALE, DIM, title);
        }
    }
    for (i, row) in shown.iter().enumerate() {
        let (column, line) = (i as u32 / lines, i as u32 % lines);
        let x = MARGIN + column * (entry + GUTTER);
        draw_row(&mut sheet, x, MARGIN + HEADER + line * (CELL + GAP), row);
    }
    draw_footer(&mut sheet, rows.len(), &note);
    sheet
}

fn draw_row(sheet: &mut RgbImage, x: u32, y: u32, row: &SheetRow) {
    let cover = fitted(&row.cover);
    draw_cell(sheet, x, y, &cover);
    let second = x + CELL + GAP;
    let pictures = row.heat.heat_image(cover.width(), cover.height()).zip(row.heat.overlay(&cover));
    if let Some((heat, overlay)) = pictures {
        draw_cell(sheet, second, y, &heat);
        draw_cell(sheet, second + CELL + GAP, y, &overlay);
    } else {
        let panel = 2 * CELL + GAP;
        fill(sheet, second, y, panel, CELL, PANEL);
        let text = second + (panel - font::width(NO_EVIDENCE.len(), SCALE)) / 2;
        font::draw(sheet, text, y + (CELL - font::HEIGHT * SCALE) / 2, SCALE, TEXT, NO_EVIDENCE);
    }

    let text = x + 3 * (CELL + GAP) + GAP;
    let step = font::LINE * SCALE;
    let lines = font::wrap(&row.caption, CAPTION as usize, (CELL / step) as usize);
    let name = row.caption.lines().next().map_or(0, |first| font::wrap(first, CAPTION as usize, usize::MAX).len());
    for (i, line) in lines.iter().enumerate() {
        let colour = if i < name { BRIGHT } else { TEXT };
        font::draw(sheet, text, y + i as u32 * step, SCALE, colour, line);
    }
}

/// What the colours mean, that each map has its own scale, and what no map can show.
fn draw_footer(sheet: &mut RgbImage, rows: usize, note: &[String]) {
    const BAR: u32 = 160;
    let step = font::LINE * SCALE;
    let foot = sheet.height() - MARGIN - note.len() as u32 * step;
    for (line, text) in (0..).zip(note) {
        font::draw(sheet, MARGIN, foot + line * step + GAP, SCALE, DIM, text);
    }
    let y = foot - font::HEIGHT * SCALE;
    let colour = |x: u32| Rgb(colormap::heat(x as f32 / (BAR - 1) as f32));
    let bar = RgbImage::from_fn(BAR, font::HEIGHT * SCALE, |x, _| colour(x));
    fill(sheet, MARGIN - 1, y - 1, BAR + 2, bar.height() + 2, DIM);
    imageops::replace(sheet, &bar, i64::from(MARGIN), i64::from(y));
    let mut text = "0 to each map's own maximum; line: half of it".to_owned();
    if rows > SHEET_LIMIT {
        text = format!("{text}; the first {SHEET_LIMIT} of {rows} covers");
    }
    font::draw(sheet, MARGIN + BAR + GAP, y, SCALE, DIM, &text);
}

/// The picture in the middle of its cell; what is left of the cell is a panel.
fn draw_cell(sheet: &mut RgbImage, x: u32, y: u32, picture: &RgbImage) {
    fill(sheet, x, y, CELL, CELL, PANEL);
    let left = x + (CELL - picture.width()) / 2;
    let top = y + (CELL - picture.height()) / 2;
    imageops::replace(sheet, picture, i64::from(left), i64::from(top));
}

pub fn fill(sheet: &mut RgbImage, x: u32, y: u32, width: u32, height: u32, colour: [u8; 3]) {
    let panel = RgbImage::from_pixel(width, height, Rgb(colour));
    imageops::replace(sheet, &panel, i64::from(x), i64::from(y));
}

/// Scaled to fit a cell, keeping its proportions.
fn fitted(cover: &RgbImage) -> RgbImage {
    let (width, height) = cover.dimensions();
    let longest = f64::from(width.max(height).max(1));
    let scaled = |side: u32| ((f64::from(side) * f64::from(CELL) / longest).round() as u32).clamp(1, CELL);
    if width == 0 || height == 0 {
        return RgbImage::from_pixel(CELL, CELL, Rgb(PANEL));
    }
    imageops::resize(cover, scaled(width), scaled(height), FilterType::CatmullRom)
}
