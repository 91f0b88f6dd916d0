//! Bytes that a step moves, beside the least that it could.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_engine::Result;
use gatefold_engine::gpu::{AdapterSummary, Kernel};
use gatefold_engine::plan::{Choice, taken};
use gatefold_engine::tape::{Access, Launch, Tape};
use gatefold_engine::tensor::Tensor;
use serde::Serialize;

/// In bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Traffic {
    /// What launches read and write: each operand once, and twice what is added to.
    pub moved: u64,
    /// The same if all were fused that can be, as [`Traffic::of`] says.
    pub least: u64,
}

/// What becomes of a launch where all is fused that can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It stays a launch.
    Own,
    /// It goes number by number: those who read its result compute it from what it was made of.
    Sweep,
    /// It sums over a map, as the launch can that makes the newest map of those it reads.
    Sums,
}

fn part(launch: &Launch) -> Part {
    match (launch.op, launch.pass) {
        ("batch_norm", "normalise" | "backward") | ("global_avg_pool", "backward") => Part::Sweep,
        ("relu" | "add" | "dropout" | "copy", _) => Part::Sweep,
        ("batch_norm", "statistics" | "reduce") => Part::Sums,
        _ => Part::Own,
    }
}

/// A launch that runs, and the kernel.
type Taken<'a> = (&'a Launch, &'a Kernel);

impl Traffic {
    /// Of each kind of launch (op and pass) of a step, with the kernels of the rule. The least is what remains where
    ///
    /// - launches that go number by number are done by those that read their results: a result is read from memory only where that
    ///   moves fewer bytes than what it was made of;
    /// - sums over a map are kept by the launch that writes it;
    /// - every other launch reads each of its maps once, and writes its result once.
    ///
    /// # Errors
    /// If no kernel can run.
    pub fn of(tape: &Tape, adapter: &AdapterSummary) -> Result<BTreeMap<String, Self>> {
        let kernels = taken(tape, adapter, Choice::Rule)?;
        let launches: Vec<Taken> =
            tape.launches().iter().zip(kernels).filter_map(|(launch, kernel)| Some((launch, kernel?))).collect();
        let mut least = Least { tape, made_of: BTreeMap::new() };
        let mut kinds = BTreeMap::<String, Self>::new();
        for (at, taken) in launches.iter().enumerate() {
            let kind = kinds.entry(taken.0.label()).or_default();
            kind.moved += moved(tape, *taken);
            kind.least += least.of(*taken, &launches[at + 1..]);
        }
        Ok(kinds)
    }

    pub fn sum<'a>(kinds: impl Iterator<Item = &'a Self>) -> Self {
        kinds.fold(Self::default(), |sum, kind| Self { moved: sum.moved + kind.moved, least: sum.least + kind.least })
    }

    /// How many times the least is moved.
    pub fn ratio(self) -> f64 {
        self.moved as f64 / self.least.max(1) as f64
    }
}

/// The sum, and what each kind has of it, the one with the most to save first.
pub fn show(kinds: &BTreeMap<String, Traffic>) {
    let (all, mb) = (Traffic::sum(kinds.values()), |bytes: u64| bytes as f64 / 1e6);
    println!("moved: {:.1} Mbyte, {:.2} times the least", mb(all.moved), all.ratio());
    let mut kinds: Vec<_> = kinds.iter().collect();
    kinds.sort_by_key(|(_, kind)| kind.least as i64 - kind.moved as i64);
    for (name, Traffic { moved, least }) in kinds {
        println!("  {name:<34} {:>10.1} Mbyte, least {:>10.1}", mb(*moved), mb(*least));
    }
}

/// The operands that a launch reads or writes, each once.
fn operands((launch, kernel): Taken, wanted: Access) -> impl Iterator<Item = Tensor> {
    let mut seen = BTreeSet::new();
    let touched = launch.operands_of(kernel).iter().filter(move |(_, access)| *access == wanted);
    touched.map(|&(tensor, _)| tensor).filter(move |tensor| seen.insert(tensor.id))
}

/// What a launch writes by adding to what is there.
fn added((launch, kernel): Taken) -> impl Iterator<Item = Tensor> {
    let to = |name: &str| kernel.constants.iter().any(|&(constant, value)| constant == name && value != 0);
    let of_each = [to("ACCUMULATE_A") || to("ACCUMULATE_GAMMA"), to("ACCUMULATE_B") || to("ACCUMULATE_BETA")];
    let all = to("ACCUMULATE");
    let written = operands((launch, kernel), Access::Write).enumerate();
    written.filter(move |(at, _)| all || of_each.get(*at) == Some(&true)).map(|(_, tensor)| tensor)
}

fn moved(tape: &Tape, taken: Taken) -> u64 {
    let written: Vec<_> = operands(taken, Access::Write).collect();
    // A kernel that works in place has its map twice.
    let read = operands(taken, Access::Read).filter(|tensor| written.iter().all(|other| other.id != tensor.id));
    read.chain(written.iter().copied()).chain(added(taken)).map(|tensor| tape.bytes(tensor)).sum()
}

/// A value, or a part of one.
type Place = (usize, Option<usize>);

/// What is in memory, of what there would be where all is fused.
struct Least<'a> {
    tape: &'a Tape,
    /// Values that are not: those they are computed from, and their bytes.
    made_of: BTreeMap<Place, BTreeMap<Place, u64>>,
}

