//! What several ranks do together: a step of all their gradients, and the same weights everywhere.

use gatefold_engine::params::Arena;
use gatefold_engine::plan::{Bucket, Ticket};
use gatefold_engine::tape::Meeting;

use super::Trainer;
use super::course::{Course, factor};
use super::shares::Shares;
use super::totals::{Shown, Submitted};
use crate::nets::MOMENTUM;
use crate::ranks::Ranks;
use crate::{Error, Result};

/// All that training changes.
pub(super) const TRAINED: [Arena; 4] = [Arena::Parameters, Arena::State, Arena::Moment1, Arena::Moment2];

/// Words of the gradients that are summed up at a time at least: large enough that a message costs its bytes and not its beginning,
/// small enough that the first one starts early.
const BUCKET: usize = 1 << 20;

impl Trainer {
    /// Trains together with others from now on: with the first one's weights, and on the same covers. Before training, and all ranks
    /// at once.
    ///
    /// # Errors
    /// [`Error::Run`] if this rank sees another data set than the first one.
    pub fn join(&mut self, ranks: &Ranks) -> Result<()> {
        self.ranks = ranks.clone();
        if ranks.is_alone() {
            return Ok(());
        }
        if ranks.of_first(self.header.fingerprint.clone())? != self.header.fingerprint {
            return Err(Error::run(format!(
                "{}: is another data set than rank 0 has there: all ranks must see the same files, so give --out on a file system that \
                 all hosts share",
                self.run.data().display()
            )));
        }
        self.header = ranks.of_first(self.header.clone())?;
        self.agree(&TRAINED)
    }

    /// Gives all ranks what the first one has. On adapters of one kind they have it already; others may round otherwise, and must not
    /// drift apart.
    pub(super) fn agree(&self, arenas: &[Arena]) -> Result<()> {
        if self.ranks.is_alone() {
            return Ok(());
        }
        for &arena in arenas {
            let first = self.ranks.is_first();
            let own = if first { bytes(&self.store.read(&self.gpu, arena)?) } else { vec![] };
            let words: Vec<f32> = bytemuck::pod_collect_to_vec(&self.ranks.broadcast(own));
            if !first {
                self.store.write(&self.gpu, arena, &words)?;
            }
        }
        Ok(())
    }

    /// Which of so many batches are whose.
    pub(super) fn shares(&self, batches: usize) -> Shares {
        let (ranks, rank) = (self.ranks.count(), self.ranks.rank());
        Shares { batches, each: self.config.accumulate, ranks, rank, as_one: self.config.sync_batch_norm }
    }

    /// Before the first step of several: all ranks have the same running statistics now.
    pub(super) fn begin_steps(&mut self) -> Result<()> {
        if !self.ranks.is_alone() {
            self.followed = self.store.read(&self.gpu, Arena::State)?;
        }
        Ok(())
    }

    /// Hands a batch to the device, and, where it `ends` a step of a process by itself, the step. Where it ends that of several, the
    /// sum of all ranks' gradients begins while the backward pass still runs.
    pub(super) fn submit_batch(&mut self, ends: bool) -> Result<Ticket> {
        let alone = self.ranks.is_alone();
        let (phases, ranks) = (self.step.phases(self.kept.is_some(), ends && alone), &self.ranks);
        // The statistics of all batches have the host's attention until the pass is done.
        if ends && !alone && !self.config.sync_batch_norm {
            let (gpu, store, mut started) = (&self.gpu, &self.store, vec![]);
            let buckets = self.plan.buckets(phases.clone(), BUCKET);
            let ticket = self.plan.submit_buckets(phases, &buckets, |bucket| {
                started.push(store.download(gpu, Arena::Gradients, bucket.words.clone())?);
                Ok(())
            })?;
            let mut spare = std::mem::take(&mut self.summed).into_iter();
            for (bucket, download) in buckets.into_iter().zip(started) {
                let sum = ranks.begin_sum(store.downloaded(gpu, download, spare.next().unwrap_or_default())?);
                self.sums.push((bucket.words.start, sum));
            }
            return Ok(ticket);
        }
        self.plan.submit_meeting(phases, |meeting, own| {
            let all = ranks.all_gather(bytes(&own.concat()));
            let all: Vec<Vec<f32>> = all.iter().map(|of| bytemuck::pod_collect_to_vec(of)).collect();
            Ok(of_all(meeting, &all))
        })
    }

