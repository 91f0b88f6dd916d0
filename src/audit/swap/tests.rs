//! A network that reads sharpness, one that is fragile, and one that reads the picture.

use std::fs;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb};

use super::*;
use crate::data::{Columns, ImportOptions, Request, import};
use crate::ranks::Ranks;

/// A cover with fine detail: coloured patches and noise upon them. The classes' covers look alike.
fn cover(number: u32) -> RgbImage {
    RgbImage::from_fn(160, 160, |x, y| {
        let mix = |n: u32| (n ^ n >> 15).wrapping_mul(2_246_822_519) ^ n.wrapping_mul(3_266_489_917) >> 13;
        let patch = mix((x / 23) * 7919 + (y / 23) * 104_729 + number * 15_485_863);
        let noise = mix(x * 31 + y * 15_731 + number) >> 24;
        Rgb([0, 8, 16].map(|shift| ((patch >> shift & 127) + (noise & 127)) as u8))
    })
}

/// `fine` has 160 pixels a side, `coarse` 60 or `side`.
fn dataset(root: &Path, side: u32) -> Dataset {
    for (class, side) in [("coarse", side), ("fine", 160)] {
        fs::create_dir_all(root.join("covers").join(class)).unwrap();
        for n in 0..40 {
            let picture = cover(n + 1000 * side);
            let scaled = imageops::resize(&picture, side, side, FilterType::CatmullRom);
            let path = root.join("covers").join(class).join(format!("{n}.png"));
            scaled.save_with_format(path, ImageFormat::Png).unwrap();
        }
    }
    let options = ImportOptions {
        ranks: Ranks::alone(),
        request: Request::new(&root.join("covers"), &Columns::default()),
        split: Some([40.0, 0.0, 60.0]),
        seed: 1,
        sizes: vec![96],
        fit: Fit::Crop,
        harmonise: None,
        keep_duplicates: true,
    };
    import(&options, &root.join("set"), &|_, _| {}).unwrap().dataset
}

/// Mean difference of neighbours.
fn sharpness(square: &[u8]) -> f64 {
    let pairs = square.chunks_exact(3).zip(square.chunks_exact(3).skip(1));
    pairs.map(|(a, b)| f64::from(a[0].abs_diff(b[0]))).sum::<f64>() / (square.len() / 3) as f64
}

fn rows(squares: &[&[u8]], fine: impl Fn(&[u8]) -> bool) -> Result<Vec<f32>> {
    Ok(squares.iter().flat_map(|square| if fine(square) { [0.1, 0.9] } else { [0.9, 0.1] }).collect())
}

#[test]
fn a_network_that_reads_sharpness_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = dataset(dir.path(), 60);
    let sharp: Vec<f64> = (0..dataset.pack.len()).map(|i| sharpness(dataset.pack.image(i).unwrap())).collect();
    let border = sharp.iter().sum::<f64>() / sharp.len() as f64;
    let found = swap(&dataset, Fit::Crop.into(), &mut |squares| rows(squares, |s| sharpness(s) > border), &|_, _| {});
    let found = found.unwrap();
    assert_eq!(found.finding, Finding::Shortcut, "{found:#?}");
    assert_eq!((found.origins[0].side, found.origins[1].side, found.origins[0].quality), (60, 160, None));
    // The fine ones turn coarse; the coarse ones cannot turn fine again.
    let [coarse, fine] = &found.classes[..] else { panic!("{found:#?}") };
    assert!(coarse.towards == 0 && fine.towards == fine.covers && fine.flipped_by_own == 0, "{found:#?}");
    assert!(fine.p < 1e-4 && fine.shift_ci[0] > 0.5 && found.own_flip_rate == 0.0);
}

#[test]
fn a_network_that_reads_the_picture_is_steady_and_one_that_reads_noise_is_fragile() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = dataset(dir.path(), 60);
    let mean = |square: &[u8]| square.iter().map(|&v| f64::from(v)).sum::<f64>() / square.len() as f64;
    let means: Vec<f64> = (0..dataset.pack.len()).map(|i| mean(dataset.pack.image(i).unwrap())).collect();
    let mut sorted = means.clone();
    sorted.sort_by(f64::total_cmp);
    let border = (sorted[39] + sorted[40]) / 2.0;
    let steady =
        swap(&dataset, Fit::Crop.into(), &mut |squares| rows(squares, |s| mean(s) > border), &|_, _| {}).unwrap();
    assert_eq!(steady.finding, Finding::Steady, "{steady:#?}");
    // The parity of a hash is another one after any change, in no direction.
    let parity = |s: &[u8]| blake3::hash(s).as_bytes()[0].is_multiple_of(2);
    let fragile = swap(&dataset, Fit::Crop.into(), &mut |squares| rows(squares, parity), &|_, _| {}).unwrap();
    assert_eq!(fragile.finding, Finding::Fragile, "{fragile:#?}");
    assert!(fragile.flip_rate > 0.3);
}

#[test]
fn equal_pipelines_and_files_that_are_gone_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let dataset = dataset(dir.path(), 158);
    let mut answer = |squares: &[&[u8]]| rows(squares, |_| true);
    let same = swap(&dataset, Fit::Crop.into(), &mut answer, &|_, _| {}).unwrap();
    assert_eq!((same.finding, same.covers > 40), (Finding::SamePipeline, true), "{same:#?}");
    fs::remove_dir_all(dir.path().join("covers")).unwrap();
    let gone = swap(&dataset, Fit::Crop.into(), &mut answer, &|_, _| {}).unwrap();
    assert_eq!((gone.finding, gone.covers), (Finding::NoFiles, 0));
}

#[test]
fn the_sign_test_is_that_of_a_fair_coin() {
    for (a, b, p) in [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 0.0625), (1, 9, 22.0 / 1024.0), (9, 1, 22.0 / 1024.0)] {
        assert!((sign_test(a, b) - p).abs() < 1e-9, "{a} {b} {}", sign_test(a, b));
    }
    assert!(sign_test(0, 3000) < 1e-300 && (sign_test(1500, 1500) - 1.0).abs() < 1e-9);
}
