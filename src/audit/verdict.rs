//! One paragraph from all findings: what was found, how sure it is, what to do next.

use std::collections::BTreeSet;

use serde::Serialize;

pub mod leak;

use super::controls::Controls;
use super::probe::{ClassProbe, Probe};
use super::remake;
use super::source::Source;
use crate::data::Harmonise;

/// The lower end of an area's interval must lie above this to count: right in three pairs of five. What lies below is hardly worth
/// a network's while.
pub const LEAST_AUC: f64 = 0.6;
/// An area of pixel statistics must fall by this much, again by its interval's lower end, when all pictures are degraded alike:
/// that degradation takes traces of making and leaves most of the content.
pub const LEAST_DROP: f64 = 0.05;
/// From this area on (lower end) pixel statistics count even if degrading leaves them: no content is that regular, but a strong
/// blur or an enlargement survives it.
pub const CERTAIN_AUC: f64 = 0.9;
/// The source counts if the label depends on it at least this much (Cramér's V).
pub const LEAST_V: f64 = 0.2;
/// If only stronger differences than this could be found, nothing found means nothing.
pub const MOST_UNDETECTED: f64 = 0.85;
/// Standard deviations between a threshold and an area that passes it four times out of five with its 95 % interval: 1.96 + 0.84.
const POWER: f64 = 2.80;

/// What a probe's answer about one class means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// No more than meaningless labels give, or too weak to count.
    Nothing,
    /// The class can be told, but about as well after all pictures were degraded alike: what covers show explains it.
    Content,
    /// The class can be told by how its pictures were made.
    Shortcut,
}

/// What pixel statistics of one class mean; `drop` is by how much the area falls when all pictures are degraded alike, with its
/// interval.
pub fn rule(class: &ClassProbe, drop: Option<(f64, [f64; 2])>) -> Finding {
    let low = class.interval[0];
    if !class.is_above_chance() || low <= LEAST_AUC {
        Finding::Nothing
    } else if low >= CERTAIN_AUC || drop.is_some_and(|(_, [low, _])| low > LEAST_DROP) {
        Finding::Shortcut
    } else {
        Finding::Content
    }
}

/// What file facts of one class mean: they are never content.
pub fn file_rule(class: &ClassProbe) -> Finding {
    if class.is_above_chance() && class.interval[0] > LEAST_AUC { Finding::Shortcut } else { Finding::Nothing }
}

/// The thresholds, for `audit.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Thresholds {
    pub least_auc: f64,
    pub least_drop: f64,
    pub certain_auc: f64,
    pub least_v: f64,
    pub most_undetected: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            least_auc: LEAST_AUC,
            least_drop: LEAST_DROP,
            certain_auc: CERTAIN_AUC,
            least_v: LEAST_V,
            most_undetected: MOST_UNDETECTED,
        }
    }
}

/// A finding that counts.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// `files`, `pixels`, `source` or `network`.
    pub from: &'static str,
    /// The class, or the source.
    pub told: String,
    pub auc: f64,
    pub interval: [f64; 2],
    /// The area that is left when all pictures are degraded alike.
    pub after_harmonising: Option<f64>,
    /// The strongest single features.
    pub features: Vec<String>,
    /// All of it in a sentence.
    pub text: String,
}

/// What it comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// `SHORTCUT FOUND`, `LEAK FOUND`, `NOT DETECTED` or `INCONCLUSIVE`.
    pub verdict: &'static str,
    pub exit_code: u8,
    /// The paragraph.
    pub summary: String,
    pub evidence: Vec<Evidence>,
    /// What was seen and does not count.
    pub noted: Vec<String>,
    /// The weakest trace that would have been found four times out of five, as an area; none if nothing could be asked.
    pub minimum_detectable: Option<f64>,
}

pub const SHORTCUT: (&str, u8) = ("SHORTCUT FOUND", 10);
pub const LEAK: (&str, u8) = ("LEAK FOUND", 11);
pub const NOT_DETECTED: (&str, u8) = ("NOT DETECTED", 0);
pub const INCONCLUSIVE: (&str, u8) = ("INCONCLUSIVE", 12);