impl Least<'_> {
    fn place(&self, tensor: Tensor) -> Place {
        (self.tape.root(tensor), self.tape.is_slice(tensor).then_some(tensor.id))
    }

    /// What is read from memory of these.
    fn sources(&self, tensors: impl Iterator<Item = Tensor>) -> BTreeMap<Place, u64> {
        let of = |tensor: Tensor| {
            let place = self.place(tensor);
            self.made_of.get(&place).cloned().unwrap_or_else(|| [(place, self.tape.bytes(tensor))].into())
        };
        tensors.flat_map(of).collect()
    }

    fn of(&mut self, taken: Taken, later: &[Taken]) -> u64 {
        let bytes =
            |tensors: &mut dyn Iterator<Item = Tensor>| tensors.map(|tensor| self.tape.bytes(tensor)).sum::<u64>();
        let written = bytes(&mut operands(taken, Access::Write));
        let sum = |sources: &BTreeMap<Place, u64>| sources.values().sum::<u64>();
        match part(taken.0) {
            Part::Own => {
                let read = sum(&self.sources(operands(taken, Access::Read).chain(added(taken))));
                for tensor in operands(taken, Access::Write) {
                    self.made_of.remove(&self.place(tensor));
                }
                read + written
            }
            Part::Sums => {
                // Maps come first, the one that was written last behind the other.
                let maps: Vec<_> = operands(taken, Access::Read).filter(|tensor| tensor.shape.pixels() > 1).collect();
                let (newest, others) =
                    maps.split_last().map_or((None, &maps[..]), |(newest, others)| (Some(*newest), others));
                let kept = newest.filter(|newest| !self.made_of.contains_key(&self.place(*newest)));
                let read = others.iter().copied().chain(newest.filter(|_| kept.is_none()));
                sum(&self.sources(read)) + written
            }
            Part::Sweep => {
                let maps: Vec<_> = operands(taken, Access::Read).filter(|read| read.shape.pixels() > 1).collect();
                let (mut least, mut read) = (0, BTreeMap::new());
                for result in operands(taken, Access::Write) {
                    // What one result is added to is not read for another.
                    let own = added(taken).filter(|to| to.id == result.id);
                    let sources = self.sources(maps.iter().copied().chain(own));
                    let (place, whole, from) = (self.place(result), self.tape.bytes(result), sum(&sources));
                    let kept = self.uses(place, later).is_none_or(|uses| from + whole * (1 + uses) < from * uses);
                    if kept {
                        self.made_of.remove(&place);
                        least += whole;
                        read.extend(sources);
                    } else {
                        self.made_of.insert(place, sources);
                    }
                }
                least + sum(&read)
            }
        }
    }

    /// How many launches read a value before it is written again; `None` where it must be in memory: it is a part of another, a part of it
    /// is read, or it is a result of the step.
    fn uses(&self, place: Place, later: &[Taken]) -> Option<u64> {
        let mut uses = 0;
        for &taken in later {
            let is = |tensor: Tensor| self.place(tensor) == place;
            let touched = operands(taken, Access::Read).chain(operands(taken, Access::Write));
            if touched.filter(|tensor| self.tape.root(*tensor) == place.0).any(|tensor| !is(tensor)) {
                return None;
            }
            let adds = added(taken).any(is);
            uses += u64::from(adds || operands(taken, Access::Read).any(is));
            if adds || operands(taken, Access::Write).any(is) {
                break;
            }
        }
        Some(uses).filter(|&uses| uses > 0 && place.1.is_none())
    }
}

#[cfg(test)]
mod tests {
    use gatefold::train::Precision;
    use gatefold_engine::ops::add::add;
    use gatefold_engine::ops::max_pool::max_pool;
    use gatefold_engine::ops::relu::relu;
    use gatefold_engine::ops::window::Window;
    use gatefold_engine::tensor::Shape;

    use super::super::Source;
    use super::*;

    #[test]
    fn what_goes_number_by_number_costs_what_its_readers_read() {
        let adapter = AdapterSummary::weakest();
        let mut tape = Tape::new();
        let [x, z] = [(); 2].map(|()| tape.input(Shape::new(1, 8, 8, 4)));
        let bytes = tape.bytes(x);
        let once = relu(&mut tape, x);
        let sum = add(&mut tape, once, z).unwrap();
        let window = Window::square(2, 2, 0);
        let mut of = |uses: usize| {
            for _ in 0..uses {
                let pooled = max_pool(&mut tape, sum, window).unwrap();
                tape.keep(pooled);
            }
            let kinds = Traffic::of(&tape, &adapter).unwrap();
            (kinds["relu forward"], kinds["add forward"], kinds["max_pool forward"])
        };
        let (relu, add, pools) = of(1);
        assert_eq!(relu, Traffic { moved: 2 * bytes, least: 0 });
        assert_eq!(add, Traffic { moved: 3 * bytes, least: 0 });
        assert_eq!(pools.least, pools.moved + bytes);
        // Four readers of two maps read more than one of both that leaves the sum.
        let (_, add, pools) = of(3);
        assert_eq!(add.least, add.moved);
        assert_eq!(pools.least, pools.moved);
    }

    #[test]
    fn every_step_moves_more_than_the_least_and_not_much_more() {
        let adapter = AdapterSummary { f16: true, ..AdapterSummary::weakest() };
        for precision in [Precision::F32, Precision::Mixed] {
            let source = Source { net: Some("all".to_owned()), batch: 2, size: 96, precision };
            for (name, tape) in source.tapes(&adapter).unwrap().unwrap() {
                let kinds = Traffic::of(&tape, &adapter).unwrap();
                let ratio = Traffic::sum(kinds.values()).ratio();
                assert!((1.0..3.0).contains(&ratio), "{name} {precision}: {ratio}");
            }
        }
    }
}
