//! The report of one run.

use std::path::Path;

use gatefold_engine::plan::mib;
use maud::{Markup, html};

use super::gallery::Gallery;
use super::page::{self, Page, Section};
use super::run::{Audited, Run};
use super::words::{command, duration, list, network, percent, short, thousands};
use super::{classes, curves, heat_maps, scores};
use crate::Result;
use crate::data::Split;
use crate::score::model::Model;

/// The page, with so many covers in its `gallery` at most; with a model it has heat maps. `out` is where it will lie, for links.
///
/// # Errors
/// [`crate::Error::Run`] if something cannot be drawn.
pub fn page(run: &Run, model: Option<&Model>, gallery: usize, out: &Path) -> Result<Page> {
    let mut sections = vec![Section::new("data", "What was trained on what", data(run))];
    sections.push(Section::new("training", "How training went", curves::charts(run)?));
    if let Some(test) = &run.test {
        let body = html! { (scores::verdict(&test.metrics)) (scores::table(test)) };
        // The first thing to read after the title.
        sections.insert(0, Section::new("score", "The score", body));
        let (covers, cells) = Gallery::new(run, test, model)?.markup(gallery)?;
        let body = html! { (classes::confusion(&test.metrics, &cells)) (classes::scores(&test.metrics)) };
        sections.push(Section::new("classes", "Class by class", body));
        sections.push(Section::new("probabilities", "What its probabilities are worth", scores::curves(test)?));
        sections.push(Section::new("covers", "Covers, and where it looked", covers));
    }
    sections.push(Section::new("maps", "Can the heat maps be believed?", heat_maps::markup(run)?));
    sections.push(Section::new("audit", "Shortcuts and leaks", audit(run, out)));
    sections.push(Section::new("again", "Settings, machine, and how to repeat it", again(run)?));
    Ok(Page { kicker: "Training report", title: title(run), lead: lead(run), sections, style: "", script: "" })
}

fn title(run: &Run) -> String {
    let (labels, net) = (&run.header.labels, network(&run.config.net));
    match labels.len() {
        0..=6 => format!("{net} on {}", list(&labels.iter().map(|label| short(label)).collect::<Vec<_>>())),
        n => format!("{net} on {n} classes of covers"),
    }
}

fn lead(run: &Run) -> Markup {
    let Some(test) = &run.test else {
        return html! { p { "There is no test set, so there is no score: nothing here tells how well the network does on covers it has not seen." } };
    };
    let m = &test.metrics;
    html! {
        p {
            "Right on " strong { (percent(m.accuracy)) } " of " (m.n) " test covers (95 % interval "
            (format!("{:.1}", 100.0 * m.accuracy_ci[0])) " to " (percent(m.accuracy_ci[1])) "). Always answering “" (short(&m.majority_label))
            "” is right on " strong { (percent(m.majority)) } ", blind guessing on " (percent(m.chance)) "."
        }
    }
}

fn data(run: &Run) -> Markup {
    let (manifest, config) = (&run.dataset.manifest, &run.config);
    let counts = Split::ALL.map(|split| manifest.counts(split));
    let total = |split: Split| run.count(split);
    let groups = if manifest.group_columns.is_empty() {
        "Covers are split one by one: no column said which belong together.".to_owned()
    } else {
        format!("Covers that share {} are in the same set.", manifest.group_columns.join(" or "))
    };
    let source = run.origin.data.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let start = match &run.origin.weights {
        Some(file) => format!(
            "{} (BLAKE3 {})",
            file.path.file_name().unwrap_or_default().to_string_lossy(),
            &file.blake3[..file.blake3.len().min(16)]
        ),
        None => format!("random weights of seed {}", config.seed),
    };
    // Of an optimiser step, those of all ranks.
    let batches = config.accumulate * run.origin.ranks.unwrap_or(1);
    html! {
        p {
            (network(&config.net)) " looks at covers of " (config.size) " × " (config.size) " pixels and says which of " (manifest.classes.len())
            " classes they are of. It learnt from " (total(Split::Train)) " covers, " (total(Split::Val)) " chose the best epoch, and "
            (total(Split::Test)) " were kept for the score. " (groups)
            @if let Some(tried) = run.origin.tried {
                " The settings are the best of " (tried) " that a search tried on covers cut from the training covers; the test set was looked "
                "at once."
            }
        }
        (page::facts(&[
            ("Data", source),
            ("Network", format!("{}, {} parameters", network(&config.net), thousands(run.origin.parameters as u64))),
            ("Started from", start),
            ("Epochs", format!("{} of {}", run.epochs.last().map_or(0, |e| e.epoch), config.epochs)),
            ("Batch", if batches > 1 { format!("{batches} × {}", config.batch) } else { config.batch.to_string() }),
            ("Seed", config.seed.to_string()),
        ]))
        (classes::covers(&manifest.classes, &counts))
    }
}

/// What the audit of this run says, if there was one.
fn audit(run: &Run, out: &Path) -> Markup {
    let command = command(["gatefold", "audit", "--run", &run.folder.root().display().to_string()]);
    let Some(Audited { verdict, summary, tone }) = Audited::read(&run.folder) else {
        return html! {
            p { "Not audited yet. A good score can come from a shortcut, such as one class having been saved at another size or quality, or from copies of "
                "training covers in the test set. This asks for both, and the next report shows what it found:" }
            (page::command(&command))
        };
    };
    let beside = out.parent().is_some_and(|parent| same(parent, run.folder.root()))
        && run.folder.audit().join("audit.html").is_file();
    html! {
        (page::verdict(tone, &verdict, &html! { (summary) }))
        @if beside { p { a href="audit/audit.html" { "The whole audit" } } }
    }
}

fn same(a: &Path, b: &Path) -> bool {
    let whole =
        |path: &Path| std::fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok();
    whole(a).is_some_and(|a| Some(a) == whole(b))
}

fn again(run: &Run) -> Result<Markup> {
    let origin = &run.origin;
    let mut facts = vec![("Adapter", origin.adapter.clone())];
    let mut more = |name: &'static str, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    more(
        "Back end and driver",
        origin.backend.as_ref().map(|backend| {
            [Some(backend), origin.driver.as_ref()].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")
        }),
    );
    more("Peak memory on the adapter", origin.peak_bytes.map(mib));
    more("Speed", run.images_per_second().map(|speed| format!("{speed:.1} images/s (median of epochs)")));
    let seconds = run.seconds();
    more("Training took", (seconds > 0.0).then(|| duration(seconds)));
    more("Seed", Some(run.config.seed.to_string()));
    more("Trained with", Some(format!("gatefold {}", origin.version)));
    more("Data fingerprint", Some(run.header.fingerprint.chars().take(16).collect()));
    Ok(html! {
        (page::facts(&facts))
        h3 { "The same run again" }
        p { "On the same adapter and driver, the same data and seed give the same weights and the same score, bit for bit." }
        (page::command(&run.command()))
        details { summary { "All settings" } pre { (run.config.to_toml()?) } }
    })
}
