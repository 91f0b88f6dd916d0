//! Made-up artists and albums from small lists of words that every genre shares.

use super::dice::Dice;

#[rustfmt::skip]
const KINDS: [&str; 48] = [
    "Amber", "Ashen", "Borrowed", "Brass", "Broken", "Copper", "Crooked", "Distant", "Drifting", "Early", "Empty",
    "Faded", "Feral", "Folded", "Gentle", "Gilded", "Half", "Hidden", "Hollow", "Idle", "Inland", "Iron", "Late",
    "Little", "Lost", "Lunar", "Marble", "Mild", "Narrow", "Northern", "Paper", "Patient", "Plain", "Quiet", "Rapid",
    "Restless", "Rusty", "Salt", "Second", "Silent", "Slow", "Spare", "Tidal", "Tin", "Upper", "Velvet", "Wandering",
    "Winter",
];

#[rustfmt::skip]
const THINGS: [&str; 48] = [
    "Anchors", "Arcade", "Attic", "Bakers", "Beacon", "Bridges", "Candles", "Canopy", "Ceiling", "Chairs", "Clocks",
    "Compass", "Corner", "Doors", "Engine", "Errand", "Ferry", "Foxes", "Garden", "Gravel", "Harbour", "Hinges",
    "Hours", "Island", "Kettle", "Ladder", "Lamps", "Letters", "Lighthouse", "Mirror", "Orchard", "Owls", "Parade",
    "Pilots", "Pocket", "Quarry", "Railway", "River", "Rooms", "Shutters", "Signal", "Sisters", "Stairs", "Station",
    "Thread", "Tower", "Valley", "Weather",
];

/// How many different artists there are, and how many different albums.
pub(super) const ARTISTS: usize = KINDS.len() * THINGS.len();
pub(super) const ALBUMS: usize = KINDS.len() * THINGS.len() * ALBUM_FORMS;
const ALBUM_FORMS: usize = 3;

/// Names in an order that depends on the seed alone; no name comes twice.
pub(super) struct Names {
    artists: Vec<usize>,
    albums: Vec<usize>,
}

impl Names {
    pub fn new(seed: u64) -> Self {
        Self {
            artists: Dice::new(seed, 0, "artists").order(ARTISTS),
            albums: Dice::new(seed, 0, "albums").order(ALBUMS),
        }
    }

    /// The artist of this number, below [`ARTISTS`].
    pub fn artist(&self, number: usize) -> String {
        let (kind, thing) = words(self.artists[number]);
        format!("{}{kind} {thing}", if number.is_multiple_of(3) { "The " } else { "" })
    }

    /// The album of this number, below [`ALBUMS`].
    pub fn album(&self, number: usize) -> String {
        let i = self.albums[number];
        let (kind, thing) = words(i / ALBUM_FORMS);
        match i % ALBUM_FORMS {
            0 => format!("Our {kind} {thing}"),
            1 => format!("{kind} {thing} Again"),
            _ => format!("No {kind} {thing}"),
        }
    }
}

fn words(i: usize) -> (&'static str, &'static str) {
    (KINDS[i / THINGS.len()], THINGS[i % THINGS.len()])
}

/// Which artist of a genre made each of its covers: runs of four to six.
///
/// The runs depend on the seed alone, so every genre is cut alike, and a longer list begins as a shorter one.
pub(super) fn discographies(seed: u64, covers: usize) -> Vec<usize> {
    let mut dice = Dice::new(seed, 0, "discographies");
    let mut artists = Vec::with_capacity(covers);
    for artist in 0.. {
        let run = dice.whole(4, 6);
        artists.extend(std::iter::repeat_n(artist, run.min(covers - artists.len())));
        if artists.len() == covers {
            break;
        }
    }
    artists
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_comes_twice() {
        let names = Names::new(3);
        let artists: HashSet<_> = (0..ARTISTS).map(|i| names.artist(i)).collect();
        let albums: HashSet<_> = (0..ALBUMS).map(|i| names.album(i)).collect();
        assert_eq!((artists.len(), albums.len()), (ARTISTS, ALBUMS));
    }

    #[test]
    fn artists_make_four_to_six_covers() {
        let long = discographies(7, 500);
        assert_eq!(long[..72], discographies(7, 72)[..]);
        let last = *long.last().unwrap();
        for artist in 0..last {
            let n = long.iter().filter(|a| **a == artist).count();
            assert!((4..=6).contains(&n), "{artist}: {n}");
        }
    }
}
