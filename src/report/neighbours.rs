//! A sheet of covers, and beside each those that are like it.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::font;

/// The side of a cover on the sheet, in pixels.
pub const CELL: u32 = 160;
const GAP: u32 = 10;
const MARGIN: u32 = 24;
/// Between a cover and those like it.
const GUTTER: u32 = 28;
/// Covers beside each other; more go into further lines.
pub const ACROSS: usize = 12;
/// Lines of a name.
const NAME: usize = 2;
const TEXT: u32 = font::LINE * 2 + (1 + NAME as u32) * font::LINE;

const BACKGROUND: Rgb<u8> = Rgb([22, 22, 26]);
const PANEL: Rgb<u8> = Rgb([36, 36, 42]);
const BRIGHT: [u8; 3] = [238, 238, 240];
const PLAIN: [u8; 3] = [190, 190, 198];
const DIM: [u8; 3] = [130, 130, 140];

/// A cover with what is written below it.
pub struct Cell {
    /// None if it cannot be read any more.
    pub picture: Option<RgbImage>,
    /// A number, in large letters.
    pub number: String,
    pub label: String,
    pub name: String,
}

/// A cover, and those like it.
pub struct Line {
    pub asked: Cell,
    pub nearest: Vec<Cell>,
}

/// The sheet, with a note at its foot.
pub fn sheet(lines: &[Line], note: &str) -> RgbImage {
    let across = lines.iter().map(|line| line.nearest.len()).max().unwrap_or(0).clamp(1, ACROSS) as u32;
    let rows = |line: &Line| line.nearest.len().div_ceil(ACROSS).max(1) as u32;
    let step = CELL + TEXT + GAP;
    let width = 2 * MARGIN + CELL + GUTTER + across * (CELL + GAP);
    let height = 2 * MARGIN + lines.iter().map(rows).sum::<u32>() * step + 2 * font::LINE;
    let mut sheet = RgbImage::from_pixel(width, height, BACKGROUND);
    let mut y = MARGIN;
    for line in lines {
        draw(&mut sheet, MARGIN, y, &line.asked);
        for (i, cell) in line.nearest.iter().enumerate() {
            let (column, row) = ((i % ACROSS) as u32, (i / ACROSS) as u32);
            draw(&mut sheet, MARGIN + CELL + GUTTER + column * (CELL + GAP), y + row * step, cell);
        }
        y += rows(line) * step;
    }
    font::draw(&mut sheet, MARGIN, y + font::LINE, 1, DIM, &plain(note));
    sheet
}

fn draw(sheet: &mut RgbImage, x: u32, y: u32, cell: &Cell) {
    let picture = cell.picture.as_ref().map_or_else(
        || RgbImage::from_pixel(CELL, CELL, PANEL),
        |picture| imageops::resize(picture, CELL, CELL, FilterType::CatmullRom),
    );
    imageops::replace(sheet, &picture, i64::from(x), i64::from(y));
    let characters = |scale: u32| ((CELL + GAP) / (font::ADVANCE * scale)) as usize - 1;
    let text = y + CELL + 4;
    for line in font::wrap(&plain(&cell.number), characters(2), 1) {
        font::draw(sheet, x, text, 2, BRIGHT, &line);
    }
    let label = font::wrap(&plain(&cell.label), characters(1), 1).into_iter().map(|line| (line, BRIGHT));
    let name = font::wrap(&plain(&cell.name), characters(1), NAME).into_iter().map(|line| (line, PLAIN));
    for (i, (line, colour)) in (0..).zip(label.chain(name)) {
        font::draw(sheet, x, text + 2 * font::LINE - 2 + i * font::LINE, 1, colour, &line);
    }
}

/// Without accents and line breaks: the letters of pictures are ASCII.
fn plain(text: &str) -> String {
    text.nfkd().filter(|c| !is_combining_mark(*c) && !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(grey: u8) -> Cell {
        Cell {
            picture: Some(RgbImage::from_pixel(32, 32, Rgb([grey; 3]))),
            number: "0.99".into(),
            label: "Jazz".into(),
            name: "Ünïcode".into(),
        }
    }

    #[test]
    fn covers_stand_beside_the_one_that_was_looked_for() {
        let line = |count: usize| Line { asked: cell(200), nearest: (0..count).map(|_| cell(90)).collect() };
        let sheet = sheet(&[line(2), line(14), line(0)], "note");
        let width = 2 * MARGIN + CELL + GUTTER + 12 * (CELL + GAP);
        assert_eq!((sheet.width(), sheet.height()), (width, 2 * MARGIN + 4 * (CELL + TEXT + GAP) + 2 * font::LINE));
        let middle = |x: u32, row: u32| sheet[(x + CELL / 2, MARGIN + row * (CELL + TEXT + GAP) + CELL / 2)];
        let right = MARGIN + CELL + GUTTER;
        assert_eq!((middle(MARGIN, 0), middle(right + CELL + GAP, 0)), (Rgb([200; 3]), Rgb([90; 3])));
        // The second line of the second cover, and a cover without any.
        assert_eq!((middle(right + CELL + GAP, 2), middle(right + 2 * (CELL + GAP), 2)), (Rgb([90; 3]), BACKGROUND));
        assert_eq!((middle(MARGIN, 3), middle(right, 3)), (Rgb([200; 3]), BACKGROUND));
        assert_eq!(plain("Ünïcode\n"), "Unicode");
    }
}
