//! One picture: from its file to a square of RGB pixels, and what it looks like from afar.

mod align;
pub(crate) mod audio;
mod budget;
pub mod fingerprint;
pub mod fit;
pub mod harmonise;
mod id3;
pub mod jpeg;
pub mod look;
pub mod read;
mod tags;
mod tiff;

pub use budget::Share;
pub use fit::{BadPicture, Fit, MAX_SIZE, square};
pub use harmonise::{Harmonise, Picture, Pipeline, load};
pub use read::{decode_caught, decode_within, fault, is_usable, load_hashed, load_rgb, read};
