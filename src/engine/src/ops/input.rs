//! From packed pixels to what a network reads: crop, augmentation and normalisation in one launch.

use super::dropout::scrambled;
use crate::gpu::Kernel;
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result, shader};

/// How pictures become numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputOp {
    /// Height and width of the packed pictures.
    pub source: (usize, usize),
    /// Height and width of the output, cut from the centre.
    pub size: (usize, usize),
    /// Mean of red, green and blue on the scale of 0 to 1.
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub augment: Augment,
}

/// Random changes that keep the label. Drawn for each sample anew in each step. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augment {
    /// Mirror every other picture from left to right.
    pub flip: bool,
    /// Move the crop by up to this many pixels in each direction.
    pub shift: usize,
    /// Brightness, contrast and saturation are each multiplied by a factor from `1 - colour` to `1 + colour`.
    pub colour: f32,
    /// Share of the pictures that lose a rectangle.
    pub erase: f32,
    /// Show only a part of each picture, of at least this much less than its area.
    pub crop: f32,
    /// Turn each picture by up to this many degrees, either way.
    pub rotate: f32,
    /// How far each picture is changed in two ways of RandAugment's, from 0 (not at all) to 1.
    pub randaugment: f32,
}

/// What a batch is mixed of (mixup: Zhang et al. 2018; CutMix: Yun et al. 2019). The host writes both inputs for each batch.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// For each sample the number of the one that it is mixed with, `u32`.
    pub partners: Tensor,
    /// [`MixWords`].
    pub words: Tensor,
}

impl Mix {
    /// Inputs for `n` samples.
    pub fn inputs(tape: &mut Tape, n: usize) -> Self {
        let words = tape.input(Shape::vector(size_of::<MixWords>() / 4));
        Self { partners: tape.input(Shape::vector(n)), words }
    }
}

/// How the samples of a batch are mixed with their partners, as the kernel reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct MixWords {
    /// How much of a sample is its own outside the rectangle; inside, all is its partner's.
    pub share: f32,
    /// The rectangle, in pixels of the output.
    pub top: u32,
    pub left: u32,
    pub height: u32,
    pub width: u32,
}

/// The most that [`Augment::rotate`] may be, in degrees.
pub const MOST_DEGREES: f32 = 45.0;

/// The most that [`Augment::crop`] may be: a tenth of the area is left.
pub const MOST_CROP: f32 = 0.9;

/// Words that `n` packed RGB pictures take, three bytes to a pixel, little endian.
pub const fn words(n: usize, h: usize, w: usize) -> usize {
    (n * h * w * 3).div_ceil(4)
}

/// Turns `n` packed RGB pictures ([`words`] words, `n x h x w x 3` bytes) into `n x h x w x 4`: `(v / 255 - mean) /
/// std` and a fourth channel of zeros, so that the first convolution reads whole vec4s. It has no gradient.
///
/// Output pixel `(y, x)` shows source pixel `(y + (sh - h) / 2 + dy, x' + (sw - w) / 2 + dx)`, the nearest one where that
/// lies outside; `x'` is `x` or `w - 1 - x`. Halves are rounded to the even neighbour, as torchvision's `center_crop` does.
///
/// With `colour` above 0 a pixel `v` of 0 to 255 becomes, before it is normalised, `u = (b v - 127.5) k + 127.5` and then
/// `grey(u) + s (u - grey(u))`, clamped to 0 to 255, with the sample's own brightness `b`, contrast `k` and saturation `s`, and
/// `grey = 0.299 r + 0.587 g + 0.114 b`. A rectangle that is erased has sides of a tenth to a half of the output's and is 0
/// after normalisation: the mean colour.
///
/// With `crop` or `rotate` above 0 the output shows a part of the picture, turned, by bilinear interpolation: the part's area is
/// uniform from `1 - crop` to 1 and its sides' ratio from 3/4 to 4/3 (its logarithm uniform), as torchvision's
/// `RandomResizedCrop` has it, except that a side that would be too long is the picture's; its place is uniform. The angle is
/// uniform too.
///
/// With `randaugment` above 0 each sample is then changed in two ways, the same one perhaps twice (Cubuk et al. 2020), drawn from
/// eleven, each either way: none; turned by 30 degrees times `randaugment`; sheared by 0.3 times as much along one of two sides; moved
/// by 0.45 of a side along one of two; brightness, contrast (around 127.5) or saturation times 1 ± 0.9 times as much; the lowest bits
/// off, up to 4 of 8; or what is brighter than `255 (1 - randaugment)` inverted. Where a picture ends, its last pixels go on.
///
/// All that is drawn is a function of the step's number, the seed, this op's stream and the sample's number in the whole batch.
///
/// # Errors
/// If there are too few words, a size is 0, a std is not above 0, the shift is 32,768 or more, `colour`, `erase`
/// or `randaugment` is not from 0 to 1, `crop` or `rotate` above [`MOST_CROP`] or [`MOST_DEGREES`], or there are 2^30 pictures.
pub fn input(tape: &mut Tape, pixels: Tensor, n: usize, op: &InputOp) -> Result<Tensor> {
    record(tape, pixels, n, op, None)
}

