//! What there is to run, told without an adapter.

use std::collections::BTreeSet;

use gatefold_engine::Result;
use serde::Serialize;

use super::{Row, placements, tapes};

/// An op, its cases and its kernels.
#[derive(Serialize)]
pub struct Listing {
    pub op: &'static str,
    pub cases: Vec<Case>,
    /// All kernels that its launches can choose from, whether an adapter can run them or not; those of other ops where it is made
    /// of them. Rows that run themselves do not tell theirs; the rows for the bench do.
    pub kernels: BTreeSet<String>,
}

/// A row that is run, and how its tensors lie.
#[derive(Serialize)]
pub struct Case {
    pub case: String,
    pub placements: Vec<String>,
}

impl Listing {
    /// Of each op with a wanted row, in the order of the rows.
    ///
    /// # Errors
    /// If a row cannot be recorded.
    pub fn of(rows: &[Row], wanted: impl Fn(&Row) -> bool) -> Result<Vec<Self>> {
        let mut listings: Vec<Self> = vec![];
        for row in rows.iter().filter(|row| !row.bench && wanted(row)) {
            let placements = placements(row)?.iter().map(ToString::to_string).collect();
            let case = Case { case: row.name.clone(), placements };
            match listings.last_mut().filter(|listing| listing.op == row.op) {
                Some(listing) => listing.cases.push(case),
                None => listings.push(Self { op: row.op, cases: vec![case], kernels: kernels(rows, row.op)? }),
            }
        }
        Ok(listings)
    }
}

fn kernels(rows: &[Row], op: &str) -> Result<BTreeSet<String>> {
    let tapes: Vec<_> = rows.iter().filter(|row| row.op == op).map(tapes).collect::<Result<_>>()?;
    let launches = || tapes.iter().flatten().flat_map(|tape| tape.launches());
    let own = launches().any(|launch| launch.op == op);
    let launches = launches().filter(|launch| !own || launch.op == op);
    Ok(launches.flat_map(|launch| &launch.kernels).map(|kernel| kernel.variant()).collect())
}
