//! The model card that lies beside exported weights as `README.md`: what the network tells apart, how well, what it learnt from, and how
//! to use it. In Markdown, with the front matter that the Hugging Face Hub reads.

mod usage;

use std::collections::BTreeMap;

use gatefold_engine::plan::mib;

use super::markdown::{table, text};
use super::run::{Audited, Test};
use super::words::{network, percent, short, thousands};
use crate::Result;
use crate::data::{Dataset, Fit, Split};
use crate::score::metrics::ClassScore;
use crate::train::Config;
use crate::train::run::{RunFolder, answers_missing};
use crate::weights::{Exported, Header, hub, onnx, timm};

/// A table of classes has at most so many rows; `config.json` names all.
const ROWS: usize = 200;

/// What a run knows of its network beyond the header of its weights.
pub struct Trained {
    dataset: Dataset,
    /// `None` without a test set, or while nothing has answered for it.
    test: Option<Test>,
    audited: Option<Audited>,
    /// The file that training began with.
    began_with: Option<String>,
}

impl Trained {
    /// Reads a run's folder.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if a file is damaged, or the data are no longer those that it was trained on.
    pub fn read(folder: &RunFolder, header: &Header) -> Result<Self> {
        let dataset = Dataset::open(&folder.data())?;
        header.check_data(&folder.checkpoint()?, &dataset)?;
        let test = if answers_missing(folder)? { None } else { Test::of_run(folder, &dataset, header, None)? };
        let origin = Config::read(&folder.config())?.run;
        // A name on the Hub says all; of another path the folders are nobody's business.
        let began_with = origin.and_then(|origin| origin.weights).and_then(|weights| {
            let file = || Some(weights.path.file_name()?.to_string_lossy().into_owned());
            hub::name_of(&weights.path).or_else(file)
        });
        Ok(Self { dataset, test, audited: Audited::read(folder), began_with })
    }

    /// What the user should know before the card is published.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        if self.test.is_none() {
            notes.push("the run has no answers for a test set, so the card has no score of one".to_owned());
        }
        if self.audited.is_none() {
            notes.push("the run has not been audited (gatefold audit DATA --run RUN), and the card says so".to_owned());
        }
        notes
    }
}

/// All that a card is made of.
pub struct Card<'a> {
    pub header: &'a Header,
    /// `None` for a weights file.
    pub trained: Option<&'a Trained>,
    pub weights: Option<&'a Exported>,
    pub onnx: Option<(&'a Exported, onnx::Options)>,
}

