//! Heat maps of a list of pictures, written to a folder: `NAME.METHOD.heat.png`, `NAME.METHOD.overlay.png`, if wanted
//! `NAME.METHOD.original.png`, one contact sheet, one JSON.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use serde::Serialize;

use super::render::{SheetRow, contact_sheet};
use super::{CANNOT_SHOW, Explainer, Method, Question};
use crate::claim::make_folder;
use crate::data::picture::fit::{Region, centred, hundredths};
use crate::data::picture::{Picture, load_rgb};
use crate::file::write_atomically;
use crate::hint::did_you_mean;
use crate::score::model::Model;
use crate::weights::Header;
use crate::{Error, Result};

/// The contact sheet's file name.
pub const SHEET: &str = "contact-sheet.png";
/// The numbers' file name.
pub const NUMBERS: &str = "explain.json";

/// Maps and overlays are drawn at this many pixels a side, or at the network's own size where that is larger.
const LEAST_SIDE: u32 = 256;

/// What `explain.json` says of a picture.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    #[serde(serialize_with = "crate::shown::path")]
    pub path: PathBuf,
    pub method: Method,
    pub layer: String,
    /// Cells of the map: width and height.
    pub resolution: [usize; 2],
    pub class: String,
    pub predicted: String,
    /// Of `class`.
    pub probability: f32,
    /// Of `class`, before softmax or sigmoid.
    pub score: f32,
    /// False where the map has no positive evidence; then there is no picture of it, and no peak.
    pub evidence: bool,
    /// The hottest place, in pixels of the network's input (from the top left corner).
    pub peak: [u32; 2],
    /// The picture as it was given, and where in it the map lies.
    pub original: Original,
    /// The raw map, row by row.
    pub values: Vec<f32>,
    pub heat_map: Option<PathBuf>,
    pub overlay: Option<PathBuf>,
    /// The overlay on the picture at its own resolution, if it was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_overlay: Option<PathBuf>,
    /// What a heat map cannot show.
    pub cannot_show: &'static str,
}

/// A picture before it was made a square: as its file has it, turned upright. In its pixels, from its top left corner.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Original {
    pub width: u32,
    pub height: u32,
    /// What the network sees of it, and what the map covers. Of a padded picture it goes beyond the edges, so `x` or `y` is
    /// negative.
    pub square: Region,
    /// The middle of the hottest place; none without evidence. It may lie in the padding, outside the picture.
    pub peak: Option<[f64; 2]>,
}

impl Original {
    fn of(model: &Model, picture: &Picture, peak: Option<(u32, u32)>) -> Self {
        let (width, height) = (picture.width, picture.height);
        let (size, whole) = (model.size(), model.picture_size());
        let square = model.pipeline().region(width, height, whole).inner(size, whole);
        let place = |start: f64, length: f64, pixel: u32| start + (f64::from(pixel) + 0.5) / f64::from(size) * length;
        let peak =
            peak.map(|(x, y)| [place(square.x, square.width, x), place(square.y, square.height, y)].map(hundredths));
        Self { width, height, square: square.rounded(), peak }
    }
}

/// The number of a class.
///
/// # Errors
/// [`Error::Input`] if there is no such class.
pub fn class_of(model: &Model, name: &str) -> Result<usize> {
    let labels = &model.header.labels;
    let place = labels.iter().position(|label| label == name);
    place.ok_or_else(|| {
        let hint = did_you_mean(name, labels);
        Error::input(format!("--class {name}: there is no such class{hint}; there are: {}", labels.join(", ")))
    })
}

/// What a network sees of a picture (RGB bytes, [`Header::picture_size`] squared x 3): its centre.
///
/// # Errors
/// If the picture has another size.
pub fn seen(header: &Header, picture: &[u8]) -> Result<RgbImage> {
    let [square, size] = [header.picture_size(), header.net.size].map(|pixels| pixels as u32);
    let whole = RgbImage::from_raw(square, square, picture.to_vec());
    let whole = whole.ok_or_else(|| Error::run("a picture of another size"))?;
    let edge = centred(square, size);
    Ok(image::imageops::crop_imm(&whole, edge, edge, size, size).to_image())
}

