//! The kernels of each pass in the order of preference: the rule of thumb. Of these a plan takes the first that was made for its type
//! of adapter and can run; the tuner tries them all.

use super::Conv;
use super::kernels::{matrix, narrow, registers, subgroup, tiled};
use super::splits::Splits;
use crate::gpu::{Kernel, QUOTIENTS};
use crate::shader;

/// A pass of a convolution, and what its kernels have to know besides.
#[derive(Clone, Copy)]
pub enum Pass {
    Forward { bias: bool },
    GradInput { accumulate: bool },
    GradWeight { splits: Splits, accumulate: bool },
}

impl Conv {
    /// The kernels of a pass, preferred ones first; the last runs everywhere.
    pub fn candidates(&self, pass: Pass) -> Vec<Kernel> {
        match pass {
            Pass::Forward { bias } => self.forward_candidates(bias),
            Pass::GradInput { accumulate } => self.grad_input_candidates(accumulate),
            Pass::GradWeight { splits, accumulate } => self.grad_weight_candidates(splits, accumulate),
        }
    }

    fn forward_candidates(&self, bias: bool) -> Vec<Kernel> {
        let (pixels, cout) = (self.y.shape.pixels(), self.cout());
        let tiles = pixels.div_ceil(8) * cout.div_ceil(8);
        let window = |kernel: Kernel| self.window_constants(kernel).constant("PADDED", self.padded());
        let [matrix16, matrix8] = matrix(shader!("conv2d/forward_matrix.wgsl"), pixels, cout, 1);
        let kernels = [
            // For software adapters: with subgroups of eight, and without.
            subgroup(shader!("conv2d/subgroup.wgsl"), pixels, cout, 1).constant("ACCUMULATE", false).with_statistics(),
            window(registers(shader!("conv2d/forward_registers.wgsl"), tiles)),
            // For GPUs: in mixed precision on matrix units, and without.
            window(self.quads(matrix16)),
            window(self.quads(matrix8)),
            window(self.quads(tiled(shader!("conv2d/forward_tiled.wgsl"), pixels, cout, 1))).with_statistics(),
            // Everywhere.
            self.window_constants(self.plain(shader!("conv2d/forward_plain.wgsl"), self.y.shape.len())),
        ];
        kernels.map(|kernel| self.loading(kernel, bias)).into()
    }

    fn grad_input_candidates(&self, accumulate: bool) -> Vec<Kernel> {
        let (x, cin) = (self.x.shape, self.cin());
        // Pixels whose rows and columns leave the same rests are seen under the same taps: they make a class. Two kernels' tiles keep
        // to one class each, and there are as many tiles of each class.
        let [sh, sw] = self.window.stride;
        let (class_rows, class_columns) = (x.n * x.h.div_ceil(sh), x.w.div_ceil(sw));
        let class = class_rows * class_columns;
        let tiles = sh * sw * class.div_ceil(8) * cin.div_ceil(8);
        // Only a plain matrix product meets every input pixel under its every tap.
        let window = |kernel: Kernel| self.window_constants(kernel).constant("PADDED", !self.is_product());
        let [matrix16, matrix8] = matrix(shader!("conv2d/grad_input_matrix.wgsl"), x.pixels(), cin, 1);
        let kernels = [
            // For software adapters: with subgroups of eight, of which a picture's four channels would fill an eighth, and without.
            if cin == 4 {
                narrow(shader!("conv2d/grad_input_narrow.wgsl"), class_rows * class_columns.div_ceil(8), sh * sw)
            } else {
                subgroup(shader!("conv2d/subgroup.wgsl"), class, cin, sh * sw).def("INPUT_GRADIENT", 1)
            },
            self.window_constants(registers(shader!("conv2d/grad_input_registers.wgsl"), tiles)),
            // For GPUs: in mixed precision on matrix units, and without.
            window(self.quads(matrix16)),
            window(self.quads(matrix8)),
            window(self.quads(tiled(shader!("conv2d/grad_input_tiled.wgsl"), x.pixels(), cin, 1))),
            // Everywhere.
            self.window_constants(self.plain(shader!("conv2d/grad_input_plain.wgsl"), x.len())),
        ];
        kernels.map(|kernel| kernel.constant("ACCUMULATE", accumulate)).into()
    }

    fn grad_weight_candidates(&self, splits: Splits, accumulate: bool) -> Vec<Kernel> {
        let (rows, cout, parts) = (self.window.area() * self.cin(), self.cout(), splits.count);
        let tiles = self.window.area() * self.cin().div_ceil(8) * cout.div_ceil(8);
        let window = |kernel: Kernel| self.window_constants(kernel);
        let [matrix16, matrix8] = matrix(shader!("conv2d/grad_weight_matrix.wgsl"), rows, cout, parts);
        let mut kernels = vec![
            // For software adapters: with subgroups of eight, and without.
            subgroup(shader!("conv2d/grad_weight_subgroup.wgsl"), rows, cout, parts),
            window(registers(shader!("conv2d/grad_weight_registers.wgsl"), tiles * parts)),
            // For GPUs: in mixed precision on matrix units, and without.
            window(self.quads(matrix16)),
            window(self.quads(matrix8)),
            window(self.quads(tiled(shader!("conv2d/grad_weight_tiled.wgsl"), rows, cout, parts))),
            // Everywhere.
            window(self.plain(shader!("conv2d/grad_weight_plain.wgsl"), self.weight.shape.len() * parts)),
        ];
        // The first finds its pixels with `grid::quotient`.
        if self.y.shape.pixels() >= QUOTIENTS {
            kernels.remove(0);
        }
        let finished = |kernel: Kernel| self.loading(kernel, false).constant("ACCUMULATE", accumulate);
        kernels.into_iter().map(finished).collect()
    }
}
