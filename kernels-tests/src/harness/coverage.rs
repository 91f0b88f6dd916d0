//! Which ops have rows for which traits, derived from what the rows launched.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::tape::Access;
use gatefold_engine::tensor::Shape;
use serde::Serialize;

use super::runner::{Noticed, lacks};
use super::{Finding, Outcome, Placement};

/// What rows of an op should bring into play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trait {
    /// A feature map with an odd number of elements, more than one: neither its pixels nor its channels divide by two. Where an op
    /// has no feature maps, an operand or a parameter.
    OddSizes,
    /// A feature map of one channel.
    OneChannel,
    /// A channel slice of something wider where the op reads feature maps, and one where it writes them; also with kernels of four
    /// channels at a time, where the op has such.
    Slices,
    /// A gradient that is added to what is there.
    Accumulation,
    /// A feature map in half precision.
    Halves,
    /// A kernel in more than one workgroup.
    SeveralWorkgroups,
    /// Each kernel that the op's launches can choose from and the adapter can run.
    EveryKernel,
}

impl Trait {
    pub const ALL: [Self; 7] = [
        Self::OddSizes,
        Self::OneChannel,
        Self::Slices,
        Self::Accumulation,
        Self::Halves,
        Self::SeveralWorkgroups,
        Self::EveryKernel,
    ];
}

/// As the table's heading has it.
impl fmt::Display for Trait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OddSizes => "odd sizes",
            Self::OneChannel => "one channel",
            Self::Slices => "slices",
            Self::Accumulation => "accumulation",
            Self::Halves => "halves",
            Self::SeveralWorkgroups => "several workgroups",
            Self::EveryKernel => "every kernel",
        })
    }
}

/// A trait that an op cannot have, though nothing that its rows launch tells so.
pub struct Exemption {
    pub op: &'static str,
    pub of: Trait,
    pub reason: &'static str,
}

const fn exempt(op: &'static str, of: Trait, reason: &'static str) -> Exemption {
    Exemption { op, of, reason }
}

/// All of them. A test fails where one is no longer needed.
pub const EXEMPTIONS: &[Exemption] = &[
    exempt("input", Trait::OddSizes, "pictures have four channels; odd heights and widths are among the rows"),
    exempt("input", Trait::OneChannel, "pictures have four channels"),
    exempt(
        "loss",
        Trait::OddSizes,
        "a record has a multiple of four numbers; odd numbers of records are among the rows",
    ),
    exempt("loss", Trait::SeveralWorkgroups, "one workgroup adds up all records, in a fixed order"),
];

/// Whether an op has rows for a trait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// `case` is the first row that shows it.
    Yes {
        case: String,
    },
    /// `missing` says what is, where it is not the trait as a whole.
    No {
        missing: Vec<String>,
    },
    NotApplicable {
        reason: String,
    },
    /// The adapter cannot tell.
    Skipped {
        reason: String,
    },
}

/// As the table has it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes { .. } => "yes",
            Self::No { .. } => "NO",
            Self::NotApplicable { .. } => "-",
            Self::Skipped { .. } => "skipped",
        })
    }
}

/// The traits of one op.
#[derive(Clone, Debug, Serialize)]
pub struct Coverage {
    pub op: &'static str,
    pub traits: BTreeMap<Trait, State>,
    /// Kernels that the rows ran.
    pub kernels: BTreeSet<String>,
    /// Kernels that the adapter cannot run, and what it lacks for them.
    pub skipped_kernels: BTreeMap<String, String>,
}

/// A launch and the case that made it.
type Seen<'a> = (&'a str, &'a Noticed);

impl Coverage {
    /// Of each op that has findings, in their order.
    pub fn of(findings: &[Finding], adapter: &AdapterSummary) -> Vec<Self> {
        let mut ops: Vec<&'static str> = findings.iter().map(|finding| finding.op).collect();
        ops.dedup();
        ops.into_iter().map(|op| Self::of_op(op, findings, adapter)).collect()
    }

    fn of_op(op: &'static str, findings: &[Finding], adapter: &AdapterSummary) -> Self {
        let findings = || findings.iter().filter(|finding| finding.op == op);
        let runs = || findings().flat_map(|finding| finding.runs.iter().map(|run| (finding.name.as_str(), run)));
        let ended = runs().filter(|(_, run)| matches!(run.outcome, Outcome::Measured(_)));
        let all: Vec<Seen> =
            ended.flat_map(|(case, run)| run.noted.launches.iter().map(move |launch| (case, launch))).collect();
        // An op that is made of others has no launches of its own.
        let own: Vec<Seen> = all.iter().copied().filter(|(_, seen)| seen.launch.op == op).collect();
        let seen = if own.is_empty() { all } else { own };
        let no_halves = runs().find_map(|(_, run)| match &run.outcome {
            Outcome::Skipped(reason) if run.placement == Placement::Half => Some(reason.clone()),
            _ => None,
        });

        let kernels = seen.iter().filter_map(|(_, seen)| Some(seen.kernel.as_ref()?.variant())).collect();
        let known = seen.iter().flat_map(|(_, seen)| &seen.launch.kernels);
        let skipped_kernels = known.filter_map(|k| Some((k.variant(), lacks(k, adapter)?))).collect();
        let mut coverage = Self { op, traits: BTreeMap::new(), kernels, skipped_kernels };
        for of in Trait::ALL {
            let state = match coverage.state(of, &seen) {
                State::No { .. } if of == Trait::Halves && no_halves.is_some() => {
                    State::Skipped { reason: no_halves.clone().unwrap_or_default() }
                }
                State::No { missing } => match EXEMPTIONS.iter().find(|e| (e.op, e.of) == (op, of)) {
                    Some(exemption) => State::NotApplicable { reason: exemption.reason.to_owned() },
                    None => State::No { missing },
                },
                state => state,
            };
            coverage.traits.insert(of, state);
        }
        coverage
    }