    /// Makes a step of all ranks' gradients, of so many batches each. Gives what it showed, and the gradient's norm.
    pub(super) fn make_step(&mut self, batches: Vec<usize>, shown: &[Shown]) -> Result<(Vec<Shown>, f64)> {
        let (gpu, store, ranks) = (&self.gpu, &self.store, &self.ranks);
        let mut sums = std::mem::take(&mut self.sums);
        if sums.is_empty() {
            // With the statistics of all batches, or without a batch in this step, nothing has begun yet.
            let mut spare = std::mem::take(&mut self.summed).into_iter();
            for Bucket { words, .. } in self.plan.buckets(self.step.phases(self.kept.is_some(), false), BUCKET) {
                let download = store.download(gpu, Arena::Gradients, words.clone())?;
                let own = store.downloaded(gpu, download, spare.next().unwrap_or_default())?;
                sums.push((words.start, ranks.begin_sum(own)));
            }
        }
        for (first, sum) in sums {
            self.summed.push(ranks.end_sum(sum));
            store.write_from(gpu, Arena::Gradients, first, self.summed.last().map_or(&[], Vec::as_slice))?;
        }
        // With the statistics of all batches they are the same already.
        if !self.config.sync_batch_norm {
            let states = self.store.read(&self.gpu, Arena::State)?;
            let before = std::mem::take(&mut self.followed);
            self.followed = self.ranks.follow(before, states, batches, 1.0 - f64::from(MOMENTUM));
            self.store.write(&self.gpu, Arena::State, &self.followed)?;
        }
        let ticket = self.plan.submit_phases(self.step.last_phase())?;
        let all = self.ranks.all_gather(bytes(shown));
        let all = all.iter().flat_map(|of| bytemuck::pod_collect_to_vec::<u8, Shown>(of)).collect();
        let results = self.plan.results(ticket)?;
        Ok((all, f64::from(results.get(self.step.grad_norm)?[0])))
    }

    /// Waits for a batch, and, where it is this rank's last one in the step, makes the step.
    pub(super) fn look_together(&mut self, batch: Submitted, batches: Vec<usize>, course: &mut Course) -> Result<()> {
        let Submitted { rate, ends, .. } = batch;
        course.own.push(self.shown(batch)?.0);
        if ends { self.step_together(rate, batches, course) } else { Ok(()) }
    }

    /// Makes a step of all ranks' gradients, and takes in what all batches have shown, in their order: so all ranks know the same, and
    /// stop in the same step.
    pub(super) fn step_together(&mut self, rate: f32, batches: Vec<usize>, course: &mut Course) -> Result<()> {
        let (all, grad_norm) = self.make_step(batches, &std::mem::take(&mut course.own))?;
        self.header.step += 1;
        self.average_step()?;
        course.next_factor = Some(factor(&self.header));
        let (step, count) = (self.header.step, all.len());
        for (number, shown) in (1..).zip(all) {
            self.take_in(shown, (number == count).then_some(grad_norm), step, rate, course)?;
        }
        Ok(())
    }
}

fn bytes<T: bytemuck::NoUninit>(words: &[T]) -> Vec<u8> {
    bytemuck::cast_slice(words).to_vec()
}

/// What all ranks' batches, which are of one size, come to: of each rank the numbers of a meeting, one tensor's after the other's. In
/// the order of the ranks and in 64 bits, so that all ranks get the same.
fn of_all(meeting: Meeting, ranks: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let words = |at: usize| ranks.iter().map(move |words| f64::from(words[at]));
    let mean = |at: usize| words(at).sum::<f64>() / ranks.len() as f64;
    let len = ranks.first().map_or(0, Vec::len);
    match meeting {
        Meeting::Sum(_) => vec![(0..len).map(|at| words(at).sum::<f64>() as f32).collect()],
        Meeting::Statistics { .. } => {
            let c = len / 2;
            // The variance within the batches, and that of their means (Chan, Golub and LeVeque, 1979).
            let variance = |at: usize| {
                let middle = mean(at);
                let between = words(at).map(|word| (word - middle).powi(2)).sum::<f64>() / ranks.len() as f64;
                (mean(c + at) + between) as f32
            };
            vec![(0..c).map(|at| mean(at) as f32).collect(), (0..c).map(variance).collect()]
        }
    }
}

#[cfg(test)]
mod tests {
    use gatefold_engine::tape::{Meeting, Tape};
    use gatefold_engine::tensor::Shape;

    use super::of_all;

    #[test]
    fn statistics_of_all_batches_are_those_of_one_that_has_them_all() {
        let batches: [[f64; 4]; 3] = [[1.0, 2.0, 4.0, 8.0], [-3.0, 0.5, 0.25, 7.0], [100.0, 101.0, 99.0, 104.0]];
        let statistics = |words: &[f64]| {
            let mean = words.iter().sum::<f64>() / words.len() as f64;
            [mean, words.iter().map(|word| (word - mean).powi(2)).sum::<f64>() / words.len() as f64]
        };
        let vector = Tape::new().input(Shape::vector(1));
        let ranks: Vec<Vec<f32>> = batches.iter().map(|batch| statistics(batch).map(|x| x as f32).to_vec()).collect();
        let got = of_all(Meeting::Statistics { mean: vector, variance: vector }, &ranks);
        let wanted = statistics(batches.as_flattened());
        for (got, wanted) in got.iter().zip(wanted) {
            assert!((f64::from(got[0]) / wanted - 1.0).abs() < 1e-6, "{got:?}, not {wanted}");
        }
        assert_eq!(of_all(Meeting::Sum(vector), &[vec![1.0, 2.0], vec![3.0, -4.0]]), [[4.0, -2.0]]);
    }
}
