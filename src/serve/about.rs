//! What is known of a run: how good its network is, how far its answers can be trusted, and what its audit said.

use std::path::Path;
use std::sync::Arc;

use gatefold_engine::gpu::Gpu;
use serde::Serialize;

use super::limits::{ALL_BYTES, FILE_BYTES, PIXELS, WAITING};
use super::training::Progress;
use crate::Result;
use crate::data::{Dataset, Fit};
use crate::explain::{CANNOT_SHOW, Method, choose_layer, layers};
use crate::report::run::{Audited, Test, name};
use crate::report::words::{network, percent, thousands};
use crate::score::metrics::{Calibration, wilson};
use crate::score::model::Model;
use crate::train::run::RunFolder;
use crate::weights::{Checkpoint, Header};

/// A run that is opened, to be served.
pub struct Known {
    pub(super) model: Model,
    pub(super) about: About,
    pub(super) dataset: Option<Arc<Dataset>>,
    notes: Vec<String>,
}

impl Known {
    /// Opens a run with the network that it is judged by.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if it is no run, has no checkpoint, or its files are damaged or do not belong together.
    pub fn open(root: &Path, gpu: &Arc<Gpu>) -> Result<Self> {
        let folder = RunFolder::open(root)?;
        let path = folder.checkpoint()?;
        let checkpoint = Checkpoint::read(&path)?;
        let mut notes: Vec<String> = folder.takes_last().into_iter().chain(checkpoint.notes()).collect();
        let model = Model::from_checkpoint(gpu, &checkpoint)?;
        let mut test = None;
        let dataset = if folder.data().exists() {
            let dataset = Dataset::open(&folder.data())?;
            model.header.check_data(&path, &dataset)?;
            notes.extend(dataset.note());
            test = Test::of_run(&folder, &dataset, &model.header, Some(&model))?;
            Some(Arc::new(dataset))
        } else {
            let data = folder.data();
            notes.push(format!(
                "{}: is missing, so there is no score, and no training cover to compare with",
                data.display()
            ));
            None
        };
        let layers = layers(&model.header)?.into_iter().filter(|(_, shape)| shape.h * shape.w > 1);
        let layers =
            layers.map(|(name, shape)| Layer { name, height: shape.h, width: shape.w, channels: shape.c }).collect();
        let about = About {
            name: name(root),
            layer: choose_layer(&model, None)?,
            layers,
            header: model.header.clone(),
            test,
            audited: Audited::read(&folder),
        };
        Ok(Self { model, about, dataset, notes })
    }

    /// What the user should know of its files.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How good the network is, in one line.
    pub fn score(&self) -> String {
        self.about.score_text()
    }
}

/// All that can be told of a run without asking its network.
pub struct About {
    name: String,
    pub header: Header,
    /// The one to look at unless another is named.
    pub layer: String,
    /// Those with more than one cell, in the order of the network.
    pub layers: Vec<Layer>,
    test: Option<Test>,
    audited: Option<Audited>,
}

#[derive(Debug, Serialize)]
pub struct Layer {
    pub name: String,
    height: usize,
    width: usize,
    channels: usize,
}

/// What `GET /api/run` says.
#[derive(Serialize)]
pub struct Told<'a> {
    name: &'a str,
    version: &'static str,
    /// As its authors write it.
    network: String,
    /// Of the network's input, in pixels.
    size: usize,
    /// How a picture becomes a square: `crop` or `pad`.
    fit: Fit,
    labels: &'a [String],
    /// Training covers of each class.
    training_counts: &'a [u64],
    score: Option<Score<'a>>,
    /// The score in one or two sentences.
    score_text: String,
    /// Probabilities by tenths.
    trust: Vec<Trust>,
    audit: Option<&'a Audited>,
    methods: Vec<MethodTold>,
    layers: &'a [Layer],
    layer: &'a str,
    /// What a heat map cannot show.
    cannot_show: &'static str,
    /// How many training covers were looked at; null where none are compared.
    nearest: Option<Progress>,
    /// Folders whose pictures may be named.
    folders: Vec<String>,
    limits: Limits,
}

/// How the network did on its test set, beside what guessing reaches.
#[derive(Serialize)]
struct Score<'a> {
    covers: usize,
    accuracy: f64,
    accuracy_interval: [f64; 2],
    balanced_accuracy: f64,
    balanced_accuracy_interval: [f64; 2],
    macro_f1: f64,
    macro_f1_interval: [f64; 2],
    majority_label: &'a str,
    majority: f64,
    stratified: f64,
    chance: f64,
    /// How the accuracy stands to the majority baseline.
    verdict: String,
}