/// Explains pictures, squares of the model's picture size, by each of the methods and writes everything to `out`. With `original`
/// the overlays on the pictures at their own resolution too, for which their files are read again.
///
/// # Errors
/// [`Error::Input`] if there is no such layer, or its map is a single cell, or a picture's file cannot be read any more;
/// As [`cannot_write`](crate::file::cannot_write) says if a file cannot be written.
pub fn write(
    model: &Model,
    question: &Question,
    pictures: &[(&Path, Picture)],
    original: bool,
    out: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<Record>> {
    let labels = &model.header.labels;
    let mut explainer = Explainer::with_methods(model, question.methods, question.layer)?;
    make_folder(out)?;
    let (size, mut names) = (model.size(), HashSet::new());
    let side = size.max(LEAST_SIDE);
    let (mut records, mut rows) = (vec![], vec![]);
    for (done, (path, picture)) in pictures.iter().enumerate() {
        let pixels = picture.pixels.as_raw();
        let full = original.then(|| load_rgb(path)).transpose();
        let full = full.map_err(|e| Error::input(format!("{}: {e}", path.display())))?;
        let cover =
            image::imageops::resize(&seen(&model.header, pixels)?, side, side, image::imageops::FilterType::CatmullRom);
        let name = unique_name(path, &mut names);
        for explanation in explainer.explain_each(pixels, question.class)? {
            let method = explanation.method;
            let save = |ending: &str, image: Option<RgbImage>| {
                let file = out.join(format!("{name}.{method}.{ending}.png"));
                image.map(|image| save_png(&file, &image).map(|()| file)).transpose()
            };
            let heat = &explanation.heat;
            let probability = explanation.probabilities[explanation.class];
            let peak = heat.peak(size, size);
            let of_original = Original::of(model, picture, peak);
            let on_original = full.as_ref().and_then(|full| heat.overlay_within(full, of_original.square));
            let record = Record {
                path: (*path).to_owned(),
                method,
                layer: explanation.layer.clone(),
                resolution: [heat.width(), heat.height()],
                class: labels[explanation.class].clone(),
                predicted: labels[explanation.predicted].clone(),
                probability,
                score: explanation.score,
                evidence: heat.normalised().is_some(),
                peak: peak.map_or([0, 0], |(x, y)| [x, y]),
                original: of_original,
                values: heat.values().to_vec(),
                heat_map: save("heat", heat.heat_image(side, side))?,
                overlay: save("overlay", heat.overlay(&cover))?,
                original_overlay: save("original", on_original)?,
                cannot_show: CANNOT_SHOW,
            };
            let (class, percent) = (&record.class, 100.0 * probability);
            let caption = format!("{name}\n{class} {percent:.1} %\n{method}\n{}", record.layer);
            rows.push(SheetRow { cover: cover.clone(), heat: explanation.heat, caption });
            records.push(record);
        }
        progress(done + 1, pictures.len());
    }
    save_png(&out.join(SHEET), &contact_sheet(&rows))?;
    let json = serde_json::to_string_pretty(&records).map_err(Error::run)?;
    write_atomically(&out.join(NUMBERS), |file| writeln!(file, "{json}"))?;
    Ok(records)
}

/// Writes a picture.
pub fn save_png(path: &Path, image: &RgbImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(vec![]);
    let fault = |e: image::ImageError| Error::run(format!("{}: cannot be drawn ({e})", path.display()));
    image.write_to(&mut bytes, ImageFormat::Png).map_err(fault)?;
    write_atomically(path, |file| file.write_all(bytes.get_ref()))
}

/// The picture's name without its ending, with its folder's or a number where two are called the same.
fn unique_name(path: &Path, taken: &mut HashSet<String>) -> String {
    let part = |part: Option<&std::ffi::OsStr>| part.map(|s| s.to_string_lossy().into_owned());
    let stem = part(path.file_stem()).unwrap_or_else(|| "picture".to_owned());
    let folder = part(path.parent().and_then(Path::file_name)).unwrap_or_default();
    let candidates = [stem.clone(), format!("{folder}-{stem}")];
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let name = candidates.into_iter().chain(numbered).find(|name| !taken.contains(name)).unwrap_or(stem);
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_name_get_names_of_their_own() {
        let mut taken = HashSet::new();
        let names: Vec<_> =
            ["a/x.png", "b/x.png", "b/x.jpg"].iter().map(|path| unique_name(Path::new(path), &mut taken)).collect();
        assert_eq!(names, ["x", "b-x", "x-2"]);
    }
}
