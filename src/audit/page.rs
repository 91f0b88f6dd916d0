//! `audit.json` and `audit.html`.

mod charts;
mod shared;

use std::io::Write;
use std::path::Path;

use charts::{bar, histogram};
use maud::{Markup, html};

use super::Audit;
use super::controls::{Control, Controls};
use super::facts::FactValues;
use super::probe::{ClassProbe, Probe};
use super::source::Source;
use super::verdict::{INCONCLUSIVE, NOT_DETECTED};
use crate::data::Harmonise;
use crate::file::write_atomically;
use crate::report::page::{Cell, Page, Section, Tone, facts, table, verdict};
use crate::{Error, Result};

/// Single features that the page lists.
const LISTED: usize = 12;
/// Values of a file fact that the page lists, and classes beyond which it shows shares of all only.
const VALUES: usize = 5;
const CLASSES: usize = 8;
/// A table with a row for each class has at most so many: the page stays small for any number of classes.
const ROWS: usize = 100;
/// A table with a column for each class has none of them beyond this, but one for all.
const COLUMNS: usize = 30;

/// Writes both into the folder `out`.
///
/// # Errors
/// As [`cannot_write`](crate::file::cannot_write) says if they cannot be written.
pub fn write(audit: &Audit, out: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(audit).map_err(Error::run)?;
    write_atomically(&out.join("audit.json"), |file| writeln!(file, "{text}"))?;
    page(audit)?.write(&out.join("audit.html"))
}

fn page(audit: &Audit) -> Result<Page> {
    let (headline, code) = (audit.verdict.verdict, audit.verdict.exit_code);
    let tone = if code == NOT_DETECTED.1 {
        Tone::Good
    } else if code == INCONCLUSIVE.1 {
        Tone::Unsure
    } else {
        Tone::Bad
    };
    let covers = || audit.classes.iter().map(|class| class.covers);
    let classes = match (audit.classes.len(), covers().min(), covers().max()) {
        (n, Some(least), Some(most)) if n > ROWS => format!("{n}, of {least} to {most} covers"),
        _ => audit.classes.iter().map(|c| format!("{} {}", c.class, c.covers)).collect::<Vec<_>>().join(", "),
    };
    let lead = html! {
        (verdict(tone, headline, &html! { (audit.verdict.summary) }))
        (facts(&[
            ("Covers", audit.covers.to_string()),
            ("Classes", classes),
            ("Measured at", format!("{0} × {0} pixels", audit.size)),
        ]))
    };
    let mut sections = vec![Section::new("told", "What tells the classes apart", told(audit))];
    if !audit.distributions.is_empty() {
        sections.push(Section::new("features", "The strongest single features", features(audit)));
    }
    if let Some(controls) = &audit.controls {
        sections.push(Section::new("controls", "Can these answers be trusted?", self::controls(controls)));
    }
    if let Some(source) = &audit.source {
        sections.push(Section::new("source", "Where the pictures come from", self::source(source, audit)));
    }
    sections.push(Section::new("leaks", "What sets and labels share", shared::leaks(&audit.leaks, &audit.notes)?));
    if let Some(views) = &audit.views {
        sections.push(Section::new("views", "What parts of the pictures tell", shared::views(views)));
    }
    if let Some(swap) = &audit.swap {
        sections.push(Section::new("swap", "Does the run's network follow the pipeline?", shared::swap(swap)));
    }
    sections.push(Section::new("files", "What the files tell", files(audit)));
    sections.push(Section::new("limits", "What an audit cannot see", limits()));
    sections.push(Section::new("how", "How it was done", how(audit)));
    let name = audit.data.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
    Ok(Page {
        kicker: "Audit",
        title: format!("Can {name} be answered without looking?"),
        lead,
        sections,
        style: "",
        script: "",
    })
}