impl Card<'_> {
    /// The whole file.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there is no such network.
    pub fn text(&self) -> Result<String> {
        let header = self.header;
        let title = network(&header.net.net);
        let classes = header.labels.len();
        let trained = if header.epoch > 0 { "Trained" } else { "Written" };
        let version = env!("CARGO_PKG_VERSION");
        let parts = [
            self.front_matter()?,
            format!(
                "# {title} for album covers\n\nTells {} classes of album covers from the picture alone. {trained} with Gatefold {version}. A picture \
                 that is no album cover gets one of these classes too.",
                thousands(classes as u64)
            ),
            self.score(),
            self.audit(),
            self.labels(),
            self.training(),
            self.pictures(),
            self.usage()?,
            self.files(),
            "## Licence\n\n*To be chosen by whoever publishes this: here, and as `license` at the top of this file.* Covers are works of \
             others, and weights that training began with have a licence of their own."
                .to_owned(),
        ];
        Ok(parts.join("\n\n") + "\n")
    }

    fn front_matter(&self) -> Result<String> {
        let in_timm = timm::has(&self.header.net)? && self.weights.is_some();
        let mut tags = vec!["image-classification", "album-covers", "gatefold"];
        tags.extend(in_timm.then_some("timm"));
        tags.extend(self.onnx.map(|_| "onnx"));
        let library = if in_timm { "timm" } else { "gatefold" };
        let tags: String = tags.iter().map(|tag| format!("- {tag}\n")).collect();
        // Names of the user's are not in it.
        Ok(format!(
            "---\nlicense: other # to be chosen by whoever publishes this\nlicense_name: to-be-chosen\nlibrary_name: {library}\n\
             pipeline_tag: image-classification\ntags:\n{tags}{}---",
            self.results()
        ))
    }

    /// The score as the Hub shows it.
    fn results(&self) -> String {
        let Some(test) = self.test() else { return String::new() };
        let metrics = &test.metrics;
        let mut numbers = BTreeMap::from([
            ("accuracy", ("Accuracy", metrics.accuracy)),
            ("balanced_accuracy", ("Balanced accuracy", metrics.balanced_accuracy)),
            ("f1", ("Macro-F1", metrics.macro_f1)),
        ]);
        numbers.extend(metrics.roc_auc.map(|area| ("roc_auc", ("ROC-AUC", area))));
        let numbers: String = numbers
            .iter()
            .map(|(kind, (name, value))| format!("    - type: {kind}\n      name: {name}\n      value: {value:.4}\n"))
            .collect();
        format!(
            "model-index:\n- name: {}\n  results:\n  - task:\n      type: image-classification\n    dataset:\n      type: album-covers\n      \
             name: {} test covers\n    metrics:\n{numbers}",
            self.header.net.net, metrics.n
        )
    }

    fn test(&self) -> Option<&Test> {
        self.trained?.test.as_ref()
    }

    fn score(&self) -> String {
        let Some(test) = self.test() else {
            let best = self.header.best.map_or_else(String::new, |best| {
                format!(
                    " In training it was right for {} of the validation covers, which also chose the epoch, so that is too good.",
                    percent(best.accuracy)
                )
            });
            return format!("## Score\n\nNot known: it has not been asked about a test set.{best}");
        };
        let (m, i) = (&test.metrics, &test.intervals);
        let share = |name: &str, value: f64, interval: Option<[f64; 2]>| {
            let interval =
                interval.map_or(String::new(), |[low, high]| format!("{} – {}", percent(low), percent(high)));
            vec![name.to_owned(), percent(value), interval]
        };
        let number = |name: &str, value: f64, [low, high]: [f64; 2]| {
            vec![name.to_owned(), format!("{value:.3}"), format!("{low:.3} – {high:.3}")]
        };
        let mut rows = vec![
            share("**Accuracy**", m.accuracy, Some(m.accuracy_ci)),
            share(&format!("always “{}”, the majority baseline", text(&short(&m.majority_label))), m.majority, None),
            share("guessing classes as often as training had them", m.stratified, None),
            share("guessing evenly", m.chance, None),
            share("Balanced accuracy", m.balanced_accuracy, Some(i.balanced_accuracy)),
            number("Macro-F1", m.macro_f1, i.macro_f1),
        ];
        rows.extend(
            m.roc_auc
                .zip(i.roc_auc)
                .map(|(area, interval)| number("ROC-AUC, of which guessing has 0.5", area, interval)),
        );
        rows.push(number("Loss", m.loss, i.loss));
        rows.push(vec!["Expected calibration error".to_owned(), format!("{:.3}", test.calibration.ece), String::new()]);
        if self.header.temperature != 1.0 {
            let temperature = format!("{:.2}", self.header.temperature);
            rows.push(vec!["Temperature, which the validation set asked for".to_owned(), temperature, String::new()]);
        }
        format!(
            "## Score\n\nOn {} test covers, which neither training nor the choice of the epoch has seen:\n\n{}\n{}",
            thousands(m.n as u64),
            table(&["score", "value", "95 % interval"], &["value", "95 % interval"], &rows),
            text(&m.verdict_text())
        )
    }

    fn audit(&self) -> String {
        match self.trained.and_then(|trained| trained.audited.as_ref()) {
            Some(Audited { verdict, summary, .. }) => {
                format!("## Audit\n\n**{}** {}", text(verdict), text(summary))
            }
            None => "## Audit\n\nNone was made: whether the label can be read off without looking at what the covers show, by their files or \
                     their compression, is not known."
                .to_owned(),
        }
    }

    fn labels(&self) -> String {
        let header = self.header;
        let scores = self.test().map(|test| &test.metrics.per_class);
        let counted = header.training_counts.iter().any(|&count| count > 0);
        let mut columns = vec!["output", "label"];
        columns.extend(counted.then_some("training covers"));
        columns.extend(scores.into_iter().flat_map(|_| ["test covers", "precision", "recall"]));
        let rows: Vec<Vec<String>> = (0..header.labels.len().min(ROWS))
            .map(|class| {
                let mut row = vec![class.to_string(), text(&short(&header.labels[class]))];
                row.extend(counted.then(|| thousands(header.training_counts[class])));
                if let Some(&ClassScore { precision, recall, support, .. }) = scores.map(|scores| &scores[class]) {
                    row.extend([thousands(support), percent(precision), percent(recall)]);
                }
                row
            })
            .collect();
        let more = match header.labels.len().saturating_sub(ROWS) {
            0 => String::new(),
            more => format!("\nand {} more: `config.json` names all of them.\n", thousands(more as u64)),
        };
        let one = if header.labels.len() == 2 {
            "\nThe head has one row: its logit is output 1's, whose probability is the sigmoid of it; output 0 has the rest.\n"
        } else {
            ""
        };
        let rows = table(&columns, &["output", "training covers", "test covers", "precision", "recall"], &rows);
        format!("## Labels\n\n{rows}{more}{one}").trim_end().to_owned()
    }

    fn training(&self) -> String {
        let header = self.header;
        let mut facts = vec![];
        if let Some(Trained { dataset, began_with, .. }) = self.trained {
            let manifest = &dataset.manifest;
            let [train, val, test] = [Split::Train, Split::Val, Split::Test]
                .map(|split| thousands(manifest.counts(split).iter().sum::<usize>() as u64));
            let all = thousands(manifest.covers.len() as u64);
            facts.push(format!("{all} covers: {train} for training, {val} for validation, {test} for the test"));
            if !manifest.group_columns.is_empty() {
                let columns: Vec<String> = manifest.group_columns.iter().map(|name| text(&short(name))).collect();
                facts.push(format!("Covers that share a value of {} are in one set", columns.join(", or of ")));
            }
            facts.push(match began_with {
                Some(file) => format!("Training began with the weights in “{}”", text(&short(file))),
                None => "Training began with random weights".to_owned(),
            });
        } else if header.training_counts.iter().any(|&count| count > 0) {
            facts.push(format!("{} training covers", thousands(header.training_counts.iter().sum())));
        }
        if header.epoch > 0 {
            facts.push(format!("Epoch {}, after {} steps", header.epoch, thousands(header.step)));
        }
        if !header.fingerprint.is_empty() {
            facts.push(format!("Fingerprint of the data: `{}`", text(&header.fingerprint)));
        }
        let facts: String = facts.iter().map(|fact| format!("- {fact}\n")).collect();
        format!(
            "## Training\n\n{facts}\n*Where the covers and their labels come from: to be said by whoever publishes this.*"
        )
        .replace("\n\n\n", "\n\n")
    }

    /// How a picture becomes what the network takes.
    fn pictures(&self) -> String {
        let header = self.header;
        let (side, size) = (header.picture_size(), header.net.size);
        let made = match header.fit {
            Fit::Crop => {
                format!("the largest square around the centre, resized to {side} x {side} pixels (bicubic, a = -0.5)")
            }
            Fit::Pad => format!(
                "resized so that the longer side has {side} pixels (bicubic, a = -0.5), black around it to a square"
            ),
            fit => format!("resized so that the shorter side has {side} pixels ({fit}), of which the centre is kept"),
        };
        let cut = if size < side { format!(", then the central {size} x {size}") } else { String::new() };
        let harmonised = header.harmonise.map_or(String::new(), |h| {
            format!(
                "\n\nBefore that every picture is made a square of {} pixels and compressed as JPEG of quality {}, which hides where it came from. \
                 `gatefold predict` does so; other programs have to do it themselves, and answer differently if they do not.",
                h.size, h.quality
            )
        });
        let [mean, std] = [header.mean, header.std].map(|numbers| numbers.map(|n| n.to_string()).join(", "));
        format!(
            "## Pictures\n\nRGB, anti-aliased: {made}{cut}. On the scale of 0 to 1, less the mean {mean}, divided by the standard deviation \
             {std}.{harmonised}"
        )
    }

    fn files(&self) -> String {
        let size = |exported: &Exported| mib(exported.bytes as u64);
        let mut rows = vec![];
        if let Some(weights) = self.weights {
            let what = format!(
                "{} parameters under PyTorch's names; Gatefold's header has labels and preprocessing",
                thousands(weights.parameters as u64)
            );
            rows.push(vec!["`model.safetensors`".to_owned(), what, size(weights)]);
        }
        if let Some((exported, options)) = self.onnx {
            let mut what = "the network, opset 18, for any number of pictures at a time".to_owned();
            for (said, text) in [
                (options.preprocessing, ", from pixels of any size"),
                (options.cam, ", with heat maps"),
                (options.fold, ", batch-norms folded"),
                (options.half, ", in 16 bits"),
            ] {
                what += if said { text } else { "" };
            }
            rows.push(vec!["`model.onnx`".to_owned(), what, size(exported)]);
        }
        rows.push(vec![
            "`config.json`".to_owned(),
            "labels and preprocessing in timm's words".to_owned(),
            String::new(),
        ]);
        format!("## Files\n\n{}", table(&["file", "what", "size"], &["size"], &rows)).trim_end().to_owned()
    }
}
