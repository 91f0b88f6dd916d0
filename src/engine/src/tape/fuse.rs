//! Epilogues: what a launch does to its result before it stores it, in place of launches of their own.
//!
//! A ReLU, the sum at the end of a residual block, and batch-norm in inference read a map and write another of the same shape.
//! Where nobody else wants the map they read, the kernel that makes it does their work on the numbers it holds, and the map never
//! exists. So it is with the gradient of a ReLU behind that of a max-pooling. The numbers are those of the launches apart: the same
//! operations in the same order.

use std::collections::{HashMap, HashSet};

use super::{Access, Home, Launch, MOST_OPERANDS, Tape};
use crate::gpu::Kernel;
use crate::tensor::Tensor;

/// What a launch does that the one before it could do as its epilogue. It reads a map, writes one, and needs no neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Follow {
    /// `(x - mean) * scale + shift` with vectors of one number per channel, then perhaps a ReLU.
    Normalise { vectors: [Tensor; 3], rectified: bool },
    /// The sum with another map, then perhaps a ReLU.
    Add { rectified: bool },
    /// A ReLU alone.
    Relu,
    /// The gradient of a ReLU whose output is given, not added to anything.
    ReluGradient(Tensor),
    /// Statistics of each [`STATISTICS`] pixels of the map, which stays.
    Statistics,
}

/// Pixels whose statistics a kernel keeps together.
pub(crate) const STATISTICS: usize = 32;

/// How far a launch's kernels can go on. The steps of an epilogue have an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Epilogue {
    /// The kernels do not import `gatefold::epilogue`.
    #[default]
    None,
    /// They do, and nothing follows yet.
    Open,
    Normalised,
    Added,
    Rectified,
}

impl Tape {
    /// Lets launches end with what follows them, wherever the map between the two has no other reader. To be called once, after
    /// everything is recorded and before [`Tape::recompute`]. Returns the number of launches saved, or saved where kernels allow.
    pub fn fuse(&mut self) -> usize {
        let phase_of: Vec<usize> =
            self.phases().into_iter().enumerate().flat_map(|(phase, launches)| launches.map(move |_| phase)).collect();
        let mut launches: Vec<Option<Launch>> = std::mem::take(&mut self.launches).into_iter().map(Some).collect();
        let mut uses = Uses::new(self, &launches);
        for consumer in 0..launches.len() {
            self.keep_statistics(&mut launches, &mut uses, consumer, &phase_of);
            let fused = launches[consumer].as_ref().and_then(|launch| {
                launch.reads().find_map(|between| {
                    let producer = self.producer(&launches, &uses, consumer, between)?;
                    let fused = self.with_epilogue(launches[producer].as_ref()?, launch, between)?;
                    (phase_of[producer] == phase_of[consumer]).then_some((producer, between, fused))
                })
            });
            if let Some((producer, between, fused)) = fused {
                self.absorbed.extend(fused.result().map(|result| (between.id, result.id)));
                uses.moved(self, &fused, producer, consumer, between);
                launches[producer] = None;
                launches[consumer] = Some(fused);
            }
        }
        let left = |end: &usize| launches[..*end].iter().flatten().count();
        let ends = self.phases.iter().map(left).collect();
        let before = launches.len();
        self.phases = ends;
        self.launches = launches.into_iter().flatten().collect();
        before - self.launches.len() + self.launches.iter().filter(|launch| launch.elidable).count()
    }

    /// Values that never exist, and those that are stored in their place, by their numbers.
    pub fn fused(&self) -> impl Iterator<Item = (usize, usize)> {
        let stored =
            |value: &usize| std::iter::successors(Some(*value), |value| self.absorbed.get(value).copied()).last();
        self.absorbed.keys().filter_map(move |value| Some((*value, self.root(self.whole(stored(value)?)))))
    }