/// All that a verdict is made of.
pub struct Findings<'a> {
    pub pictures: usize,
    pub size: u32,
    pub files: Option<&'a Probe>,
    pub pixels: &'a Probe,
    pub harmonised: &'a Probe,
    /// In the order of the pixels' classes.
    pub drops: &'a [(f64, [f64; 2])],
    pub source: Option<&'a Source>,
    pub controls: Option<&'a Controls>,
    /// What the data set's pictures went through already.
    pub harmonise: Option<Harmonise>,
    /// What the sets share, in a sentence; none if nothing.
    pub leak: Option<String>,
    /// The mean recalls of a small network on the finest detail alone and on whole pictures, and chance; none if not above chance.
    pub finest: Option<[f64; 3]>,
    /// What a run's network was caught at, in a sentence; none if nothing.
    pub network: Option<String>,
}

impl Findings<'_> {
    pub fn verdict(&self) -> Verdict {
        let mut noted = Vec::new();
        let mut evidence = self.evidence_in_files();
        evidence.extend(self.evidence_in_pixels(&mut noted));
        evidence.extend(self.evidence_in_source(&mut noted));
        if let Some(text) = &self.network {
            evidence.push(Evidence {
                from: "network",
                told: String::new(),
                auc: 0.0,
                interval: [0.0; 2],
                after_harmonising: None,
                features: Vec::new(),
                text: text.clone(),
            });
        }
        if let Some([finest, full, chance]) = self.finest.map(|shares| shares.map(|share| 100.0 * share)) {
            noted.push(format!(
                "A small network that saw nothing but the finest detail of pictures found {finest:.0} % of a class on average; \
                 whole pictures gave {full:.0} %, guessing gives {chance:.0} %."
            ));
        }
        let minimum = self.minimum_detectable();
        let doubts = self.doubts(minimum);
        // A finding counts unless the probes also find things where nothing is.
        let trusted = self.controls.is_some_and(|c| c.split.passed && c.permuted.passed);
        let (verdict, exit_code) = if !evidence.is_empty() && trusted {
            SHORTCUT
        } else if self.leak.is_some() {
            LEAK
        } else if !doubts.is_empty() {
            INCONCLUSIVE
        } else {
            NOT_DETECTED
        };
        let summary = match verdict {
            "SHORTCUT FOUND" => self.shortcut(&evidence),
            "LEAK FOUND" => self.leak_alone(&doubts, minimum),
            "INCONCLUSIVE" => inconclusive(&doubts, &evidence),
            _ => self.not_detected(minimum, &noted),
        };
        Verdict { verdict, exit_code, summary, evidence, noted, minimum_detectable: minimum }
    }

    fn evidence_in_files(&self) -> Vec<Evidence> {
        let Some(files) = self.files else { return Vec::new() };
        let found = files.classes.iter().filter(|class| file_rule(class) == Finding::Shortcut);
        found
            .map(|class| {
                let features = strongest(files, class, 3);
                let text = format!(
                    "The files alone tell {} from the rest before a pixel is looked at: {}, {}.",
                    class.class,
                    graded(class),
                    listed(&features),
                );
                evidence_of("files", class, None, features, text)
            })
            .collect()
    }

    fn evidence_in_pixels(&self, noted: &mut Vec<String>) -> Vec<Evidence> {
        let mut out = Vec::new();
        for ((class, after), &drop) in self.pixels.classes.iter().zip(&self.harmonised.classes).zip(self.drops) {
            let features = strongest(self.pixels, class, 3);
            match rule(class, Some(drop)) {
                Finding::Shortcut => {
                    let left = if class.auc - after.auc > LEAST_DROP {
                        format!("When all pictures are degraded alike, {} of 100 are left.", hundred(after.auc))
                    } else {
                        format!(
                            "Degrading all pictures alike leaves {} of 100; no content is that regular, so they differ in \
                             something coarse, such as blur or enlargement.",
                            hundred(after.auc)
                        )
                    };
                    let text = format!(
                        "Traces of how the pictures were made tell {} from the rest: {}, {}. {left}",
                        class.class,
                        graded(class),
                        listed(&features),
                    );
                    out.push(evidence_of("pixels", class, Some(after.auc), features, text));
                }
                Finding::Content => noted.push(format!(
                    "Texture tells {} from the rest: {}, and {} of 100 when all pictures are degraded alike. What the covers \
                     show explains that, so it does not count as a shortcut.",
                    class.class,
                    graded(class),
                    hundred(after.auc)
                )),
                Finding::Nothing if class.is_above_chance() => noted.push(format!(
                    "The texture of {} differs a little from the rest: {}. That is too weak to count{}.",
                    class.class,
                    graded(class),
                    if drop.1[0] <= 0.0 { ", and degrading all pictures alike does not take it: covers show it" } else { "" }
                )),
                Finding::Nothing => {}
            }
        }
        out
    }

    fn evidence_in_source(&self, noted: &mut Vec<String>) -> Vec<Evidence> {
        let Some(source) = self.source else { return Vec::new() };
        let depends = source.cramers_v >= LEAST_V && source.p <= 0.05;
        let how = format!(
            "the label {} on {} (Cramér's V {:.2}, where 0 is not at all and 1 wholly)",
            match source.cramers_v {
                0.5.. => "depends strongly",
                LEAST_V.. => "depends",
                0.1.. => "depends a little",
                _ => "hardly depends",
            },
            source.column,
            source.cramers_v
        );
        let told: Vec<(&ClassProbe, &(f64, [f64; 2]))> = source
            .pixels
            .classes
            .iter()
            .zip(&source.drops)
            .filter(|(class, drop)| rule(class, Some(**drop)) == Finding::Shortcut)
            .collect();
        if !depends || told.is_empty() {
            let told = if told.is_empty() { "no value can" } else { "some values can" };
            noted.push(format!(
                "As for {}: {how}, and {told} be told by traces of how pictures were made.",
                source.column
            ));
            return Vec::new();
        }
        told.into_iter()
            .map(|(class, drop)| {
                let features = strongest(&source.pixels, class, 3);
                let text = format!(
                    "Traces of how the pictures were made tell {} {} from the rest: {}, {}; and {how}. A network can read the \
                     source and answer with the label.",
                    source.column,
                    class.class,
                    graded(class),
                    listed(&features),
                );
                evidence_of("source", class, Some(class.auc - drop.0), features, text)
            })
            .collect()
    }

    /// The weakest trace that passes [`rule`] four times out of five, as far as its first threshold goes.
    fn minimum_detectable(&self) -> Option<f64> {
        // Of the class with the widest spread, since a shortcut may be in any.
        let sd = self
            .pixels
            .classes
            .iter()
            .filter_map(|class| class.null_sd)
            .fold(None, |most: Option<f64>, sd| Some(most.map_or(sd, |most| most.max(sd))))?;
        let chance = self.pixels.null.as_ref()?.largest_95;
        Some((LEAST_AUC.max(chance) + POWER * sd).min(1.0))
    }

    fn doubts(&self, minimum: Option<f64>) -> Vec<String> {
        let mut doubts = self.controls.map_or_else(Vec::new, Controls::failures);
        if self.pixels.classes.is_empty() {
            doubts.push("no class has pictures enough to ask about (twenty, in ten groups, and as many others)".into());
        } else if self.controls.is_none() {
            doubts.push("no class is large enough to be split in half for the controls (forty pictures)".into());
        }
        if let Some(minimum) = minimum.filter(|&minimum| minimum > MOST_UNDETECTED) {
            doubts.push(format!(
                "with {} covers, only what is right in {} of 100 pairs or more would have been found",
                self.pictures,
                hundred(minimum)
            ));
        }
        doubts
    }

    fn shortcut(&self, evidence: &[Evidence]) -> String {
        let mut text = told_in_short(evidence);
        text += " A network that is trained on these pictures can score by this instead of by what the covers show. ";
        text += &self.remedy(evidence);
        if let Some(leak) = &self.leak {
            text += &format!(" Besides: {leak}");
        }
        text + PAIRS
    }

    fn remedy(&self, evidence: &[Evidence]) -> String {
        let from: BTreeSet<&str> = evidence.iter().map(|e| e.from).collect();
        let harmonise = format!("gatefold import … --harmonise {}", remake::advised(self.size));
        let pixels = from.contains("pixels") || from.contains("source") || from.contains("network");
        let left = evidence.iter().filter_map(|e| e.after_harmonising).fold(0.0, f64::max);
        if pixels && left > 0.75 {
            format!(
                "Degrading all pictures alike ({harmonise}) would still leave about {} of 100: take the covers of all classes \
                 from one source instead, and audit again.",
                hundred(left)
            )
        } else if pixels {
            format!(
                "Bring all pictures through the same degradation with {harmonise}{}, or take the covers of all classes from one \
                 source; then audit again.",
                if left > 0.0 { format!(" (about {} of 100 would be left)", hundred(left)) } else { String::new() }
            )
        } else {
            format!(
                "No trace of it was found in the pixels at {} pixels, so a network sees little of it; but the classes came from \
                 different hands, and another size may show it. Take the covers of all classes from one source, or bring them \
                 through the same degradation with {harmonise}, and audit again.",
                self.size
            )
        }
    }

    fn leak_alone(&self, doubts: &[String], minimum: Option<f64>) -> String {
        let leak = self.leak.as_deref().unwrap_or_default();
        let rest = match minimum {
            _ if !doubts.is_empty() => format!("Whether there is a shortcut remains open: {}.", doubts.join("; ")),
            Some(minimum) => format!(
                "No shortcut was detected; one that is right in {} of 100 pairs or more would have been found.{PAIRS}",
                hundred(minimum)
            ),
            None => "No shortcut was detected.".into(),
        };
        format!("{leak} {rest}")
    }

    fn not_detected(&self, minimum: Option<f64>, noted: &[String]) -> String {
        let mut text = format!(
            "Nothing was found by which the label could be read off without looking at what the covers show, and nothing that \
             sets share, in {} covers at {} pixels.",
            self.pictures, self.size
        );
        if let Some(planted) = self.controls.and_then(|c| c.planted.as_ref()) {
            text += &format!(
                " A shortcut that was planted as a test was found: right in {} of 100 pairs{}.",
                hundred(planted.auc),
                match (self.harmonise, planted.after_harmonising) {
                    (Some(_), Some(left)) => format!(", {} after harmonising", hundred(left)),
                    _ => String::new(),
                }
            );
        }
        text += &format!(
            " Any that is right in {} of 100 pairs or more would have been found, four times out of five. Weaker ones may be \
             there, and kinds that are not measured: marks, captions, another way of cropping.",
            hundred(minimum.unwrap_or(1.0))
        );
        if let Some(first) = noted.first() {
            text += &format!(" {first}");
        }
        text + PAIRS
    }
}

