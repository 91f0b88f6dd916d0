//! Capital letters made of strokes: no font file is needed to letter a cover.

use tiny_skia::Color;

use super::pen::{P, Pen};

/// Height of a letter on the grid it is described on; most are four wide.
const HEIGHT: f32 = 6.0;
/// Room between letters, and the width of a space.
const GAP: f32 = 1.9;
const SPACE: f32 = 2.2;

/// Strokes of a letter: words of `xy` digit pairs on a grid four wide and six high, y downwards.
#[rustfmt::skip]
fn strokes(letter: char) -> &'static str {
    match letter {
        'A' => "062046 1434",
        'B' => "0600304142330333 3344453606",
        'C' => "4130100105163645",
        'D' => "06003041453606",
        'E' => "40000646 0333",
        'F' => "400006 0333",
        'G' => "41301001051636454323",
        'H' => "0006 4046 0343",
        'I' => "0006",
        'J' => "3035261605",
        'K' => "0006 4004 1346",
        'L' => "000636",
        'M' => "0600234046",
        'N' => "06004640",
        'O' => "103041453616050110",
        'P' => "06003041423303",
        'Q' => "103041453616050110 2446",
        'R' => "06003041423303 2346",
        'S' => "413010010213334445361605",
        'T' => "0040 2026",
        'U' => "000516364540",
        'V' => "002640",
        'W' => "0016223640",
        'X' => "0046 4006",
        'Y' => "002340 2326",
        'Z' => "00400646",
        _ => "",
    }
}

fn grid(stroke: &str) -> impl Iterator<Item = P> + '_ {
    let digit = |b: u8| f32::from(b - b'0');
    stroke.as_bytes().chunks_exact(2).map(move |xy| (digit(xy[0]), digit(xy[1])))
}

fn width_of(letter: char) -> f32 {
    let right = strokes(letter)
        .split(' ')
        .flat_map(grid)
        .map(|p| p.0)
        .fold(None, |w: Option<f32>, x| Some(w.map_or(x, |w| w.max(x))));
    right.unwrap_or(SPACE)
}

/// How wide `text` is when its letters are one high; `stretch` widens letters, not heights.
pub(super) fn width(text: &str, stretch: f32) -> f32 {
    let letters: f32 = text.chars().map(|c| width_of(c) * stretch + GAP).sum();
    (letters - GAP).max(0.0) / HEIGHT
}

/// How a line is lettered.
#[derive(Clone, Copy)]
pub(super) struct Hand {
    /// Widens the letters.
    pub stretch: f32,
    /// Thickness of the strokes, as a part of the height.
    pub weight: f32,
    /// Leans to the right by this part of the height.
    pub slant: f32,
}

/// Letters `text` (capitals and spaces; anything else is left blank) with its top left at `(x, y)`.
pub(super) fn letter(pen: &mut Pen, text: &str, (x, y): P, height: f32, hand: Hand, color: Color) {
    let unit = height / HEIGHT;
    let mut left = 0.0;
    for c in text.chars() {
        for stroke in strokes(c).split(' ') {
            let points: Vec<P> = grid(stroke)
                .map(|(gx, gy)| {
                    let lean = hand.slant * (HEIGHT - gy);
                    (x + (left + gx * hand.stretch + lean) * unit, y + gy * unit)
                })
                .collect();
            pen.line(&points, hand.weight * height, color);
        }
        left += width_of(c) * hand.stretch + GAP;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capital_is_drawn_on_the_grid() {
        for c in 'A'..='Z' {
            let all = strokes(c);
            assert!(!all.is_empty(), "{c}");
            for stroke in all.split(' ') {
                assert!(stroke.len() >= 4 && stroke.len().is_multiple_of(2), "{c}");
                assert!(grid(stroke).all(|(x, y)| x <= 4.0 && y <= HEIGHT), "{c}");
            }
        }
    }

    #[test]
    fn longer_texts_are_wider() {
        assert!(width("OWL", 1.0) < width("OWLS", 1.0));
        assert!(width("OWL", 0.7) < width("OWL", 1.0));
        assert_eq!(width("", 1.0), 0.0);
    }
}
