//! The kernels' tiles: which files there are, for which windows, and how many invocations each takes.

use super::super::window::Window;
use super::Conv;
use crate::gpu::{Kernel, Needs, Shader, fold};
use crate::shader;
use crate::tape::Launch;
use crate::tensor::Shape;

/// Invocations in a workgroup of the kernels without workgroup memory.
const LANES: usize = 32;

/// A kernel with one register tile per invocation.
pub fn registers(shader: Shader, tiles: usize) -> Kernel {
    Kernel {
        shader,
        defs: vec![("LANES", LANES as u32)],
        constants: vec![],
        workgroups: fold(tiles.div_ceil(LANES)),
        needs: Needs { aligned: true, invocations: LANES as u32, software: Some(true), ..Needs::default() },
    }
}

/// Tiles of 2 rows x 8 pixels x 8 channels, in blocks of eight places.
fn lines(map: Shape, channels: usize) -> Kernel {
    let places = map.n * map.h.div_ceil(2) * map.w.div_ceil(8);
    registers(shader!("conv2d/lines.wgsl"), places.next_multiple_of(8) * channels.div_ceil(8))
}

/// Tiles of 16 pixels x 32 channels, or 16 where the last tile would be half empty and there are few.
fn points(pixels: usize, channels: usize) -> Kernel {
    let columns = if channels >= 128 || channels.next_multiple_of(32) == channels { 32 } else { 16 };
    registers(shader!("conv2d/points.wgsl"), pixels.div_ceil(16) * channels.div_ceil(columns))
        .def("COLUMNS", columns as u32)
}

/// A kernel with one tile of 64 x 64 outputs per workgroup and split.
pub fn tiled(shader: Shader, rows: usize, columns: usize, splits: usize) -> Kernel {
    let workgroup_memory = 2 * 320 * 16;
    Kernel {
        shader,
        defs: vec![],
        constants: vec![],
        workgroups: fold(rows.div_ceil(64) * columns.div_ceil(64) * splits),
        needs: Needs { aligned: true, invocations: 64, workgroup_memory, software: Some(false), ..Needs::default() },
    }
}

/// Sides of the cooperative matrices that adapters have: 16 is NVIDIA's and AMD's, 8 Apple's and Mesa's software adapter's.
const SIDES: [u32; 2] = [16, 8];

/// A kernel on matrix units, for each of the sides: one tile of four by four matrices per workgroup and split.
pub fn matrix(shader: Shader, rows: usize, columns: usize, splits: usize) -> [Kernel; 2] {
    SIDES.map(|side| {
        let tile = 4 * side as usize;
        // Two tiles of f16 that are 2 sides deep, with gaps, four matrices of f32, and where each row comes from.
        let workgroup_memory = 2 * (2 * 4 * side * (2 * side + 8)) + 16 * side * side + 12 * 4 * side;
        Kernel {
            shader,
            defs: vec![("SIDE", side)],
            constants: vec![],
            workgroups: fold(rows.div_ceil(tile) * columns.div_ceil(tile) * splits),
            needs: Needs {
                aligned: true,
                invocations: 128,
                workgroup_memory,
                software: Some(false),
                cooperative: Some(side),
            },
        }
    })
}

/// The two kernels for software adapters, the better one first: the special one only if it is `preferred`.
pub fn in_order(launch: Launch, special: Option<Kernel>, preferred: bool, registers: Kernel) -> Launch {
    match special {
        Some(special) if preferred => launch.kernel(special).kernel(registers),
        Some(special) => launch.kernel(registers).kernel(special),
        None => launch.kernel(registers),
    }
}

impl Conv {
    /// Whether a map leaves few places in the special kernel's tiles empty. With a half of them empty, as on maps of width 4 in
    /// *lines*' tiles of 2 x 8 pixels, *registers* is faster by a quarter; with a quarter empty slower by as much.
    pub fn fills_tiles(&self, map: Shape) -> bool {
        let (height, width) = if self.has_lines() {
            (map.h.next_multiple_of(2), map.w.next_multiple_of(8))
        } else if self.has_points() {
            let pixels = self.y.shape.pixels();
            return 4 * pixels >= 3 * pixels.next_multiple_of(16);
        } else {
            (map.h, map.w.next_multiple_of(16))
        };
        4 * map.h * map.w >= 3 * height * width
    }

