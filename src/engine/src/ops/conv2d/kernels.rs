//! The kernels' tiles, and what they ask of the adapter.

use crate::gpu::{Kernel, Requirements, Shader};

/// Invocations in a workgroup of the kernels without workgroup memory.
const LANES: usize = 32;

/// What a kernel needs that moves four channels at a time, made for software adapters or for GPUs.
fn needs(software: bool, invocations: usize) -> Requirements {
    Requirements { aligned: true, invocations: invocations as u32, software: Some(software), ..Requirements::default() }
}

/// A kernel with one register tile per invocation.
pub fn registers(shader: Shader, tiles: usize) -> Kernel {
    let kernel = Kernel { needs: needs(true, LANES), ..Kernel::per_group(shader, tiles.div_ceil(LANES)) };
    kernel.def("LANES", LANES as u32)
}

/// Invocations in a subgroup of [`subgroup`]'s kernels.
const SUBGROUP: usize = 8;

/// A kernel for a product of `rows` x `columns` numbers with one tile of it per workgroup, which is one subgroup, and split. A tile is
/// 32 rows x 128 columns, or 64 x 64 or 64 x 32 where half of the last such tile would be empty.
pub fn subgroup(shader: Shader, rows: usize, columns: usize, splits: usize) -> Kernel {
    let padded = |width: usize| columns.next_multiple_of(width);
    let (lines, quads) = match columns {
        _ if padded(128) == padded(64) => (4, 4),
        _ if padded(64) == padded(32) => (8, 2),
        _ => (8, 1),
    };
    let (tile_rows, tile_columns) = (lines * SUBGROUP, quads * 4 * SUBGROUP);
    one_subgroup(shader, rows.div_ceil(tile_rows) * columns.div_ceil(tile_columns) * splits)
        .def("LINES", lines as u32)
        .def("QUADS", quads as u32)
}

/// A kernel with a tile per lane, and so many of each class of pixels.
pub fn narrow(shader: Shader, tiles: usize, classes: usize) -> Kernel {
    one_subgroup(shader, classes * tiles.div_ceil(SUBGROUP))
}

fn one_subgroup(shader: Shader, workgroups: usize) -> Kernel {
    let needs = Requirements { subgroup: Some(SUBGROUP as u32), ..needs(true, SUBGROUP) };
    Kernel { needs, ..Kernel::per_group(shader, workgroups) }
}

/// A kernel with one tile of 64 x 64 outputs per workgroup and split.
pub fn tiled(shader: Shader, rows: usize, columns: usize, splits: usize) -> Kernel {
    let needs = Requirements { workgroup_memory: 2 * 320 * 16, ..needs(false, 64) };
    Kernel { needs, ..Kernel::per_group(shader, rows.div_ceil(64) * columns.div_ceil(64) * splits) }
}

/// Sides of the cooperative matrices that adapters have: 16 is NVIDIA's and AMD's, 8 Apple's and Mesa's software adapter's.
const SIDES: [u32; 2] = [16, 8];

/// A kernel on matrix units, for each of the sides: one tile of four by four matrices per workgroup and split.
pub fn matrix(shader: Shader, rows: usize, columns: usize, splits: usize) -> [Kernel; 2] {
    SIDES.map(|side| {
        let tile = 4 * side as usize;
        // Two tiles of f16 that are 2 sides deep, with gaps, four matrices of f32, and where each row comes from.
        let workgroup_memory = 2 * (2 * 4 * side * (2 * side + 8)) + 16 * side * side + 12 * 4 * side;
        let needs = Requirements { workgroup_memory, cooperative: Some(side), ..needs(false, 128) };
        let workgroups = rows.div_ceil(tile) * columns.div_ceil(tile) * splits;
        Kernel { needs, ..Kernel::per_group(shader, workgroups) }.def("SIDE", side)
    })
}
