//! `preview.png`: some covers of each class, to look at before an hour of training.

use std::io::Write;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use crate::data::set::manifest::Manifest;
use crate::data::set::pack::Pack;
use crate::file::write_atomically;
use crate::{Error, Result, font};

/// Covers shown of a class, in two rows.
const SHOWN: usize = 24;
/// Bands at most: a sheet of 2,000 classes would be 220,000 pixels high, which nobody looks at and no memory holds.
const BANDS: usize = 100;
const IN_ROW: u32 = 12;
const CELL: u32 = 72;
const GAP: u32 = 6;
const MARGIN: u32 = 16;
const SCALE: u32 = 2;
const TITLE: u32 = font::LINE * SCALE + GAP;
const BACKGROUND: [u8; 3] = [22, 22, 26];
const BRIGHT: [u8; 3] = [238, 238, 240];

/// Draws a band per class: its name, how many covers it has, and up to 24 of them, chosen by their hashes. Of more than 100
/// classes it draws 100, evenly spread over all, and says so in a last line.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if a square of the pack is damaged.
pub fn draw(manifest: &Manifest, pack: &Pack) -> Result<RgbImage> {
    let mut chosen: Vec<Vec<usize>> = vec![Vec::new(); manifest.classes.len()];
    (0..manifest.covers.len()).for_each(|i| chosen[manifest.covers[i].label].push(i));
    let (counts, all): (Vec<usize>, usize) = (chosen.iter().map(Vec::len).collect(), chosen.len());
    let bands: Vec<usize> =
        if all <= BANDS { (0..all).collect() } else { (0..BANDS).map(|band| band * all / BANDS).collect() };
    for &class in &bands {
        let covers = &mut chosen[class];
        covers.sort_by(|&a, &b| manifest.covers[a].hash.as_bytes().cmp(manifest.covers[b].hash.as_bytes()));
        covers.truncate(SHOWN);
    }
    let rows = |covers: &Vec<usize>| (covers.len() as u32).div_ceil(IN_ROW);
    let last = if all > BANDS { TITLE } else { 0 };
    let height: u32 = bands.iter().map(|&class| TITLE + rows(&chosen[class]) * (CELL + GAP) + GAP).sum::<u32>() + last;
    let mut sheet = RgbImage::from_pixel(2 * MARGIN + IN_ROW * (CELL + GAP), 2 * MARGIN + height, Rgb(BACKGROUND));
    let mut y = MARGIN;
    for (covers, class, count) in bands.iter().map(|&class| (&chosen[class], &manifest.classes[class], counts[class])) {
        font::draw(&mut sheet, MARGIN, y, SCALE, BRIGHT, &format!("{class}: {count}"));
        y += TITLE;
        for (place, &i) in covers.iter().enumerate() {
            let (column, row) = (place as u32 % IN_ROW, place as u32 / IN_ROW);
            let small = imageops::resize(&pack.picture(i)?, CELL, CELL, FilterType::CatmullRom);
            let (x, y) = (MARGIN + column * (CELL + GAP), y + row * (CELL + GAP));
            imageops::replace(&mut sheet, &small, i64::from(x), i64::from(y));
        }
        y += rows(covers) * (CELL + GAP) + GAP;
    }
    if all > BANDS {
        font::draw(&mut sheet, MARGIN, y, SCALE, BRIGHT, &format!("{BANDS} of {all} classes"));
    }
    Ok(sheet)
}

/// Writes the sheet as a PNG.
///
/// # Errors
/// As [`cannot_write`](crate::file::cannot_write) says if the file cannot be written.
pub fn write(manifest: &Manifest, pack: &Pack, path: &Path) -> Result<()> {
    let mut png = std::io::Cursor::new(Vec::new());
    draw(manifest, pack)?.write_to(&mut png, ImageFormat::Png).map_err(Error::run)?;
    write_atomically(path, |file| file.write_all(png.get_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::set::manifest::Cover;
    use crate::data::set::pack;
    use crate::data::set::strings::Strings;
    use crate::data::{Fit, Split};

    #[test]
    fn a_sheet_has_a_hundred_classes_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.pack");
        let height = |classes: usize| {
            let covers: Vec<Cover> = (0..classes)
                .map(|label| Cover {
                    strings: Strings::of("x", &[]),
                    label,
                    split: Split::Train,
                    width: 9,
                    height: 9,
                    hash: blake3::hash(&label.to_le_bytes()),
                    phash: 0,
                })
                .collect();
            let squares = (0..classes).map(|i| Ok(vec![i as u8; 3 * 16 * 16]));
            pack::write(&path, 16, Fit::Crop.into(), squares, covers.iter().map(|cover| cover.hash)).unwrap();
            let names: Vec<String> = (0..classes).map(|i| format!("class {i}")).collect();
            let manifest = Manifest { classes: names, group_columns: vec![], covers };
            draw(&manifest, &Pack::open(&path).unwrap()).unwrap().height()
        };
        let whole = height(BANDS);
        assert_eq!(whole - height(BANDS - 1), TITLE + CELL + GAP + GAP);
        assert_eq!([BANDS + 1, 2_000].map(height), [whole + TITLE; 2]);
    }
}
