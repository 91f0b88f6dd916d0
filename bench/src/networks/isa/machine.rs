//! RADV's machine code as text: which instructions a kernel has, and which of them stand in its innermost loop.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Instructions by what they keep busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub instructions: u32,
    /// Vector arithmetic, all of it.
    pub vector: u32,
    /// Of these: multiply-adds of f32 or f16; a pair of them counts as one instruction.
    pub multiply_adds: u32,
    /// Of these: products whose sum is another instruction.
    pub products: u32,
    /// Of these: products of matrices.
    pub matrix: u32,
    /// Of these: those that take four times as long, such as products of 32-bit integers and reciprocals.
    pub quarter_rate: u32,
    pub scalar: u32,
    pub workgroup_reads: u32,
    pub workgroup_writes: u32,
    /// Bytes that an invocation moves from and to workgroup memory.
    pub workgroup_bytes: u32,
    pub global_reads: u32,
    pub global_writes: u32,
    pub barriers: u32,
}

/// A kernel's code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    pub whole: Counts,
    /// The innermost loop that multiplies most; all zeros where there is no loop.
    pub innermost: Counts,
    /// The smallest loop around it, itself included; the same where there is none.
    pub around: Counts,
}

impl Counts {
    /// Multiply-adds and matrices' products among the vector instructions.
    pub fn share(&self) -> f64 {
        f64::from(self.multiply_adds + self.matrix) / f64::from(self.vector.max(1))
    }

    /// What a loop is there for.
    fn work(&self) -> u32 {
        self.multiply_adds + self.products + self.matrix
    }

    fn add(&mut self, name: &str) {
        self.instructions += 1;
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if is(&["ds_"]) {
            let bytes = 4 * width(name);
            // RDNA2 says read and write, RDNA3 load and store.
            if name.contains("read") || name.contains("load") {
                self.workgroup_reads += 1;
                self.workgroup_bytes += bytes;
            } else if name.contains("write") || name.contains("store") {
                self.workgroup_writes += 1;
                self.workgroup_bytes += bytes;
            }
        } else if is(&["buffer_", "global_", "flat_", "scratch_"]) {
            let (load, store) = (name.contains("_load"), name.contains("_store"));
            self.global_reads += u32::from(load);
            self.global_writes += u32::from(store);
        } else if is(&["s_barrier"]) {
            self.barriers += 1;
        } else if is(&["s_"]) {
            self.scalar += 1;
        } else if is(&["v_"]) {
            self.vector += 1;
            let fused = ["v_fma_", "v_fmac_", "v_fmaak_", "v_fmamk_", "v_mad_f", "v_mac_f", "v_pk_fma"];
            // Those of mixed precision only convert here.
            self.multiply_adds += u32::from((is(&fused) || is(&["v_dual_fma"])) && !is(&["v_fma_mix"]));
            self.products += u32::from(is(&["v_mul_f32", "v_mul_f16", "v_pk_mul_f16", "v_dual_mul_f32"]));
            self.matrix += u32::from(is(&["v_wmma"]));
            let slow = [
                "v_mul_lo_",
                "v_mul_hi_",
                "v_mad_u64",
                "v_mad_co_u64",
                "v_rcp_",
                "v_rsq_",
                "v_sqrt_",
                "v_exp_",
                "v_log_",
            ];
            self.quarter_rate += u32::from(is(&slow));
        }
    }
}

/// Words that an invocation moves: `ds_read_b128` is four, `ds_read2_b32` two.
fn width(name: &str) -> u32 {
    let bits = ["128", "96", "64"].iter().find(|bits| name.contains(*bits)).and_then(|bits| bits.parse().ok());
    let words = bits.unwrap_or(32_u32) / 32;
    if name.contains("read2") || name.contains("write2") || name.contains("_2addr") { 2 * words } else { words }
}

