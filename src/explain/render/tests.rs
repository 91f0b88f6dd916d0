use image::{Rgb, RgbImage};

use super::*;
use crate::font::{draw, glyph, wrap};

fn map(width: usize, height: usize, values: &[f32]) -> HeatMap {
    HeatMap::new(width, height, values.to_vec()).unwrap()
}

#[test]
fn a_map_of_a_region_lies_there_and_nowhere_else() {
    let heat = map(2, 2, &[0.0, 0.0, 0.0, 1.0]);
    let picture = RgbImage::from_pixel(60, 20, Rgb([100; 3]));
    // The middle square of a wide picture: its lower right quarter is hot.
    let region = Region { x: 20.0, y: 0.0, width: 20.0, height: 20.0 };
    let seen = heat.overlay_within(&picture, region).unwrap();
    assert_eq!(seen.dimensions(), (60, 20));
    let cold = seen[(0, 0)];
    assert!([(19, 19), (40, 19), (59, 0), (21, 1)].iter().all(|&(x, y)| seen[(x, y)] == cold), "cold is {cold:?}");
    assert_ne!(seen[(37, 17)], cold);
    // The same map as over the square alone.
    let square = heat.overlay(&RgbImage::from_pixel(20, 20, Rgb([100; 3]))).unwrap();
    assert_eq!((seen[(37, 17)], seen[(27, 7)]), (square[(17, 17)], square[(7, 7)]));
    // A region that goes beyond: of a padded picture only the middle rows of the map are seen, the lower half of them hot.
    let region = Region { x: 0.0, y: -20.0, width: 60.0, height: 60.0 };
    let seen = heat.overlay_within(&picture, region).unwrap();
    assert_eq!(seen[(2, 2)], cold);
    assert_ne!(seen[(57, 18)], cold);
    assert!(map(1, 1, &[0.0]).overlay_within(&picture, region).is_none());
}

#[test]
fn bilinear_as_pytorch() {
    // interpolate(tensor([[[[1., 2.], [3., 4.]]]]) / 4, (4, 4), mode="bilinear", align_corners=False) * 4
    let up = map(2, 2, &[1.0, 2.0, 3.0, 4.0]).upsampled(4, 4).unwrap();
    let rows = [[1.0, 1.25, 1.75, 2.0], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3.0, 3.25, 3.75, 4.0]];
    let expected: Vec<f32> = rows.iter().flatten().map(|v| v / 4.0).collect();
    assert_eq!(up, expected);

    // Three cells to five pixels: sources at -0.2 -> 0, 0.4, 1, 1.6, 2.2 -> 2.
    let up = map(3, 1, &[0.0, 10.0, 5.0]).upsampled(5, 2).unwrap();
    for row in up.chunks_exact(5) {
        for (value, expected) in row.iter().zip([0.0, 0.4, 1.0, 0.7, 0.5]) {
            assert!((value - expected).abs() < 1e-6, "{row:?}");
        }
    }
    // Fewer pixels than cells: 4 to 2 reads half-way between the pairs.
    assert_eq!(map(4, 1, &[0.0, 2.0, 4.0, 2.0]).upsampled(2, 1).unwrap(), [0.25, 0.75]);
    assert_eq!(map(1, 1, &[3.0]).upsampled(2, 2).unwrap(), [1.0; 4]);
}