    fn state(&self, of: Trait, seen: &[Seen]) -> State {
        let no_maps = seen.iter().all(|(_, seen)| seen.maps.is_empty());
        let not_applicable = |reason: &str| State::NotApplicable { reason: reason.to_owned() };
        match of {
            Trait::OneChannel | Trait::Slices | Trait::Halves if no_maps => not_applicable("it has no feature maps"),
            Trait::OddSizes if no_maps => first(seen, |seen| seen.sizes.iter().any(is_odd)),
            Trait::OddSizes => first(seen, |seen| seen.maps.iter().any(|map| is_odd(&map.shape))),
            Trait::OneChannel => first(seen, |seen| seen.maps.iter().any(|map| map.shape.c == 1)),
            Trait::Slices => slices(seen),
            Trait::Accumulation => {
                let knows = |(_, seen): &Seen| seen.launch.kernels.iter().any(|k| k.constants.iter().any(accumulates));
                if seen.iter().any(knows) {
                    let on = |seen: &Noticed| {
                        let constants = seen.kernel.iter().flat_map(|kernel| &kernel.constants);
                        constants.filter(|constant| accumulates(constant)).any(|&(_, value)| value != 0)
                    };
                    first(seen, on)
                } else {
                    not_applicable("none of its kernels adds to what is there")
                }
            }
            Trait::Halves => first(seen, |seen| seen.maps.iter().any(|map| map.half)),
            Trait::SeveralWorkgroups => {
                first(seen, |seen| seen.kernel.iter().any(|kernel| kernel.workgroups.iter().product::<u32>() > 1))
            }
            Trait::EveryKernel => {
                let known = seen.iter().flat_map(|(_, seen)| &seen.launch.kernels).map(|kernel| kernel.variant());
                let idle =
                    |variant: &String| !self.kernels.contains(variant) && !self.skipped_kernels.contains_key(variant);
                let missing: BTreeSet<_> = known.filter(idle).collect();
                match seen.first() {
                    Some((case, _)) if missing.is_empty() => State::Yes { case: (*case).to_owned() },
                    _ => State::No { missing: missing.into_iter().collect() },
                }
            }
        }
    }
}

fn is_odd(size: &Shape) -> bool {
    size.len() > 1 && !size.len().is_multiple_of(2)
}

impl Finding {
    /// The kernels that ran, each with whether it met an odd size.
    pub fn kernels(&self) -> BTreeSet<(String, bool)> {
        let launches = self.runs.iter().flat_map(|run| &run.noted.launches);
        let met = |seen: &Noticed| {
            let odd = seen.sizes.iter().any(is_odd) || seen.maps.iter().any(|map| is_odd(&map.shape));
            Some((seen.kernel.as_ref()?.variant(), odd))
        };
        launches.filter_map(met).collect()
    }
}

/// The first case with a launch that ran and is like this.
fn first(seen: &[Seen], is_so: impl Fn(&Noticed) -> bool) -> State {
    match seen.iter().find(|(_, seen)| seen.kernel.is_some() && is_so(seen)) {
        Some((case, _)) => State::Yes { case: (*case).to_owned() },
        None => State::No { missing: vec![] },
    }
}

/// On each side on which the op has feature maps at all, by kernels of each width that it has.
fn slices(seen: &[Seen]) -> State {
    let (mut state, mut missing) = (State::No { missing: vec![] }, vec![]);
    for (access, verb) in [(Access::Read, "reads"), (Access::Write, "writes")] {
        let side = |seen: &Noticed| seen.maps.iter().any(|map| map.access == access);
        for (aligned, width) in [(false, "one channel"), (true, "four channels")] {
            let known = |seen: &Noticed| side(seen) && seen.launch.kernels.iter().any(|k| k.needs.aligned == aligned);
            if !seen.iter().any(|(_, seen)| known(seen)) {
                continue;
            }
            let is_so = |seen: &Noticed| {
                let of_width = seen.kernel.iter().any(|kernel| kernel.needs.aligned == aligned);
                of_width && seen.maps.iter().any(|map| map.access == access && map.slice)
            };
            match first(seen, is_so) {
                State::No { .. } => missing.push(format!("a kernel of {width} at a time that {verb} one")),
                yes => state = yes,
            }
        }
    }
    if missing.is_empty() { state } else { State::No { missing } }
}

fn accumulates(constant: &(&'static str, i32)) -> bool {
    constant.0.starts_with("ACCUMULATE")
}
