//! How long a launch would take, from what the compiler says of its kernel and a card's figures. A model, never held against a card:
//! it compares two forms of a kernel, and says where a step's time would go.
//!
//! What it assumes:
//!
//! - A SIMD issues a vector instruction for 32 invocations in a cycle, so one for a wave of 64 in two; products of 32-bit integers,
//!   reciprocals and the like take four times as long, a 16 x 16 product of matrices 32 cycles. No two issue together.
//! - A compute unit has two SIMDs and moves 128 bytes a cycle from and to workgroup memory, without conflicts of banks.
//! - A loop of products runs as often as the launch's products ask for, the tiles' overhang included; a loop around it as often as
//!   the depth of the tile says, or once where the inner one fills workgroup memory itself. What stands outside of loops runs once. A loop without products runs once too: such
//!   kernels move numbers, and it is memory that holds them up.
//! - A wave waits as the compiler estimates (latency against inverse throughput); resident waves fill the gaps.
//! - Waves go to SIMDs in whole rounds. Memory moves each operand once, at the card's full rate, beside arithmetic; each launch
//!   costs two microseconds.

use serde::{Deserialize, Serialize};

use super::machine::{Code, Counts};

/// A card's figures, by its maker: boost clock and memory's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Card {
    pub family: &'static str,
    pub name: &'static str,
    pub units: f64,
    pub gigahertz: f64,
    pub gbytes_per_s: f64,
}

/// The families that there are cards for.
pub const CARDS: [Card; 2] = [
    Card { family: "navi21", name: "RX 6800", units: 60.0, gigahertz: 2.105, gbytes_per_s: 512.0 },
    Card { family: "navi31", name: "RX 7900 XTX", units: 96.0, gigahertz: 2.499, gbytes_per_s: 960.0 },
];

/// Seconds that a launch costs besides.
const LAUNCH: f64 = 2e-6;
const SIMDS: f64 = 2.0;
/// Multiply-adds in a product of matrices, of all invocations of a wave together.
const MATRIX: f64 = 4096.0;

/// What is known of a launch and its kernel.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub flops: f64,
    pub bytes: f64,
    pub workgroups: f64,
    pub invocations: f64,
    /// Invocations in a wave.
    pub wave: f64,
    /// Multiply-adds of a workgroup's tile between two barriers; `None` for kernels without tiles.
    pub tile: Option<f64>,
    /// What the tiles cover over what there is to do, at least 1.
    pub overhang: f64,
    /// Waves that a SIMD can hold at a time.
    pub waves: f64,
    /// The compiler's estimates, in cycles.
    pub latency: f64,
    pub inverse_throughput: f64,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Time {
    /// All of it.
    pub modelled_ms: f64,
    /// The least that the card's peaks allow: operations over its multiply-adds in f32, or bytes over its memory's rate.
    pub roofline_ms: f64,
}

impl Card {
    /// Operations a second, a multiply-add as two.
    pub fn flops(&self) -> f64 {
        self.units * SIMDS * 32.0 * 2.0 * self.gigahertz * 1e9
    }

