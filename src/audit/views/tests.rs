//! What the views leave, and a planted trace that only one of them shows.

use std::collections::HashMap;
use std::fs;

use gatefold_engine::gpu::{Gpu, GpuOptions};
use image::Rgb;

use super::*;
use crate::data::{Columns, ImportOptions, Request, Strings, import};
use crate::ranks::Ranks;

fn picture(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| Rgb([(x * 2) as u8, (y * 2) as u8, ((x / 9 + y / 7) % 2 * 90) as u8]))
}

fn histogram(picture: &RgbImage) -> HashMap<[u8; 3], usize> {
    let mut counts = HashMap::new();
    picture.pixels().for_each(|pixel| *counts.entry(pixel.0).or_default() += 1);
    counts
}

#[test]
fn each_view_leaves_what_it_says() {
    let square = picture(64);
    let of = |view: View| view.of(&square, 64, 1, 0);
    assert_eq!(of(View::Full), square);
    let border = of(View::Border);
    assert_eq!((border[(7, 30)], border[(30, 56)]), (square[(7, 30)], square[(30, 56)]));
    assert_eq!((border[(8, 30)].0, border[(30, 55)].0), ([128; 3], [128; 3]));
    for view in [View::Patches, View::Colours] {
        let seen = of(view);
        assert_ne!(seen, square);
        assert_eq!(histogram(&seen), histogram(&square), "{view:?}");
        assert_eq!(seen, of(view));
        assert_ne!(seen, view.of(&square, 64, 1, 1));
        assert_ne!(seen, view.of(&square, 64, 2, 0));
    }
    // A ramp has no residual but at edges; a dot has one, whatever lies under it.
    let mut flat = RgbImage::from_fn(80, 80, |x, _| Rgb([50 + x as u8, 90, 90]));
    assert!(View::Residual.of(&flat, 64, 1, 0).pixels().all(|pixel| pixel.0 == [128; 3]));
    flat.put_pixel(40, 40, Rgb([255, 90, 0]));
    let seen = View::Residual.of(&flat, 64, 1, 0);
    assert!(seen[(32, 32)][0] > 240 && seen[(32, 32)][1] == 128 && seen[(32, 32)][2] < 10, "{:?}", seen[(32, 32)]);
    for view in View::ALL {
        assert_eq!(view.of(&picture(100), 64, 1, 0).dimensions(), (64, 64));
    }
}

#[test]
fn of_each_class_as_many_as_fit_are_taken() {
    let cover = |label| Cover {
        strings: Strings::of("x", &[]),
        label,
        split: Split::Train,
        width: 9,
        height: 9,
        hash: blake3::hash(b""),
        phash: 0,
    };
    let covers: Vec<Cover> = [10, 300, 200].iter().enumerate().flat_map(|(label, &n)| vec![cover(label); n]).collect();
    let manifest = Manifest { classes: ["a", "b", "c"].map(String::from).into(), group_columns: vec![], covers };
    let count = |most| {
        let chosen = some_of_each(&manifest, (0..510).collect(), most, 1);
        [0, 1, 2].map(|label| chosen.iter().filter(|&&i| manifest.covers[i].label == label).count())
    };
    assert_eq!((count(1000), count(110), count(30)), ([10, 300, 200], [10, 50, 50], [10, 10, 10]));
}

/// Two classes of the same pictures; one of them carries a weak checkerboard, which nothing but the finest detail shows.
#[test]
fn a_trace_in_the_finest_detail_shows_in_the_residual_and_not_at_the_border() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..240_u32 {
        let folder = dir.path().join("covers").join(["plain", "traced"][(n % 2) as usize]);
        fs::create_dir_all(&folder).unwrap();
        let mix = |v: u32| (v ^ v >> 15).wrapping_mul(2_246_822_519) >> 8;
        let picture = RgbImage::from_fn(64, 64, |x, y| {
            let patch = mix((x / 13) * 7919 + (y / 13) * 104_729 + n * 15_485_863);
            let inside = (10..54).contains(&x) && (10..54).contains(&y);
            let trace = if n % 2 == 1 && inside { (x + y) % 2 * 12 } else { 6 };
            Rgb([0, 7, 13].map(|shift| (20 + (patch >> shift & 127) + trace) as u8))
        });
        picture.save(folder.join(format!("{n}.png"))).unwrap();
    }
    let options = ImportOptions {
        ranks: Ranks::alone(),
        request: Request::new(&dir.path().join("covers"), &Columns::default()),
        split: Some([60.0, 0.0, 40.0]),
        seed: 1,
        sizes: vec![64],
        fit: Fit::Crop,
        harmonise: None,
        keep_duplicates: true,
    };
    let dataset = import(&options, &dir.path().join("set"), &|_, _| {}).unwrap().dataset;
    let gpu = Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: false }).unwrap());
    let effort = Effort { side: 32, most_trained: 150, most_scored: 100, epochs: 6 };
    let views = some_views(&gpu, &dataset, &[View::Residual, View::Border], effort, 1, &|_, _| {}).unwrap();
    let auc = |view: View| views.views.iter().find(|score| score.view == view).unwrap().roc_auc.unwrap();
    assert!(auc(View::Residual) > 0.95, "{views:#?}");
    assert!((0.3..0.7).contains(&auc(View::Border)), "{views:#?}");
    assert_eq!((views.set, views.side, views.views.len()), (Split::Test, 32, 2));
    assert!(views.views[0].above_chance);
}