fn told(audit: &Audit) -> Markup {
    let probes = &audit.probes;
    let Harmonise { size: side, quality } = probes.harmonised_at;
    let mut rows = Vec::new();
    let mut add = |from: &str, probe: &Probe| {
        rows.extend(best_told(&probe.classes).into_iter().map(|class| area_row(from, class)))
    };
    if let Some(files) = &probes.files {
        add("files", files);
    }
    add("pixels", &probes.pixels);
    add("degraded", &probes.harmonised);
    let too_few = &probes.pixels.too_few;
    html! {
        p {
            "A small model was shown only the numbers named on the left, never a picture, and had to tell each class from the rest on "
            "covers that it had not seen. Its score is the AUC: how often, of one cover of the class and one of the rest, it picks "
            "the right one. 0.50 is guessing, 1.00 is always right. The bar is the 95 % interval, the tick is what guessing reaches."
        }
        @for evidence in &audit.verdict.evidence { p { strong { "Counts: " } (evidence.text) } }
        @for noted in &audit.verdict.noted { p { strong { "Noted: " } (noted) } }
        (table("", &["from", "class", "AUC", "95 %", "0.5 to 1.0"], &rows))
        @if probes.pixels.classes.len() > ROWS {
            p.note { "Of " (probes.pixels.classes.len()) " classes these are the " (ROWS) " that each part tells best; audit.json has all." }
        }
        p.note {
            b { "files" } ": format, size, compression settings and metadata, before anything is decoded; never content. "
            b { "pixels" } ": spectrum, block seams, scaling periods, noise and borders of the squares that a network is fed; content has "
            "some part in them. " b { "degraded" } ": the same after every picture was brought down to " (side) " pixels and compressed "
            "at quality " (quality) ". That covers traces of how pictures were made and leaves most of what they show: what falls "
            "here was no content."
        }
        @if !too_few.is_empty() { p.note { "Not asked, too few covers: " (few_names(too_few)) "." } }
    }
}

/// The classes of a probe in their order; of many those that it tells best, the best first.
fn best_told(classes: &[ClassProbe]) -> Vec<&ClassProbe> {
    let mut classes: Vec<&ClassProbe> = classes.iter().collect();
    if classes.len() > ROWS {
        classes.sort_by(|a, b| b.auc.total_cmp(&a.auc));
        classes.truncate(ROWS);
    }
    classes
}

/// The names of classes, or how many there are where nobody would read them.
fn few_names(names: &[String]) -> String {
    if names.len() <= ROWS { names.join(", ") } else { format!("{} classes, which audit.json names", names.len()) }
}

fn area_row(from: &str, class: &ClassProbe) -> Vec<Cell> {
    let [low, high] = class.interval;
    vec![
        Cell::Text(from.into()),
        Cell::Head(class.class.clone()),
        Cell::decimal(class.auc, 2),
        Cell::Number(format!("{low:.2}–{high:.2}"), low),
        Cell::Markup(bar(class.auc, class.interval, class.null_95)),
    ]
}

fn features(audit: &Audit) -> Markup {
    let probes = &audit.probes;
    let all = probes.files.iter().chain(&probes.mixed_files).chain([&probes.pixels]);
    let mut strongest: Vec<_> =
        all.flat_map(|probe| &probe.features).filter(|feature| feature.p_holm <= 0.05).collect();
    strongest.sort_by(|a, b| (b.auc - 0.5).abs().total_cmp(&(a.auc - 0.5).abs()));
    let found = strongest.len();
    let rows: Vec<Vec<Cell>> = strongest
        .iter()
        .take(LISTED)
        .map(|f| {
            vec![
                Cell::Head(f.feature.clone()),
                Cell::Text(f.class.clone()),
                Cell::Text(if f.auc > 0.5 { "higher" } else { "lower" }.into()),
                Cell::decimal(f.auc.max(1.0 - f.auc), 2),
                Cell::Number(if f.p_holm < 0.001 { "< 0.001".into() } else { format!("{:.3}", f.p_holm) }, f.p_holm),
                Cell::Text(f.about.clone()),
            ]
        })
        .collect();
    html! {
        p {
            "Each by itself, without a model: how far the class lies from the rest. The chance (p) is corrected for asking "
            "about so many features at once (Holm); what is above 0.05 is not shown."
        }
        div.figures { @for one in &audit.distributions { (histogram(one)) } }
        (table("", &["feature", "class", "is", "AUC", "p", "what it is"], &rows))
        @if found > LISTED { p.note { (found - LISTED) " more are in audit.json." } }
    }
}

