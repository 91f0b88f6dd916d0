//! What the ops' files stand on: rows and how they are run, compared and reported.

mod array;
mod check;
mod coverage;
mod finding;
mod list;
mod norm;
mod reference;
mod report;
mod row;
mod runner;
mod selection;
pub mod shaders;
pub mod translate;

pub use array::Array;
pub use check::{Placement, STEP, check, placements, record_row, tapes};
pub use coverage::{Coverage, EXEMPTIONS, Exemption, State, Trait};
pub use finding::{Finding, Outcome, Run, Verdict, Worst};
pub use list::Listing;
pub use norm::RelativeNormEq;
pub use reference::Reference;
pub use report::{Part, Report, Skipped, Totals};
pub use row::{Checked, Input, Row, RowKind};
pub use runner::Runner;
pub use selection::{Selection, known_op};
