//! Where things go: the evidence first, anywhere; lettering and stickers in the room that is left.

use super::dice::Dice;

/// A rectangle in units of the picture's side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area {
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
}

impl Area {
    pub fn overlaps(&self, other: &Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }
}

/// Where the motif goes: a circle that it must not leave, and how far it leans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    pub x: f32,
    pub y: f32,
    pub r: f32,
    /// Degrees.
    pub turn: f32,
}

/// Free room around the edge of a cover.
const MARGIN: f32 = 0.055;
/// Lettering keeps clear of a frame.
const TEXT_MARGIN: f32 = 0.08;

impl Spot {
    /// 41 to 50 % of the cover's side, anywhere inside the margin.
    pub fn draw(dice: &mut Dice) -> Self {
        let r = dice.range(0.205, 0.25);
        let free = |dice: &mut Dice| dice.range(r + MARGIN, 1.0 - r - MARGIN);
        Self { x: free(dice), y: free(dice), r, turn: dice.range(-12.0, 12.0) }
    }

    /// The square around it.
    pub fn area(&self) -> Area {
        Area { x: self.x - self.r, y: self.y - self.r, w: 2.0 * self.r, h: 2.0 * self.r }
    }

    /// The bands above and below and the columns beside it, where lettering has room.
    pub fn room(&self) -> Vec<Area> {
        let gap = 0.015;
        let a = self.area();
        let (far, wide) = (1.0 - TEXT_MARGIN, 1.0 - 2.0 * TEXT_MARGIN);
        let band = |y: f32, low: f32| Area { x: TEXT_MARGIN, y, w: wide, h: low - y };
        let column = |x: f32, right: f32| Area { x, y: TEXT_MARGIN, w: right - x, h: wide };
        let areas = [
            band(TEXT_MARGIN, a.y - gap),
            band(a.y + a.h + gap, far),
            column(TEXT_MARGIN, a.x - gap),
            column(a.x + a.w + gap, far),
        ];
        areas.into_iter().filter(|r| r.w.min(r.h) > 0.09).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_room_for_lettering_clear_of_the_motif() {
        let mut dice = Dice::new(1, 0, "layout");
        for _ in 0..500 {
            let spot = Spot::draw(&mut dice);
            let room = spot.room();
            assert!(room.iter().any(|r| r.w.min(r.h) > 0.15), "{spot:?}");
            assert!(room.iter().all(|r| !r.overlaps(&spot.area())), "{spot:?}");
        }
    }
}