    /// If `consumer` makes statistics of a map whose producer can keep them, lets the producer do so. The launch stays on the list, for
    /// the producer's other kernels; a plan leaves it out where it can.
    fn keep_statistics(&self, launches: &mut [Option<Launch>], uses: &mut Uses, consumer: usize, phase_of: &[usize]) {
        let Some(launch) = launches[consumer].as_ref().filter(|l| l.follow == Some(Follow::Statistics)) else { return };
        let Some(map) = launch.reads().next() else { return };
        let kept: Vec<_> = launch.writes().map(|tensor| (tensor, Access::Write)).collect();
        // Whoever wrote the map's storage last must have written this map.
        let mut before = uses.of(self.root(map)).iter().rev().filter(|&&(at, _)| at < consumer);
        let Some(&(producer, _)) = before.find(|(_, access)| *access == Access::Write) else { return };
        let fits = |producer: &&mut Launch| {
            producer.result() == Some(map)
                && producer.can_keep_statistics()
                && producer.operands.len() + kept.len() <= MOST_OPERANDS
        };
        let Some(launch) =
            launches[producer].as_mut().filter(fits).filter(|_| phase_of[producer] == phase_of[consumer])
        else {
            return;
        };
        let define = [("THEN_STATISTICS", launch.operands.len() as u32 + 1)];
        let kernels = std::mem::take(&mut launch.kernels).into_iter();
        let able = |kernel: Kernel| match kernel.can_keep_statistics {
            true => Kernel { keeps_statistics: true, ..defined(kernel, &define) },
            false => kernel,
        };
        launch.kernels = kernels.map(able).collect();
        launch.operands.extend(kept.iter().copied());
        launch.statistics = true;
        for (tensor, access) in kept {
            uses.add(self.root(tensor), (producer, access));
        }
        if let Some(launch) = &mut launches[consumer] {
            launch.elidable = true;
        }
    }

    /// Whether the launch that made a map can keep its statistics.
    pub(crate) fn keeps_statistics(&self, map: Tensor) -> bool {
        let producer = self.launches.iter().rev().find(|launch| launch.result() == Some(map));
        producer.is_some_and(Launch::can_keep_statistics)
    }

    /// The launch that makes `between`, if it makes it for `consumer` alone, and may as well run in `consumer`'s place.
    fn producer(&self, launches: &[Option<Launch>], uses: &Uses, consumer: usize, between: Tensor) -> Option<usize> {
        if self.values[between.id].home != Home::Own || uses.has_parts.contains(&between.id) {
            return None;
        }
        let &[(producer, Access::Write), (reader, Access::Read)] = uses.of(between.id) else { return None };
        let unchanged = |tensor: Tensor| {
            let written = |&(at, access): &(usize, Access)| access == Access::Write && producer < at && at <= consumer;
            !uses.of(self.root(tensor)).iter().any(written)
        };
        (reader == consumer && launches[producer].as_ref()?.reads().all(unchanged)).then_some(producer)
    }

    /// `producer` with the work of `consumer`, which reads `between`, as its epilogue.
    fn with_epilogue(&self, producer: &Launch, consumer: &Launch, between: Tensor) -> Option<Launch> {
        let result = consumer.result()?;
        if let Some(Follow::ReluGradient(rectified)) = consumer.follow {
            return self.with_rectified_maxima(producer, rectified, between, result);
        }
        let mut fused = producer.clone();
        let mut define = vec![];
        let binding = fused.operands.len() as u32 + 1;
        let rectified = match consumer.follow? {
            Follow::Normalise { vectors, rectified } if producer.epilogue == Epilogue::Open => {
                fused.operands.extend(vectors.map(|vector| (vector, Access::Read)));
                define.push(("THEN_NORMALISE", binding));
                fused.epilogue = Epilogue::Normalised;
                rectified
            }
            Follow::Add { rectified } if (Epilogue::Open..Epilogue::Added).contains(&producer.epilogue) => {
                let residual = consumer.reads().find(|&read| read != between)?;
                if residual.shape != result.shape || self.is_slice(residual) {
                    return None;
                }
                fused.operands.push((residual, Access::Read));
                define.push(("THEN_ADD", binding));
                fused.epilogue = Epilogue::Added;
                rectified
            }
            Follow::Relu if (Epilogue::Open..Epilogue::Rectified).contains(&producer.epilogue) => true,
            _ => return None,
        };
        if rectified {
            define.push(("THEN_RELU", 1));
            fused.epilogue = Epilogue::Rectified;
        }
        let mut fused = self.storing(fused, result, between)?;
        fused.kernels = fused.kernels.into_iter().map(|kernel| defined(kernel, &define)).collect();
        fused.flops += consumer.flops;
        fused.cheap &= consumer.cheap;
        Some(fused)
    }

