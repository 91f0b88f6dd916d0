//! Heat maps of a list of pictures, written to a folder: `NAME.heat.png`, `NAME.overlay.png`, one contact sheet, one JSON.

use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use serde::Serialize;

use super::Explainer;
use super::render::{SheetRow, contact_sheet};
use crate::data::write_atomically;
use crate::train::model::Model;
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
    pub path: PathBuf,
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
    /// The raw map, row by row.
    pub values: Vec<f32>,
    pub heat_map: Option<PathBuf>,
    pub overlay: Option<PathBuf>,
}

/// Explains pictures (RGB bytes, the model's picture size squared x 3) and writes everything to `out`.
///
/// # Errors
/// [`Error::Input`] if there is no such class or layer, [`Error::Run`] if a file cannot be written.
pub fn write(
    model: &Model,
    paths: &[&Path],
    pictures: &[Vec<u8>],
    class: Option<&str>,
    layer: Option<&str>,
    out: &Path,
    progress: &dyn Fn(usize, usize),
) -> Result<Vec<Record>> {
    let labels = &model.header.labels;
    let class = class.map(|name| {
        let place = labels.iter().position(|label| label == name);
        place.ok_or_else(|| {
            Error::input(format!("--class {name}: there is no such class; there are: {}", labels.join(", ")))
        })
    });
    let class = class.transpose()?;
    let mut explainer = Explainer::new(model, layer)?;
    std::fs::create_dir_all(out).map_err(|e| Error::input(format!("--out {}: cannot be made ({e})", out.display())))?;
    let (size, square, mut names) = (model.size(), model.picture_size(), HashSet::new());
    let side = size.max(LEAST_SIDE);
    let (mut records, mut rows) = (vec![], vec![]);
    for (done, (path, picture)) in paths.iter().zip(pictures).enumerate() {
        let explanation = explainer.explain(picture, class)?;
        let cover = RgbImage::from_raw(square, square, picture.clone())
            .ok_or_else(|| Error::run("a picture of another size"))?;
        // What the network sees of it.
        let edge = (square - size) / 2;
        let cover = image::imageops::crop_imm(&cover, edge, edge, size, size);
        let cover = image::imageops::resize(&*cover, side, side, image::imageops::FilterType::CatmullRom);
        let name = unique_name(path, &mut names);
        let save = |ending: &str, image: Option<RgbImage>| {
            let file = out.join(format!("{name}.{ending}.png"));
            image.map(|image| save_png(&file, &image).map(|()| file)).transpose()
        };
        let heat = &explanation.heat;
        let probability = explanation.probabilities[explanation.class];
        let record = Record {
            path: path.to_path_buf(),
            layer: explanation.layer.clone(),
            resolution: [heat.width(), heat.height()],
            class: labels[explanation.class].clone(),
            predicted: labels[explanation.predicted].clone(),
            probability,
            score: explanation.score,
            evidence: heat.normalised().is_some(),
            peak: heat.peak(size, size).map_or([0, 0], |(x, y)| [x, y]),
            values: heat.values().to_vec(),
            heat_map: save("heat", heat.heat_image(side, side))?,
            overlay: save("overlay", heat.overlay(&cover))?,
        };
        let caption = format!("{name}\n{} {:.1} %\n{}", record.class, 100.0 * probability, record.layer);
        rows.push(SheetRow { cover, heat: explanation.heat, caption });
        records.push(record);
        progress(done + 1, paths.len());
    }
    save_png(&out.join(SHEET), &contact_sheet(&rows))?;
    let json = serde_json::to_string_pretty(&records).map_err(Error::run)?;
    write_atomically(&out.join(NUMBERS), |file| writeln!(file, "{json}"))?;
    Ok(records)
}

fn save_png(path: &Path, image: &RgbImage) -> Result<()> {
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