    /// Whether the window is 3x3 and steps pixel by pixel over a picture that is not normalised while it is loaded.
    fn has_lines(&self) -> bool {
        let [top, bottom, left, right] = self.window.padding;
        // The input's gradient pads by what the window pads less.
        let narrow = [top, bottom, left, right].into_iter().all(|p| p <= 2);
        self.window.kernel == [3, 3] && self.window.stride == [1, 1] && narrow && self.before.is_none()
    }

    /// Whether the window is seven columns wide and steps by two, as in first layers.
    fn is_stem(&self) -> bool {
        self.window.kernel[1] == 7 && self.window.stride[1] == 2 && self.before.is_none()
    }

    /// What the kernels of stems take of the window.
    fn stem(&self, kernel: Kernel) -> Kernel {
        let Window { kernel: [kh, _], stride: [sh, _], padding: [top, _, left, _] } = self.window;
        kernel
            .constant("KERNEL_H", kh as i64)
            .constant("STRIDE_H", sh as i64)
            .constant("PAD_TOP", top as i64)
            .constant("PAD_LEFT", left as i64)
    }

    /// Whether the convolution is a matrix product with some of the input's pixels, with all if it steps pixel by pixel.
    fn has_points(&self) -> bool {
        // Numbers of pixels below `grid::quotient`'s limit.
        self.window.area() == 1 && !self.padded() && self.y.shape.pixels() < 4_000_000
    }

    /// What the kernels of one tap take of the window.
    fn step(&self, kernel: Kernel) -> Kernel {
        let [sh, sw] = self.window.stride;
        kernel.constant("STRIDE_H", sh as i64).constant("STRIDE_W", sw as i64)
    }

    /// What does more work per loaded number than [`registers`], for windows that allow it: forward.
    pub fn software_forward(&self, bias: bool) -> Option<Kernel> {
        let (y, cout) = (self.y.shape, self.cout());
        let kernel = if self.has_lines() {
            let [top, _, left, _] = self.window.padding.map(|p| p as i64);
            lines(y, cout).constant("ABOVE", top).constant("BEFORE", left).constant("ACCUMULATE", false)
        } else if self.is_stem() {
            let tiles = y.n * y.h * y.w.div_ceil(16) * cout.div_ceil(8);
            self.stem(registers(shader!("conv2d/stem.wgsl"), tiles))
        } else if self.has_points() {
            self.step(self.normalising(points(y.pixels(), cout))).constant("ACCUMULATE", false)
        } else {
            return None;
        };
        Some(self.biased(kernel, bias))
    }

    /// The same for the gradient by the input.
    pub fn software_grad_input(&self, accumulate: bool) -> Option<Kernel> {
        let (x, cin) = (self.x.shape, self.cin());
        let kernel = if self.has_lines() {
            let [top, _, left, _] = self.window.padding.map(|p| 2 - p as i64);
            lines(x, cin).constant("ABOVE", top).constant("BEFORE", left)
        } else if self.has_points() {
            self.step(points(self.y.shape.pixels(), cin))
        } else {
            return None;
        };
        Some(kernel.def("INPUT_GRADIENT", 1).constant("ACCUMULATE", accumulate))
    }

    /// The same for the gradient by the weights.
    pub fn software_grad_weight(&self, splits: usize, accumulate: bool) -> Option<Kernel> {
        let (cin, cout) = (self.cin(), self.cout());
        let kernel = if self.has_lines() {
            let [top, _, left, _] = self.window.padding.map(|p| p as i64);
            let tiles = cin.div_ceil(4) * cout.div_ceil(8) * splits;
            let kernel = registers(shader!("conv2d/grad_weight_lines.wgsl"), tiles);
            kernel.constant("PAD_TOP", top).constant("PAD_LEFT", left)
        } else if self.is_stem() {
            let tiles = self.window.kernel[0] * cin.div_ceil(4) * cout.div_ceil(8) * splits;
            self.stem(registers(shader!("conv2d/grad_weight_stem.wgsl"), tiles))
        } else if self.has_points() {
            let tiles = cin.div_ceil(16) * cout.div_ceil(16) * splits;
            self.step(self.normalising(registers(shader!("conv2d/grad_weight_points.wgsl"), tiles)))
        } else {
            return None;
        };
        Some(kernel.constant("ACCUMULATE", accumulate))
    }
}