/// How often answers of about the same probability were right on the test set.
#[derive(Clone, Debug, Serialize)]
pub struct Trust {
    /// The tenth that the probability lies in: above the first, up to the second.
    from: f64,
    to: f64,
    /// Test covers that got such an answer, and those of them that it was right for.
    covers: usize,
    right: usize,
    /// Null where there is no such cover.
    share: Option<f64>,
    /// Wilson's 95 % interval of the share.
    interval: [f64; 2],
    text: String,
}

#[derive(Serialize)]
struct MethodTold {
    name: &'static str,
    about: &'static str,
}

/// What a request may ask for at most.
#[derive(Serialize)]
struct Limits {
    file_bytes: u64,
    all_bytes: u64,
    pixels: u64,
    waiting: usize,
}

/// Fewer covers than this make a share that is not worth much.
const FEW: usize = 20;

/// Said beside every answer where there is no test set.
const UNTESTED: &str = "This run has no test set, so it is not known how often such an answer is right.";

impl About {
    /// Everything, for the page.
    pub fn told(&self, nearest: Option<Progress>, folders: Vec<String>) -> Told<'_> {
        let header = &self.header;
        let bins = self.test.iter().flat_map(|test| 0..test.calibration.bins.len());
        Told {
            name: &self.name,
            version: env!("CARGO_PKG_VERSION"),
            network: network(&header.net.net),
            size: header.net.size,
            fit: header.fit,
            labels: &header.labels,
            training_counts: &header.training_counts,
            score: self.score(),
            score_text: self.score_text(),
            trust: bins.filter_map(|bin| self.trust_of(bin)).collect(),
            audit: self.audited.as_ref(),
            methods: Method::ALL.map(|method| MethodTold { name: method.name(), about: method.about() }).into(),
            layers: &self.layers,
            layer: &self.layer,
            cannot_show: CANNOT_SHOW,
            nearest,
            folders,
            limits: Limits { file_bytes: FILE_BYTES, all_bytes: ALL_BYTES, pixels: PIXELS, waiting: WAITING },
        }
    }

    fn score(&self) -> Option<Score<'_>> {
        let Test { metrics: m, intervals: i, .. } = self.test.as_ref()?;
        Some(Score {
            covers: m.n,
            accuracy: m.accuracy,
            accuracy_interval: m.accuracy_ci,
            balanced_accuracy: m.balanced_accuracy,
            balanced_accuracy_interval: i.balanced_accuracy,
            macro_f1: m.macro_f1,
            macro_f1_interval: i.macro_f1,
            majority_label: &m.majority_label,
            majority: m.majority,
            stratified: m.stratified,
            chance: m.chance,
            verdict: m.verdict_text(),
        })
    }

    fn score_text(&self) -> String {
        let Some(Test { metrics: m, .. }) = &self.test else {
            return "There is no test set, so nothing tells how well the network does on covers that it has not seen."
                .to_owned();
        };
        let [low, high] = m.accuracy_ci;
        format!(
            "Right on {} of {} test covers (95 % interval {:.1} to {}). {}",
            percent(m.accuracy),
            thousands(m.n as u64),
            100.0 * low,
            percent(high),
            m.verdict_text()
        )
    }

    /// How far an answer of this probability can be trusted; none without a test set.
    pub fn trust(&self, probability: f32) -> Option<Trust> {
        self.trust_of(Calibration::place(probability))
    }

    /// [`Self::trust`] in words, which are there in any case.
    pub fn trust_text(trust: Option<&Trust>) -> String {
        trust.map_or_else(|| UNTESTED.to_owned(), |trust| trust.text.clone())
    }

    fn trust_of(&self, bin: usize) -> Option<Trust> {
        let Test { calibration, metrics, .. } = self.test.as_ref()?;
        let (found, bins) = (&calibration.bins[bin], calibration.bins.len() as f64);
        let [from, to] = [bin as f64 / bins, (bin + 1) as f64 / bins];
        let interval = wilson(found.right as u64, found.count as u64);
        let share = (found.count > 0).then_some(found.accuracy);
        let between = format!("between {:.0} and {:.0} %", 100.0 * from, 100.0 * to);
        let text = match found.count {
            0 => format!(
                "None of the {} test covers got an answer {between}, so it is not known how often one is right.",
                thousands(metrics.n as u64)
            ),
            count => {
                let few = if count < FEW { " That is few to judge by." } else { "" };
                let [low, high] = interval.map(|share| 100.0 * share);
                let covers = if count == 1 { "cover with such an answer" } else { "covers with such answers" };
                format!(
                    "Answers {between} were right {:.0} % of the time on the test set: {} of {} {covers} (95 % interval {low:.0} to \
                     {high:.0} %).{few}",
                    100.0 * found.accuracy,
                    thousands(found.right as u64),
                    thousands(count as u64),
                )
            }
        };
        Some(Trust { from, to, covers: found.count, right: found.right, share, interval, text })
    }
}
