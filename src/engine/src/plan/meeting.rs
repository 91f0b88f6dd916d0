//! Runs that stop where several processes make something together.

use std::ops::Range;

use super::{Plan, Ticket};
use crate::Result;
use crate::tape::Meeting;

impl Plan {
    /// Like [`Plan::submit_phases`], with what `together` makes of the numbers of a [`Meeting`] and of the same of other processes: as
    /// many, in the same order.
    ///
    /// # Errors
    /// As [`Plan::results`], and those of `together`.
    pub fn submit_meeting(
        &mut self,
        phases: Range<usize>,
        mut together: impl FnMut(Meeting, Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>>,
    ) -> Result<Ticket> {
        let steps = self.steps_of(phases);
        let mut start = steps.start;
        for at in steps.clone() {
            let Some(meeting) = self.steps[at].meeting else { continue };
            let ticket = self.submit_steps(start..at + 1)?;
            start = at + 1;
            let results = self.results(ticket)?;
            let own = meeting.tensors().into_iter().map(|tensor| results.get(tensor)).collect::<Result<_>>()?;
            for (tensor, of_all) in meeting.tensors().into_iter().zip(together(meeting, own)?) {
                self.write(tensor, &of_all)?;
            }
        }
        self.submit_steps(start..steps.end)
    }
}