    /// The time of a launch.
    pub fn time(&self, code: &Code, work: &Work) -> Time {
        let waves_per_group = (work.invocations / work.wave).ceil().max(1.0);
        let waves = work.workgroups * waves_per_group;
        // How often the innermost loop and the one around it run in a wave.
        let products = f64::from(code.innermost.multiply_adds + code.innermost.products);
        let of_loop = products * work.wave + f64::from(code.innermost.matrix) * MATRIX;
        let inner = if of_loop > 0.0 { work.flops / 2.0 * work.overhang / of_loop / waves } else { 1.0 };
        let depths = work.tile.map_or(1.0, |tile| inner * of_loop * waves_per_group / tile);
        // A loop that fills workgroup memory itself is the one that runs once for each depth; what is around it runs once.
        let fills = code.innermost.workgroup_writes > 0;
        let outer = if fills { 1.0 } else { depths.clamp(inner.min(1.0), inner) };
        let sum = |cost: &dyn Fn(&Counts) -> f64| {
            let (whole, around, innermost) = (cost(&code.whole), cost(&code.around), cost(&code.innermost));
            (whole - around) + outer * (around - innermost) + inner * innermost
        };
        let passes = work.wave / 32.0;
        let vector = |counts: &Counts| {
            let plain = f64::from(counts.vector - counts.quarter_rate - counts.matrix);
            passes * (plain + 4.0 * f64::from(counts.quarter_rate)) + 32.0 * f64::from(counts.matrix)
        };
        let shared = |counts: &Counts| f64::from(counts.workgroup_bytes) * work.wave / 128.0;
        // A round is a wave for each SIMD, and those of a unit share its workgroup memory.
        let rounds = (waves / (self.units * SIMDS)).ceil();
        let busy = rounds * sum(&vector).max(SIMDS * sum(&shared));
        let resident = work.waves.min(rounds);
        let hidden = (resident * work.inverse_throughput / work.latency.max(1.0)).clamp(1e-3, 1.0);
        let (arithmetic, memory) = (busy / hidden / self.gigahertz / 1e9, work.bytes / self.gbytes_per_s / 1e9);
        Time {
            modelled_ms: (arithmetic.max(memory) + LAUNCH) * 1e3,
            roofline_ms: (work.flops / self.flops()).max(memory) * 1e3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loop_of(multiply_adds: u32, others: u32, workgroup_bytes: u32) -> Code {
        let inner = Counts { vector: multiply_adds + others, multiply_adds, workgroup_bytes, ..Counts::default() };
        Code { whole: inner, innermost: inner, around: inner }
    }

    /// 120 waves, one for each SIMD of an RX 6800, with 2^20 iterations of 256 multiply-adds each.
    fn work() -> Work {
        let flops = 2.0 * 120.0 * 64.0 * 256.0 * f64::from(1 << 20);
        Work {
            flops,
            bytes: 0.0,
            workgroups: 120.0,
            invocations: 64.0,
            wave: 64.0,
            tile: None,
            overhang: 1.0,
            waves: 8.0,
            latency: 100.0,
            inverse_throughput: 100.0,
        }
    }

    #[test]
    fn nothing_but_multiply_adds_reaches_the_peak_and_what_stands_beside_them_is_lost() {
        let card = CARDS[0];
        let best = card.time(&loop_of(256, 0, 0), &work());
        assert!((best.modelled_ms / best.roofline_ms - 1.0).abs() < 1e-3, "{best:?}");
        let more = card.time(&loop_of(256, 64, 0), &work());
        assert!((more.modelled_ms / best.modelled_ms - 1.25).abs() < 1e-3, "{more:?}");
        // 512 bytes of workgroup memory are 256 cycles for each of a unit's two waves, as much as 256 multiply-adds.
        let equal = card.time(&loop_of(256, 0, 512), &work());
        assert!((equal.modelled_ms / best.modelled_ms - 1.0).abs() < 1e-3, "{equal:?}");
        let twice = card.time(&loop_of(256, 0, 1024), &work());
        assert!((twice.modelled_ms / best.modelled_ms - 2.0).abs() < 1e-3, "{twice:?}");
    }

    #[test]
    fn rounds_overhang_memory_and_waiting_cost_what_they_should() {
        let (card, code) = (CARDS[0], loop_of(256, 0, 0));
        let best = card.time(&code, &work()).modelled_ms;
        let times = |work: &Work| card.time(&code, work).modelled_ms / best;
        // The same work for half of the SIMDs, and tiles that cover half as much again as there is to do.
        assert!((times(&Work { workgroups: 60.0, ..work() }) - 2.0).abs() < 1e-3);
        assert!((times(&Work { overhang: 1.5, ..work() }) - 1.5).abs() < 1e-3);
        // One wave of a SIMD that waits for half of its time.
        assert!((times(&Work { latency: 200.0, ..work() }) - 2.0).abs() < 1e-3);
        // Memory at 512 GB/s beside it: a second for 512 GB.
        let moved = card.time(&code, &Work { bytes: 512e9, flops: 0.0, ..work() });
        assert!((moved.modelled_ms - 1000.0).abs() < 0.1 && moved.roofline_ms >= 1000.0, "{moved:?}");
    }

    #[test]
    fn a_loop_around_runs_once_for_each_depth_of_the_tile() {
        let inner = Counts { vector: 256, multiply_adds: 256, ..Counts::default() };
        let around = Counts { vector: 256 + 256, ..inner };
        let code = Code { whole: around, innermost: inner, around };
        // The tile has four turns of the inner loop: a quarter more.
        let tiled = Work { tile: Some(4.0 * 256.0 * 64.0), ..work() };
        let plain = CARDS[0].time(&loop_of(256, 0, 0), &work());
        let time = CARDS[0].time(&code, &tiled);
        assert!((time.modelled_ms / plain.modelled_ms - 1.25).abs() < 1e-3, "{time:?}");
        // Where all of the tile's depth is in the innermost loop, what is around it is nothing beside it.
        let whole = Counts { workgroup_writes: 8, ..inner };
        let time = CARDS[0].time(&Code { innermost: whole, ..code }, &tiled);
        assert!((time.modelled_ms / plain.modelled_ms - 1.0).abs() < 1e-3, "{time:?}");
    }
}
