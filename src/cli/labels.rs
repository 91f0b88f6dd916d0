//! `gatefold labels`

use std::path::{Path, PathBuf};

use clap::Args;

use super::help::{DATA, OUTPUT, whole};
use super::settings::Start;
use super::train::{TuningArguments, folds_text, train, with_starter};
use super::{GpuArguments, console, interrupt};
use crate::hint::quoted;
use crate::labels::table::{self, Summary};
use crate::labels::{Found, find, page};
use crate::train::Config;
use crate::train::config::Open;
use crate::train::config::bounds;
use crate::train::folds::Folds;
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// Find labels that look wrong: by networks that have not seen the covers, and by covers that are alike
///
/// Cuts all covers into folds, groups whole, and trains a network for each on the others, as `train --folds` does. Confident learning
/// on their answers, and the labels of the most alike covers, make a ranked list, labels.csv, and a page, labels.html, on which each
/// cover can be ticked to keep, change or drop. The page saves corrections.csv, which `import --corrections` applies. If it is
/// interrupted, the same command goes on; folds that are finished are not trained again.
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, a music library, an imported data set, or the folder that `train --folds` wrote
    data: PathBuf,
    /// Cut the covers into so many folds [default: 5, or those that were begun]
    #[arg(long, value_name = "K", value_parser = whole::<usize>(bounds::FOLDS), help_heading = DATA)]
    folds: Option<usize>,
    #[command(flatten)]
    pub start: Start,
    /// Folder to write: the folds' runs, out-of-fold.csv with their answers, labels.csv, labels.json and labels.html [default: DATA, if
    /// that is the folder of folds; else it is required]
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    out: Option<PathBuf>,
    /// Covers on the page at most; labels.csv has all
    #[arg(long, value_name = "N", default_value = "100", value_parser = whole::<usize>(1..=2000), help_heading = OUTPUT)]
    gallery: usize,
    /// Print one JSON object at the end
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    tuning: TuningArguments,
    #[command(flatten)]
    gpu: GpuArguments,
}

/// As usual: each network learns from four fifths.
const FOLDS: usize = 5;

pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { data, folds, .. } = arguments;
    let (there, out) = match (&arguments.out, Folds::read(data)?) {
        (None, Some(folds)) => (Some(folds), data),
        (Some(out), Some(_)) if out != data => {
            let (data, out) = (data.display(), out.display());
            return Err(Error::input(format!(
                "--out {out}: {data} has folds already, and what is found is written there; leave --out out"
            )));
        }
        (Some(out), _) => (Folds::read(out)?, out),
        (None, None) => return Err(Error::input("--out DIR is missing: name the folder to write")),
    };
    // The folder of folds says itself where its covers came from, and with which settings.
    let own = data == out;
    let config = arguments.start.settings.config()?;
    config.check()?;
    interrupt::would_say(format!(
        "interrupted; go on with the same command; finished folds in {} stay",
        quoted(&out.display().to_string())
    ));
    let (all, answers, gpu) = with_starter(&arguments.gpu, arguments.tuning.when(), None, |starter| {
        let mut all = match there {
            Some(all) => {
                // A folder of folds needs no options, and takes no others than its own.
                if !(own && arguments.says_nothing(&config)) {
                    check_same(&all, &config, *folds, arguments.start.weights.as_deref(), out)?;
                }
                if own {
                    all
                } else {
                    // What an option of `train` is to blame for is no option here.
                    all.go_on(starter, data, out).map_err(|e| match e {
                        Error::Input(text) => Error::Input(text.trim_start_matches("--resume: ").to_owned()),
                        e => e,
                    })?
                }
            }
            None => {
                Folds::begin(starter, data, config, folds.unwrap_or(FOLDS), arguments.start.weights.as_deref(), out)?
            }
        };
        let mut opened = None;
        let answers = all.train(starter, out, |_, trainer| {
            opened = Some(trainer.gpu());
            train(trainer, false, None)
        })?;
        let gpu = opened.map_or_else(|| (starter.open)(), Ok)?;
        Ok((all, answers, gpu))
    })?;
    let progress = console::Progress::new("looking for alike covers", "covers");
    let found = find(&gpu, &all, &answers, out, &|done, total| progress.at(done, total))?;
    drop(progress);
    let folder = RunFolder::new(out);
    let files = ["labels.csv", "labels.html", "labels.json"].map(|name| out.join(name));
    let _claim = folder.claimed()?;
    table::write(&found, &files[0])?;
    let name = all.data.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned());
    page::page(&found, arguments.gallery, &name)?.write(&files[1])?;
    let summary = Summary::new(&found, out, files.clone());
    folder.write_json(&files[2], &summary)?;
    if arguments.json {
        return console::json(&summary);
    }
    console::show(&(folds_text(&all, out) + &text(&found, &files)));
    Ok(())
}

