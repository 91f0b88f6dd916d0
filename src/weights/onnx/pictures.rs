//! The pictures' way to the network as a part of the graph: what [`Pipeline`](crate::data::Pipeline) and the op `input` do, on pixels of any
//! width and height.

use super::proto::{FLOAT, INT64, Set};
use super::writer::Writer;
use crate::data::Fit;
use crate::data::picture::fit::centred;
use crate::weights::Header;

/// Axes of height and width in `n x 3 x height x width`.
const AXES: [i64; 2] = [2, 3];

/// From `pixels`, `n x height x width x 3` of 0 to 255, to what the network takes, `n x 3 x size x size`.
pub(super) fn record(w: &mut Writer, header: &Header) -> String {
    let (square, size, fit) = (header.picture_size(), header.net.size, header.fit);
    let x = w.node("Cast", &["pixels"], &[("to", Set::Int(FLOAT.into()))]);
    let x = w.node("Transpose", &[&x], &[("perm", Set::Ints(&[0, 3, 1, 2]))]);
    let shape = w.node("Shape", &[&x], &[("start", Set::Int(2))]);
    let least = w.node("ReduceMin", &[&shape], &[("keepdims", Set::Int(1))]);
    let side = w.ints(&[square as i64]);
    let mut x = match fit {
        // The largest square around the centre.
        Fit::Crop => {
            let rest = w.node("Sub", &[&shape, &least], &[]);
            let two = w.ints(&[2]);
            let start = w.node("Div", &[&rest, &two], &[]);
            let end = w.node("Add", &[&start, &least], &[]);
            let x = w.slice(&x, &start, &end, &AXES);
            let sizes = w.ints(&[square as i64; 2]);
            resize(w, &x, &sizes, &[2, 3], fit)
        }
        // Rounded to the next whole number, at least one pixel; then black around it.
        Fit::Pad => {
            let most = w.node("ReduceMax", &[&shape], &[("keepdims", Set::Int(1))]);
            let (two, twice) = (w.ints(&[2]), w.ints(&[2 * square as i64]));
            let doubled = w.node("Mul", &[&shape, &twice], &[]);
            let doubled = w.node("Add", &[&doubled, &most], &[]);
            let divisor = w.node("Mul", &[&most, &two], &[]);
            let rounded = w.node("Div", &[&doubled, &divisor], &[]);
            let one = w.ints(&[1]);
            let rounded = w.node("Max", &[&rounded, &one], &[]);
            let sizes = w.node("Min", &[&rounded, &side], &[]);
            let x = resize(w, &x, &sizes, &[2, 3], fit);
            let rest = w.node("Sub", &[&side, &sizes], &[]);
            let before = w.node("Div", &[&rest, &two], &[]);
            let after = w.node("Sub", &[&rest, &before], &[]);
            let none = w.ints(&[0, 0]);
            let pads = w.node("Concat", &[&none, &before, &none, &after], &[("axis", Set::Int(0))]);
            w.node("Pad", &[&x, &pads], &[])
        }
        // The shorter side, then the centre; halves of pixels go to the even neighbour.
        Fit::Bilinear | Fit::Bicubic | Fit::Lanczos => {
            let scaled = w.node("Mul", &[&shape, &side], &[]);
            let sizes = w.node("Div", &[&scaled, &least], &[]);
            // Rows, then columns, with whole numbers between them, as Pillow does it.
            let [none, one, both] = [0, 1, 2].map(|number| w.ints(&[number]));
            let (height, width) = (w.slice(&sizes, &none, &one, &[0]), w.slice(&sizes, &one, &both, &[0]));
            let x = resize(w, &x, &width, &[3], fit);
            let x = resize(w, &x, &height, &[2], fit);
            let rest = w.node("Sub", &[&sizes, &side], &[]);
            let rest = w.node("Cast", &[&rest], &[("to", Set::Int(FLOAT.into()))]);
            let half = w.floats("half", &[1], &[0.5]);
            let start = w.node("Mul", &[&rest, &half], &[]);
            let start = w.node("Round", &[&start], &[]);
            let start = w.node("Cast", &[&start], &[("to", Set::Int(INT64.into()))]);
            let end = w.node("Add", &[&start, &side], &[]);
            w.slice(&x, &start, &end, &AXES)
        }
    };
    if size < square {
        let edge = i64::from(centred(square as u32, size as u32));
        let (start, end) = (w.ints(&[edge; 2]), w.ints(&[edge + size as i64; 2]));
        x = w.slice(&x, &start, &end, &AXES);
    }
    let scale = header.std.map(|std| 1.0 / (255.0 * std));
    let offset = [0, 1, 2].map(|c| -header.mean[c] / header.std[c]);
    let (scale, offset) = (w.floats("scale", &[1, 3, 1, 1], &scale), w.floats("offset", &[1, 3, 1, 1], &offset));
    let x = w.node("Mul", &[&x, &scale], &[]);
    w.node("Add", &[&x, &offset], &[])
}

/// To `sizes` along these axes, anti-aliased as Pillow does it, and back to whole numbers of 0 to 255.
fn resize(w: &mut Writer, x: &str, sizes: &str, axes: &[usize], fit: Fit) -> String {
    let mode = if fit == Fit::Bilinear { "linear" } else { "cubic" };
    let attributes = [
        ("antialias", Set::Int(1)),
        ("axes", Set::Ints(axes)),
        ("coordinate_transformation_mode", Set::Text("half_pixel")),
        ("cubic_coeff_a", Set::Float(-0.5)),
        ("exclude_outside", Set::Int(1)),
        ("mode", Set::Text(mode)),
    ];
    let x = w.node("Resize", &[x, "", "", sizes], &attributes);
    let x = w.node("Round", &[&x], &[]);
    let (low, high) = (w.floats(&format!("{x}_low"), &[], &[0.0]), w.floats(&format!("{x}_high"), &[], &[255.0]));
    w.node("Clip", &[&x, &low, &high], &[])
}