#[test]
fn no_positive_evidence() {
    let cover = RgbImage::from_pixel(8, 8, Rgb([9, 9, 9]));
    for values in [[0.0, 0.0], [-1.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
        let none = map(2, 1, &values);
        assert_eq!(none.normalised(), None);
        assert_eq!(none.upsampled(8, 8), None);
        assert_eq!(none.heat_image(8, 8), None);
        assert_eq!(none.overlay(&cover), None);
        assert_eq!(none.peak(8, 8), None);
    }
    assert_eq!(map(2, 1, &[-3.0, 4.0]).normalised().unwrap(), [0.0, 1.0]);
    assert_eq!(map(2, 1, &[1e-40, 2e-40]).normalised().unwrap()[1], 1.0);
    assert!(HeatMap::new(2, 2, vec![1.0; 3]).is_err());
    assert!(HeatMap::new(0, 2, vec![]).is_err());
}

#[test]
fn peak_is_at_the_hottest_cell() {
    // 4x4 cells on 260 pixels: a cell covers 65, so the centres are 32, 97, 162, 227.
    for (cell, expected) in [(0, (32, 32)), (6, (162, 97)), (15, (227, 227))] {
        let mut values = [0.1; 16];
        values[cell] = 2.0;
        assert_eq!(map(4, 4, &values).peak(260, 260), Some(expected));
    }
    // The hot neighbour draws the peak to its side: pixels 3 and 4 are as near to the cell's centre.
    assert_eq!(map(3, 1, &[0.2, 1.0, 0.6]).peak(12, 1), Some((6, 0)));
    assert_eq!(map(3, 1, &[0.6, 1.0, 0.2]).peak(12, 1), Some((5, 0)));
}

#[test]
fn pictures_have_the_asked_size_and_colours() {
    let heat = map(2, 2, &[0.0, 0.0, 0.0, 5.0]);
    let picture = heat.heat_image(40, 20).unwrap();
    assert_eq!(picture.dimensions(), (40, 20));
    assert_eq!(picture.get_pixel(0, 0).0, colormap::heat(0.0));
    assert_eq!(picture.get_pixel(39, 19).0, colormap::heat(1.0));

    let cover = RgbImage::from_fn(40, 20, |x, y| Rgb([x as u8 * 6, y as u8 * 12, 200]));
    let overlay = heat.overlay(&cover).unwrap();
    assert_eq!(overlay.dimensions(), cover.dimensions());
    let visible = faded(cover.get_pixel(3, 3).0).map(|c| c.round() as u8);
    assert_eq!(overlay.get_pixel(3, 3).0, visible, "cold places show the cover");
    assert_ne!(overlay.get_pixel(39, 19), cover.get_pixel(39, 19));
}

#[test]
fn sheets_of_any_length() {
    let row = |values: &[f32]| SheetRow {
        cover: RgbImage::from_pixel(64, 32, Rgb([200, 30, 30])),
        heat: map(2, 1, values),
        caption: "a_rather_long_file_name_without_spaces.jpg\nRock 51 %\ntruly Pop".into(),
    };
    let size = |n: usize| contact_sheet(&vec![row(&[0.0, 1.0]); n]).dimensions();
    assert_eq!(size(1).0, size(6).0);
    assert!(size(7).0 > 2 * size(6).0 - 60 && size(7).1 < size(6).1);
    assert!(size(25).0 > size(24).0);
    assert_eq!(size(500), size(SHEET_LIMIT));
    assert!(size(0).0 > 0);

    // The heat map's colours appear only where there is evidence.
    let painted = |sheet: &RgbImage| {
        let hottest = Rgb(colormap::heat(1.0));
        sheet.rows().take(180).flatten().filter(|p| **p == hottest).count()
    };
    assert!(painted(&contact_sheet(&[row(&[0.0, 1.0])])) > 1000);
    assert_eq!(painted(&contact_sheet(&[row(&[0.0, 0.0])])), 0);
}

#[test]
fn letters_differ_and_unknown_ones_are_boxes() {
    let ascii: Vec<_> = (' '..='~').map(glyph).collect();
    for (i, shape) in ascii.iter().enumerate() {
        assert!(!ascii[..i].contains(shape), "{:?}", char::from(b' ' + i as u8));
        assert_ne!(*shape, glyph('ö'));
    }
    assert_eq!(glyph('\n'), glyph('ö'));
    assert_eq!(glyph('l').map(u8::count_ones).iter().sum::<u32>(), 10);

    let mut picture = RgbImage::new(20, 20);
    draw(&mut picture, 15, 15, 3, [255; 3], "cut at the edge");
    draw(&mut picture, 0, 0, 2, [255; 3], "!");
    assert_eq!(picture.get_pixel(4, 0).0, [255; 3]);
    assert_eq!(picture.get_pixel(5, 9).0, [255; 3]);
    assert_eq!(picture.get_pixel(4, 10).0, [0; 3]);
}

#[test]
fn captions_break_where_they_may() {
    assert_eq!(wrap("the quick brown fox", 10, 9), ["the quick", "brown fox"]);
    assert_eq!(wrap("one\n\ntwo", 10, 9), ["one", "", "two"]);
    assert_eq!(wrap("very_long_name.jpeg", 10, 9), ["very_long_", "name.jpeg"]);
    assert_eq!(wrap("abcdefghijklm", 5, 9), ["abcde", "fghij", "klm"]);
    assert_eq!(wrap("abcdefghijklm", 5, 2), ["abcde", "fg..."]);
    assert_eq!(wrap("", 5, 2), Vec::<String>::new());
}