fn controls(controls: &Controls) -> Markup {
    let row = |what: &str, wanted: &str, control: &Control| {
        let [low, high] = control.interval;
        vec![
            Cell::Head(what.into()),
            Cell::decimal(control.auc, 2),
            Cell::Number(format!("{low:.2}–{high:.2}"), low),
            Cell::Text(control.after_harmonising.map_or(String::new(), |left| format!("{left:.2}"))),
            Cell::Text(wanted.into()),
            Cell::Markup(if control.passed {
                html! { span.hit { "as it should be" } }
            } else {
                html! { span.miss { "failed" } }
            }),
        ]
    };
    let mut rows = vec![
        row("two halves at random", "nothing", &controls.split),
        row("labels dealt at random", "nothing", &controls.permuted),
    ];
    rows.extend(controls.planted.iter().map(|planted| row("a planted shortcut", "found", planted)));
    html! {
        p {
            "The same questions where the answer is known. " (controls.class) " (" (controls.pictures) " covers) was split in half at "
            "random: there must be nothing to tell. Then one half was enlarged to 512 pixels, stored as JPEG and brought down to 260: "
            "that must be found. If not, the verdict is " em { "inconclusive" } ", whatever else was seen."
        }
        (table("", &["control", "AUC", "95 %", "degraded", "must find", ""], &rows))
        @for failure in controls.failures() { p { strong { "Failed: " } (failure) "." } }
    }
}

fn source(source: &Source, audit: &Audit) -> Markup {
    let few = audit.classes.len() <= COLUMNS;
    let classes = audit.classes.iter().map(|c| c.class.as_str());
    let head: Vec<&str> =
        [source.column.as_str()].into_iter().chain(if few { classes.collect() } else { vec!["all"] }).collect();
    let rows: Vec<Vec<Cell>> = source
        .values
        .iter()
        .map(|v| {
            let counts = if few { v.pictures.clone() } else { vec![v.pictures.iter().sum()] };
            [Cell::Head(v.value.clone())].into_iter().chain(counts.into_iter().map(|n| Cell::count(n as u64))).collect()
        })
        .collect();
    let told: Vec<Vec<Cell>> = source.pixels.classes.iter().map(|class| area_row("pixels", class)).collect();
    html! {
        p {
            "If the label depends on where a picture comes from, and that can be told from the pixels, a network can answer with the "
            "source. Here the label depends on " (source.column) " with Cramér's V = " (format!("{:.2}", source.cramers_v))
            " (0 not at all, 1 wholly; chance " (format!("p = {:.3}", source.p)) ")."
        }
        (table("Covers of each class", &head, &rows))
        (table("Told from the rest by pixel statistics", &["from", &source.column, "AUC", "95 %", "0.5 to 1.0"], &told))
    }
}

fn files(audit: &Audit) -> Markup {
    let summary = &audit.facts;
    let few = audit.classes.len() <= CLASSES;
    let totals: Vec<usize> = audit.classes.iter().map(|class| class.covers).collect();
    let rows = |fact: &FactValues| -> Vec<Vec<Cell>> {
        let row = |value: &str, files: &[usize]| {
            let mut cells = vec![Cell::Text(value.into())];
            if few {
                cells.extend(files.iter().zip(&totals).map(|(&n, &all)| Cell::percent(n as f64 / all.max(1) as f64)));
            } else {
                let all = totals.iter().sum::<usize>().max(1) as f64;
                cells.push(Cell::percent(files.iter().sum::<usize>() as f64 / all));
            }
            cells
        };
        let mut rows: Vec<Vec<Cell>> = fact.values.iter().take(VALUES).map(|v| row(&v.value, &v.files)).collect();
        let mut others = fact.others.clone();
        fact.values.iter().skip(VALUES).for_each(|v| others.iter_mut().zip(&v.files).for_each(|(sum, n)| *sum += n));
        if others.iter().any(|&n| n > 0) {
            rows.push(row("others", &others));
        }
        rows
    };
    let varied: Vec<&FactValues> = summary.values.iter().filter(|fact| fact.values.len() > 1).collect();
    let same: Vec<String> = summary
        .values
        .iter()
        .filter(|fact| fact.values.len() == 1)
        .map(|fact| format!("{} {}", fact.fact, fact.values[0].value))
        .collect();
    html! {
        p {
            "Read from the headers of " (summary.files - summary.missing) " files, as shares of each class. Files of one data set that "
            "came the same way agree here."
            @if summary.missing > 0 { " " strong { (summary.missing) " files could not be found or read" } " and are left out." }
        }
        @if !same.is_empty() { p { "All alike: " (same.join(", ")) "." } }
        @for fact in varied {
            @let names: Vec<&str> = audit.classes.iter().map(|c| c.class.as_str()).collect();
            @let head: Vec<&str> = if few { [fact.fact.as_str()].into_iter().chain(names).collect() } else { vec![&fact.fact, "all"] };
            (table("", &head, &rows(fact)))
        }
    }
}