/// Like [`input`]; each sample is then mixed with its partner, which was changed as drawn for itself.
///
/// # Errors
/// As [`input`], and if there are not `n` partners.
pub fn input_mixed(tape: &mut Tape, pixels: Tensor, n: usize, op: &InputOp, mix: &Mix) -> Result<Tensor> {
    if mix.partners.shape.len() != n {
        return Err(Error::run(format!("input: {} partners for {n} pictures", mix.partners.shape.len())));
    }
    record(tape, pixels, n, op, Some(mix))
}

fn record(tape: &mut Tape, pixels: Tensor, n: usize, op: &InputOp, mix: Option<&Mix>) -> Result<Tensor> {
    let InputOp { source: (sh, sw), size: (h, w), mean, std, augment } = *op;
    if [n, sh, sw, h, w].contains(&0) {
        return Err(Error::run(format!("input: {n} pictures, {sh}x{sw} to {h}x{w}")));
    }
    if pixels.shape.len() < words(n, sh, sw) {
        return Err(Error::run(format!("input: {} words for {n} pictures of {sh}x{sw}", pixels.shape.len())));
    }
    if words(n, sh, sw) > 1 << 30 {
        return Err(Error::run(format!("input: {n} pictures of {sh}x{sw} are more than 4 GiB")));
    }
    if !std.iter().all(|d| *d > 0.0) || augment.shift >= 1 << 15 {
        return Err(Error::run(format!("input: std {std:?}, shift {}", augment.shift)));
    }
    let within = |most: f32, value: f32| (0.0..=most).contains(&value);
    let shares_fit = [augment.colour, augment.erase, augment.randaugment].into_iter().all(|share| within(1.0, share));
    let warps = within(MOST_CROP, augment.crop) && within(MOST_DEGREES, augment.rotate);
    if !shares_fit || !warps || n >= 1 << 30 || (augment.erase > 0.0 && h.max(w) > 1 << 16) {
        return Err(Error::run(format!("input: {n} pictures of {h}x{w}, {augment:?}")));
    }
    let shape = Shape::new(n, h, w, 4);
    let (step, stream) = (tape.step(), tape.random_stream());
    let y = tape.output(shape, &[]);
    // Who does not mix never reads these bindings.
    let [partners, words] = mix.map_or([step; 2], |mix| [mix.partners, mix.words]);
    let launch = Launch::new("input", "forward").read(pixels).read(step).read_indices(partners).read(words).write(y);
    let launch = launch.u32(n).u32(scrambled(stream));
    let channels = || mean.into_iter().zip(std).map(|(m, d)| (f64::from(m), f64::from(d)));
    let launch = channels().fold(launch, |launch, (_, d)| launch.f32((1.0 / (255.0 * d)) as f32));
    let launch = channels().fold(launch, |launch, (m, d)| launch.f32((-m / d) as f32));
    // A share of 1 has no 32 bits: all but one picture in four billion will do.
    let threshold = (f64::from(augment.erase) * f64::from(u32::MAX)) as u32;
    let launch = launch.f32(augment.colour).u32(threshold as usize);
    let launch = launch.f32(1.0 - augment.crop).f32(augment.rotate.to_radians());
    let low_bits = (1_usize << (4.0 * augment.randaugment).round() as u32) - 1;
    let launch = launch.f32(augment.randaugment).u32(255 - low_bits).view(y);
    let random = augment.randaugment > 0.0;
    let warp = augment.crop > 0.0 || augment.rotate > 0.0 || random;
    // Half of what is left over, halves to the even neighbour.
    let centred = |source: usize, size: usize| ((source as f64 - size as f64) / 2.0).round_ties_even() as i64;
    let kernel = |width: u32| {
        let kernel = Kernel::per_item(shader!("input.wgsl"), shape.pixels()).def("VECTOR", width);
        let kernel = kernel.constant("SOURCE_HEIGHT", sh as i64).constant("SOURCE_WIDTH", sw as i64);
        let kernel = kernel.constant("HEIGHT", h as i64).constant("WIDTH", w as i64);
        let kernel = kernel.constant("TOP", centred(sh, h)).constant("LEFT", centred(sw, w));
        let kernel = kernel.constant("FLIP", augment.flip).constant("SHIFT", augment.shift as i64);
        let kernel = kernel.constant("COLOUR", augment.colour > 0.0).constant("ERASE", augment.erase > 0.0);
        kernel.constant("WARP", warp).constant("RANDAUGMENT", random).constant("MIX", mix.is_some())
    };
    tape.launch(launch.kernel(kernel(4).aligned()).kernel(kernel(1)));
    Ok(y)
}