impl Arguments {
    /// Whether nothing was said of how to train; `config` is what came of the options.
    fn says_nothing(&self, config: &Config) -> bool {
        *config == Config { open: Open::ALL, ..Config::default() }
            && self.folds.is_none()
            && self.start.weights.is_none()
    }
}

/// Refuses other settings than those that the folds in `out` were begun with.
fn check_same(all: &Folds, config: &Config, folds: Option<usize>, weights: Option<&Path>, out: &Path) -> Result<()> {
    let shown = out.display();
    let begun = |what: String| {
        Err(Error::input(format!("--out {shown}: was begun with {what}; give the same, or name another folder")))
    };
    if folds.is_some_and(|folds| folds != all.folds) {
        return begun(format!("--folds {}", all.folds));
    }
    if all.weights.as_deref() != weights {
        return begun(all.weights.as_ref().map_or("no --weights".to_owned(), |w| format!("--weights {}", w.display())));
    }
    if config.open.lr {
        return begun(format!("--lr {}", all.config.lr));
    }
    let changed = all.config.differences(&Open::as_chosen(config, weights.is_some(), &all.config));
    if !changed.is_empty() {
        return begun(changed.join(" "));
    }
    Ok(())
}

/// Covers that the terminal lists.
const LISTED: usize = 10;

fn text(found: &Found, files: &[PathBuf; 3]) -> String {
    let trust = &found.trust;
    let mut text = format!("\nlabels: {}.\n", console::shown(&trust.verdict));
    if trust.can_tell {
        let (suspects, all, wrong) = (found.suspects(), found.rows.len(), found.confident.wrong);
        text += &format!(
            "{suspects} of {all} labels are suspects. The confident joint stands for about {wrong:.0} wrong \
             labels, too many where the networks themselves are often wrong.\n"
        );
    } else {
        text += "So these networks cannot tell which labels are wrong, and nothing is called a suspect: the list is in their order of \
                 suspicion all the same. More covers, more epochs or weights to start from (--weights) may change that.\n";
    }
    let same: usize = found.contradictions.iter().map(|group| group.members.len()).sum();
    if same > 0 {
        text += &format!(
            "{same} pictures were left out because the same picture has several labels; they begin the list.\n"
        );
    }
    text += "\nscore  label -> suggestion, and the cover\n";
    for row in found.rows.iter().take(LISTED) {
        let class = |class: usize| console::shown(crate::report::words::short(&found.classes()[class]));
        let path = console::shown(found.dataset.manifest.covers[row.cover].strings.path_text());
        let mark = if row.suspect { "  (suspect)" } else { "" };
        text += &format!("{:.3}  {} -> {}  {path}{mark}\n", row.score, class(row.label), class(row.suggestion));
    }
    let [csv, html, _] = files.each_ref().map(|file| console::shown(file.display()));
    text + &format!(
        "\nlist: {csv}\npage: {html}\nnext: tick what is right and wrong on the page, save corrections.csv, then gatefold import \
         SOURCE --corrections corrections.csv --out NEW\n"
    )
}