fn limits() -> Markup {
    html! {
        p { "An audit finds what it measures. It is silent about:" }
        ul {
            li { "marks that one source leaves in the picture itself: logos, stickers, captions, a scanner's shadow;" }
            li { "another way of cropping, or another choice of pictures: sleeves against booklets, first pressings against reissues;" }
            li { "what is true of the world but not of the label: the decade, the country, the photographer;" }
            li { "traces that are weaker than the verdict names." }
        }
        p {
            "Heat maps do not fill the gap: they show where a network looked, and a trace of scaling lies everywhere. \"Not detected\" is "
            "not a certificate; pictures of all classes from one source, stored the same way, are."
        }
    }
}

fn how(audit: &Audit) -> Markup {
    let probe = &audit.probes.pixels;
    let fold = "logistic regression with a ridge, five folds, groups kept whole";
    let groups = if audit.group_columns.is_empty() { "none".into() } else { audit.group_columns.join(", ") };
    let mut list = vec![
        ("Data", audit.data.display().to_string()),
        ("Probe", fold.to_owned()),
        ("Pixel features", probe.columns.to_string()),
        (
            "File features",
            audit.probes.files.as_ref().map_or("none that vary".into(), |files| files.columns.to_string()),
        ),
        ("Kept together by", groups),
        ("Groups", audit.groups.to_string()),
        ("Permutations", probe.null.as_ref().map_or("none".into(), |null| null.permutations.to_string())),
        ("Seed", audit.seed.to_string()),
    ];
    if let Some(minimum) = audit.verdict.minimum_detectable {
        list.push(("Would have been found", format!("AUC {minimum:.2} or more")));
    }
    let t = &audit.thresholds;
    html! {
        (facts(&list))
        p.note {
            "It counts as a shortcut if the interval's lower end lies above " (t.least_auc) " and chance does not reach that, and, for "
            "pixels, if degrading all pictures alike takes at least " (t.least_drop) " of it (again the interval's lower end) or the "
            "lower end lies above " (t.certain_auc) ". Intervals come from drawing groups anew, chance from labels dealt out anew. All "
            "numbers are in audit.json."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_classes_a_page_has_the_best_told() {
        let class = |label: usize| ClassProbe {
            class: format!("k{label}"),
            pictures: 20,
            auc: 0.5 + (label % 300) as f64 / 1000.0,
            interval: [0.4, 0.9],
            null_95: None,
            null_sd: None,
            p: None,
            label,
        };
        let of = |n: usize| -> Vec<usize> {
            let classes: Vec<ClassProbe> = (0..n).map(class).collect();
            best_told(&classes).iter().map(|class| class.label).collect()
        };
        assert_eq!(of(ROWS), (0..ROWS).collect::<Vec<_>>());
        let shown = of(2_000);
        assert_eq!((shown.len(), &shown[..3]), (ROWS, &[299, 599, 899][..]));
        let names: Vec<String> = (0..2_000).map(|i| format!("k{i}")).collect();
        assert_eq!(few_names(&names[..2]), "k0, k1");
        assert_eq!(few_names(&names), "2000 classes, which audit.json names");
    }
}
