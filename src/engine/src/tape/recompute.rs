//! Computing again instead of keeping, as Chen and others (2016) do, for what costs next to nothing.
//!
//! A normalised and rectified map is read by the next convolution and, much later, by the gradient of that convolution's
//! weights. In between it takes memory, although what it was made from is kept anyway, for batch-norm's own gradient. So the
//! launch that made it is run a second time, just before the gradient needs it. The same kernel on the same numbers gives the
//! same bits.

use super::{Access, Home, Launch, Tape};
use crate::tensor::Tensor;

impl Tape {
    /// Lets values that a [cheap](Launch::cheap) launch made die after their first readers, and makes them anew for those that
    /// read them later, wherever all that the launch reads lives until then. To be called once, after everything is recorded.
    /// Returns the number of launches added.
    pub fn recompute(&mut self) -> usize {
        let before = self.launches.len();
        // From the last to the first, so that the places of those still to come stay as they are.
        for at in (0..before).rev() {
            if let Some((made, later)) = self.made_early(at) {
                self.make_again(at, made, later);
            }
        }
        self.launches.len() - before
    }

    /// What the launch at `at` makes, and the place of the launch before which to make it again; `None` if it should be kept.
    fn made_early(&self, at: usize) -> Option<(Tensor, usize)> {
        let launch = &self.launches[at];
        let made = launch.result()?;
        let seen_otherwise = || self.values.iter().any(|value| value.home.part_of() == Some(made.id));
        if !launch.cheap || self.values[made.id].home != Home::Own || seen_otherwise() {
            return None;
        }
        // No value outlives its phase: the host may run a phase several times.
        let end = self.phases().into_iter().find(|phase| phase.contains(&at))?.end;
        let mut places = vec![at];
        for (place, later) in self.launches.iter().enumerate().take(end).skip(at + 1) {
            match later.operands.iter().find(|(tensor, _)| tensor.id == made.id) {
                Some((_, Access::Write)) => return None,
                Some((_, Access::Read)) => places.push(place),
                None => {}
            }
        }
        // The longest gap between two reads. A short one frees nothing at the busiest moment.
        let (asleep, awake) = places.windows(2).map(|pair| (pair[0], pair[1])).max_by_key(|(a, b)| b - a)?;
        if asleep == at || awake - asleep < SHORTEST {
            return None;
        }
        let lives = |tensor: Tensor| {
            let root = self.root(tensor);
            let touched = |launch: &Launch| launch.operands.iter().any(|&(t, _)| self.root(t) == root);
            let changed = |launch: &Launch| launch.writes().any(|t| self.root(t) == root);
            !self.launches[at + 1..awake].iter().any(changed)
                && (self.values[root].home != Home::Own || self.launches[awake..end].iter().any(touched))
        };
        launch.reads().all(lives).then_some((made, awake))
    }

    fn make_again(&mut self, at: usize, made: Tensor, later: usize) {
        let again = self.scratch_like(made);
        self.launches[later..].iter_mut().for_each(|launch| launch.replace(made, again));
        let mut launch = self.launches[at].clone();
        launch.replace(made, again);
        self.launches.insert(later, launch);
        for end in &mut self.phases {
            *end += usize::from(*end > later);
        }
    }
}

/// Launches between two readers that make it worth while.
const SHORTEST: usize = 16;