/// The strongest finding of each kind in words, then whom else they tell.
fn told_in_short(evidence: &[Evidence]) -> String {
    let mut parts = Vec::new();
    for from in ["pixels", "files", "source", "network"] {
        let mut own: Vec<&Evidence> = evidence.iter().filter(|e| e.from == from).collect();
        own.sort_by(|a, b| b.auc.total_cmp(&a.auc));
        let Some(first) = own.first() else { continue };
        let mut text = first.text.clone();
        if own.len() > 1 {
            let others: Vec<String> = own[1..].iter().take(4).map(|e| format!("{} {:.2}", e.told, e.auc)).collect();
            let more = if own.len() > 5 { ", …" } else { "" };
            text += &format!(" Likewise {}{more}.", others.join(", "));
        }
        parts.push(text);
    }
    parts.join(" ")
}

fn inconclusive(doubts: &[String], evidence: &[Evidence]) -> String {
    let mut text = format!("Nothing can be said either way: {}.", doubts.join("; "));
    if !evidence.is_empty() {
        text += &format!(" What was found does not count for that reason: {}", told_in_short(evidence));
    }
    text
}

fn evidence_of(
    from: &'static str,
    class: &ClassProbe,
    after_harmonising: Option<f64>,
    features: Vec<String>,
    text: String,
) -> Evidence {
    Evidence {
        from,
        told: class.class.clone(),
        auc: class.auc,
        interval: class.interval,
        after_harmonising,
        features,
        text,
    }
}

/// How well, in words that need no statistics, and in numbers.
fn graded(class: &ClassProbe) -> String {
    let [low, high] = class.interval;
    format!("right in {} of 100 pairs (AUC {:.2}, 95 % interval {low:.2} to {high:.2})", hundred(class.auc), class.auc)
}

fn hundred(area: f64) -> String {
    format!("{:.0}", 100.0 * area)
}

/// What the pairs are that [`graded`] speaks of.
const PAIRS: &str = " (A pair is one cover of the class and one of the rest; guessing is right in 50 of 100.)";

/// Names of the columns that tell this class best by themselves, if any does beyond chance.
fn strongest(probe: &Probe, class: &ClassProbe, count: usize) -> Vec<String> {
    let own = probe.features.iter().filter(|f| f.label == class.label && f.p_holm <= 0.05);
    own.take(count).map(|f| f.feature.clone()).collect()
}

fn listed(features: &[String]) -> String {
    if features.is_empty() { "all features together".into() } else { format!("most by {}", features.join(", ")) }
}
