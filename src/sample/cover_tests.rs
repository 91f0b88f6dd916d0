use super::*;

const SIZE: u32 = 96;

fn sleeve(serial: u64) -> Sleeve {
    Sleeve { seed: 11, serial, artist: "The Quiet Harbour".into(), album: "Paper Clocks Again".into() }
}

fn inside(b: &PixelBox, x: u32, y: u32) -> bool {
    (b.x..b.x + b.w).contains(&x) && (b.y..b.y + b.h).contains(&y)
}

#[test]
fn the_box_lies_in_the_picture_and_has_the_promised_size() {
    for serial in 0..40 {
        for (genre, (name, _)) in GENRES.iter().enumerate() {
            let b = draw(&sleeve(serial), Some(genre), SIZE).unwrap().1.unwrap();
            assert!(b.x + b.w <= SIZE && b.y + b.h <= SIZE, "{b:?}");
            let part = b.w.max(b.h) as f32 / SIZE as f32;
            assert!((0.3..=0.53).contains(&part), "{name} {serial}: {part}");
        }
    }
}

/// The same sleeve printed for every genre differs from the sleeve without evidence in the box only.
#[test]
fn outside_the_box_all_genres_look_alike() {
    for serial in 0..30 {
        let (plain, none) = unworn(&sleeve(serial), None, SIZE).unwrap();
        assert_eq!(none, None);
        for (genre, (name, _)) in GENRES.iter().enumerate() {
            let (cover, found) = unworn(&sleeve(serial), Some(genre), SIZE).unwrap();
            let b = found.unwrap();
            let mut changed = 0;
            for (i, (p, q)) in (0u32..).zip(plain.pixels().iter().zip(cover.pixels())) {
                if p != q {
                    changed += 1;
                    assert!(inside(&b, i % SIZE, i / SIZE), "{name} {serial}");
                }
            }
            // Lettering and stickers leave the evidence alone, so much of the box has changed.
            let part = changed as f32 / (b.w * b.h) as f32;
            assert!(part > 0.25, "{name} {serial}: {part}");
        }
    }
}

/// Wear comes on top, and spreads what it touches no farther than a JPEG block.
#[test]
fn wear_is_the_same_for_all_genres() {
    for serial in 0..20 {
        let (plain, _) = draw(&sleeve(serial), None, SIZE).unwrap();
        for genre in 0..GENRES.len() {
            let (cover, found) = draw(&sleeve(serial), Some(genre), SIZE).unwrap();
            let b = found.unwrap();
            let near = PixelBox { x: b.x.saturating_sub(16), y: b.y.saturating_sub(16), w: b.w + 32, h: b.h + 32 };
            for (x, y, p) in plain.enumerate_pixels() {
                assert!(inside(&near, x, y) || p == cover.get_pixel(x, y), "{serial}");
            }
        }
    }
}

#[test]
fn the_evidence_stands_out_from_what_lies_under_it() {
    for serial in 0..60 {
        let s = sleeve(serial);
        let mut bare = blank(SIZE).unwrap();
        let palette = Palette::draw(&mut s.dice("palette"));
        background::paint(&mut bare, palette, &mut s.dice("background"));
        let spot = Spot::draw(&mut s.dice("spot"));
        let look = Look::draw(palette, &bare, &spot, &mut s.dice("look"));
        let a = spot.area();
        let under = lightness_under(&bare, a.x, a.y, a.w, a.h);
        let gap = (lightness_of(look.style.main) - under).abs();
        assert!(gap > 0.3, "{serial}: {gap}");
    }
}

#[test]
fn a_cover_is_drawn_alike_twice_and_differs_from_the_next() {
    let one = |serial| draw(&sleeve(serial), Some(0), SIZE).unwrap().0;
    assert_eq!(one(5).as_raw(), one(5).as_raw());
    assert_ne!(one(5).as_raw(), one(6).as_raw());
}