    /// The gradient of pooled maxima with that of the ReLU before them. Where a window's maximum came from, the ReLU's output is that
    /// maximum, so the maxima tell where it let anything through, and the map that they were taken of need not be kept.
    fn with_rectified_maxima(
        &self,
        producer: &Launch,
        rectified: Tensor,
        between: Tensor,
        result: Tensor,
    ) -> Option<Launch> {
        let [_, maxima] = producer.maxima.filter(|[of, _]| *of == rectified)?;
        let mut fused = self.storing(producer.clone().read(maxima).view(maxima), result, between)?;
        let binding = fused.operands.len() as u32;
        fused.kernels = fused.kernels.into_iter().map(|kernel| kernel.def("RECTIFIED", binding)).collect();
        fused.maxima = None;
        Some(fused)
    }

    /// The launch with `result` stored in place of `between`; `None` if it has more operands than adapters bind, or reads what
    /// shares storage with `result`.
    fn storing(&self, mut fused: Launch, result: Tensor, between: Tensor) -> Option<Launch> {
        if fused.operands.len() > MOST_OPERANDS || fused.reads().any(|read| self.share_storage(read, result)) {
            return None;
        }
        fused.replace(between, result);
        Some(fused)
    }
}

/// A kernel with an epilogue, or with more of it.
fn defined(kernel: Kernel, define: &[(&'static str, u32)]) -> Kernel {
    let moves = if kernel.needs.aligned { "THEN_FOUR" } else { "THEN_ONE" };
    let kernel = if kernel.defs.iter().any(|(name, _)| *name == moves) { kernel } else { kernel.def(moves, 1) };
    define.iter().fold(kernel, |kernel, &(name, value)| kernel.def(name, value))
}

/// Who touches which storage, by its root: places in the list of launches, in order.
struct Uses {
    by_root: HashMap<usize, Vec<(usize, Access)>>,
    /// Values that slices or aliases are part of.
    has_parts: HashSet<usize>,
}

impl Uses {
    fn new(tape: &Tape, launches: &[Option<Launch>]) -> Self {
        let mut by_root: HashMap<usize, Vec<_>> = HashMap::new();
        for (at, launch) in launches.iter().enumerate() {
            for &(tensor, access) in launch.iter().flat_map(|launch| &launch.operands) {
                by_root.entry(tape.root(tensor)).or_default().push((at, access));
            }
        }
        Self { by_root, has_parts: tape.values.iter().filter_map(|value| value.home.part_of()).collect() }
    }

    fn of(&self, root: usize) -> &[(usize, Access)] {
        self.by_root.get(&root).map_or(&[], Vec::as_slice)
    }

    /// Notes a place, in order and once.
    fn add(&mut self, root: usize, place: (usize, Access)) {
        let uses = self.by_root.entry(root).or_default();
        if !uses.contains(&place) {
            uses.push(place);
        }
        uses.sort_unstable_by_key(|&(at, _)| at);
    }

    /// The launch at `producer` has become part of the one at `consumer`.
    fn moved(&mut self, tape: &Tape, fused: &Launch, producer: usize, consumer: usize, between: Tensor) {
        self.by_root.remove(&between.id);
        for &(tensor, access) in &fused.operands {
            let root = tape.root(tensor);
            let places = self.by_root.entry(root).or_default().iter_mut();
            places.filter(|(at, _)| *at == producer).for_each(|(at, _)| *at = consumer);
            self.add(root, (consumer, access));
        }
    }
}