/// Reads the code. Blocks begin with `BBn:`, a branch names the block that it goes to, and a loop is what lies between a block and a
/// branch back to it.
pub fn read(assembly: &str) -> Code {
    let (mut names, mut loops): (Vec<&str>, Vec<(usize, usize)>) = (vec![], vec![]);
    let mut blocks: HashMap<&str, usize> = HashMap::new();
    for line in assembly.lines() {
        let line = line.split(';').next().unwrap_or_default();
        if let Some(block) = line.strip_suffix(':').filter(|_| line.starts_with("BB")) {
            blocks.insert(block, names.len());
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(name) = words.next().filter(|name| line.starts_with(char::is_whitespace) && name.contains('_')) else {
            continue;
        };
        names.push(name);
        // Two instructions in one word of RDNA3: `v_dual_a … :: v_dual_b …`.
        let to = words.next();
        if name.starts_with("s_cbranch") || name == "s_branch" {
            loops.extend(to.and_then(|to| blocks.get(to)).map(|&start| (start, names.len())));
        }
    }
    let counted = |(start, end): (usize, usize)| {
        let mut counts = Counts::default();
        names[start..end].iter().for_each(|name| counts.add(name));
        counts
    };
    let inside = |a: (usize, usize), b: (usize, usize)| a != b && b.0 <= a.0 && a.1 <= b.1;
    // A loop may be left to its start in several places: the last one counts.
    let outer = |one: (usize, usize)| loops.iter().filter(move |of| of.0 == one.0).map(|of| of.1).max();
    let mut whole: Vec<(usize, usize)> = loops.iter().map(|&one| (one.0, outer(one).unwrap_or(one.1))).collect();
    whole.dedup();
    let innermost = whole.iter().copied().filter(|&one| !whole.iter().any(|&other| inside(other, one)));
    let hot = innermost.max_by_key(|&one| (counted(one).work(), one.1 - one.0));
    let around =
        hot.and_then(|hot| whole.iter().copied().filter(|&one| inside(hot, one)).min_by_key(|one| one.1 - one.0));
    Code {
        whole: counted((0, names.len())),
        innermost: hot.map(counted).unwrap_or_default(),
        around: around.or(hot).map(counted).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop of two multiply-adds in a loop with a barrier, and what stands before and behind.
    const NESTED: &str = "BB0:
\ts_mov_b32 s0, s3                    ; be800303
\tv_mul_lo_u32 v1, v2, v3             ; d5690001
BB1:
\tds_write_b128 v4, v[0:3]            ; d87c0000
\ts_barrier                           ; bf8a0000
BB2:
\tds_read_b128 v[8:11], v5            ; dbfc0000
\tds_read2_b32 v[8:9], v5 offset1:1   ; d8dc0000
\tv_fmac_f32_e32 v6, v8, v9           ; 560c1308
\tv_fma_f32 v7, v8, v9, v7            ; d54b0007
\tv_mul_f32_e32 v8, v8, v9            ; 10101308
\tv_add_nc_u32_e32 v5, 16, v5         ; 4a0a0a90
\ts_cbranch_scc1 BB2                  ; bf85fff8
BB3:
\tbuffer_load_dwordx4 v[0:3], v4, s[0:3], 0 offen ; e0381000
\ts_cbranch_vccnz BB1                 ; bf87fff0
BB4:
\tbuffer_store_dword v6, v7, s[0:3], 0 offen ; e0701000
\ts_endpgm                            ; bf810000
";

    #[test]
    fn the_innermost_loop_and_the_one_around_it_are_found() {
        let code = read(NESTED);
        let inner = code.innermost;
        assert_eq!((inner.instructions, inner.vector, inner.multiply_adds, inner.products), (7, 4, 2, 1));
        assert_eq!((inner.workgroup_reads, inner.workgroup_bytes, inner.global_reads), (2, 24, 0));
        assert!((inner.share() - 0.5).abs() < 1e-12);
        assert_eq!((code.around.barriers, code.around.workgroup_writes, code.around.global_reads), (1, 1, 1));
        assert_eq!((code.around.instructions, code.whole.instructions), (11, 15));
        assert_eq!((code.whole.quarter_rate, code.whole.global_writes), (1, 1));
    }

    #[test]
    fn the_loop_that_multiplies_most_is_the_one_that_counts_and_straight_code_has_none() {
        let copy =
            "BB9:\n\tv_mov_b32_e32 v0, v1\n\tv_mov_b32_e32 v0, v1\n\tv_mov_b32_e32 v0, v1\n\ts_cbranch_scc1 BB9\n";
        assert_eq!(read(&format!("{NESTED}{copy}")).innermost.multiply_adds, 2);
        let straight = read(
            "BB0:\n\tv_wmma_f32_16x16x16_f16 v[0:3], v[8:15], v[16:23], v[0:3] ; cc40\n\tv_fma_mixlo_f16 v0, v1, 1.0, 0 ; cc21\n\ts_endpgm\n",
        );
        assert_eq!(straight.innermost, Counts::default());
        assert_eq!((straight.whole.matrix, straight.whole.multiply_adds), (1, 0));
    }
}
