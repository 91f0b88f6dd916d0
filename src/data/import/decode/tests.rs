//! Killed calls, other files, absurd shapes.

use image::Rgb;

use super::*;
use crate::data::Fit;

fn sources(dir: &Path, count: u8) -> Vec<PathBuf> {
    (0..count)
        .map(|i| {
            let path = dir.join(format!("{i:02}.png"));
            RgbImage::from_fn(9, 7, |x, y| Rgb([i, x as u8 * 20, y as u8 * 30])).save(&path).unwrap();
            path
        })
        .collect()
}

/// The finished packs of both sizes, and how many files the call had to read.
fn packs(sources: &[PathBuf], work: &Path, out: &Path) -> (Vec<Vec<u8>>, usize) {
    let first = AtomicUsize::new(usize::MAX);
    let sizes = [4, 6];
    let decoded = decode(sources, &sizes, Fit::Crop, work, &|done, _| {
        first.fetch_min(done, Ordering::Relaxed);
    })
    .unwrap();
    let infos: Vec<&PictureInfo> = decoded.pictures.iter().flatten().collect();
    let slots: Vec<u32> = (0..infos.len() as u32).collect();
    let pack = |place: usize| {
        decoded.finish(place, &slots, infos.iter().map(|info| info.hash), out).unwrap();
        fs::read(out).unwrap()
    };
    ((0..sizes.len()).map(pack).collect(), sources.len() - first.into_inner())
}

#[test]
fn a_killed_call_is_taken_up_where_it_stopped_and_ends_in_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = sources(dir.path(), 20);
    sources.insert(3, dir.path().join("missing.png"));
    let (work, out) = (dir.path().join("work"), dir.path().join("out"));
    let (whole, read) = packs(&sources, &dir.path().join("other"), &out);
    assert_eq!(read, 21);

    // A call for the first half stands for one that was killed there; then its files are torn in different places.
    for torn in 0..4 {
        let _ = fs::remove_dir_all(&work);
        decode(&sources[..11], &[4, 6], Fit::Crop, &work, &|_, _| {}).unwrap();
        let tear = |name: &str, keep: usize| {
            let bytes = fs::read(work.join(name)).unwrap();
            fs::write(work.join(name), &bytes[..keep.min(bytes.len())]).unwrap();
        };
        let journal = fs::read(work.join(JOURNAL)).unwrap().len();
        let expected = match torn {
            0 => 10,
            1 => {
                tear(JOURNAL, journal - 5);
                11
            }
            2 => {
                tear("squares-6", HEADER + 4 * bytes_of(6) + 10);
                21 - 5
            }
            _ => {
                tear(LOOKS, 0);
                21
            }
        };
        assert_eq!(packs(&sources, &work, &out), (whole.clone(), expected), "{torn}");
    }
}

#[test]
fn work_for_other_files_or_sizes_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let sources = sources(dir.path(), 6);
    let (work, out) = (dir.path().join("work"), dir.path().join("out"));
    decode(&sources, &[4], Fit::Crop, &work, &|_, _| {}).unwrap();
    assert_eq!(packs(&sources, &work, &out).1, 6);
    decode(&sources, &[4, 6], Fit::Crop, &work, &|_, _| {}).unwrap();
    RgbImage::from_pixel(5, 5, Rgb([1; 3])).save(&sources[2]).unwrap();
    assert_eq!(packs(&sources, &work, &out).1, 4);
}

#[test]
fn absurd_shapes_are_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = sources(dir.path(), 4);
    for (width, height) in [(1, 1), (3, 40), (900, 10)] {
        let path = dir.path().join(format!("{width}x{height}.png"));
        RgbImage::new(width, height).save(&path).unwrap();
        sources.push(path);
    }
    let decoded = decode(&sources, &[4], Fit::Crop, &dir.path().join("work"), &|_, _| {}).unwrap();
    let reasons: Vec<_> = decoded.pictures.iter().filter_map(|p| p.as_ref().err()).map(|b| &b.reason[..]).collect();
    assert_eq!(
        reasons,
        [
            "1x1 pixels: too small for a cover",
            "3x40 pixels: too small for a cover",
            "900x10 pixels: no cover has this shape"
        ]
    );
}
