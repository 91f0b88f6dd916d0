//! Does the audit find what is there, and nothing where nothing is? Asked of every data set anew.
//!
//! The largest class is split in half at random. Between the halves there must be nothing to find. Then one half is brought
//! through another pipeline ([`remake::detour`]), which must be found: at this size of squares, with this number of pictures.

use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::probe::{LEAST_PICTURES, PERMUTATIONS, Pictures, Probe};
use super::table::Table;
use super::{features, remake};
use crate::data::picture::load_rgb;
use crate::data::{Dataset, Fit, Pipeline};
use crate::{Error, Result};

/// More pictures of the class than this are not used: they would cost time and show nothing new.
const MOST: usize = 600;
/// What chance alone reaches less often than this is a finding: between halves split at random a wrong one.
const CHANCE: f64 = 0.01;
/// The planted shortcut's area must have the lower end of its interval above this. How strong it is depends on how far squares are
/// scaled down, which takes traces by itself; here it only must be seen beyond doubt, and the verdict says how strong it was.
const SEEN: f64 = 0.55;

/// The three controls.
#[derive(Clone, Debug, Serialize)]
pub struct Controls {
    /// The class that was split in half, and how many of its pictures were used.
    pub class: String,
    pub pictures: usize,
    /// Two halves of one class: nothing may be found.
    pub split: Control,
    /// Labels that mean nothing: nothing may be found.
    pub permuted: Control,
    /// One half remade: must be found. None where the originals are gone.
    pub planted: Option<Control>,
    /// Files that could not be remade.
    pub missing: usize,
}

/// One control.
#[derive(Clone, Debug, Serialize)]
pub struct Control {
    pub auc: f64,
    pub interval: [f64; 2],
    pub p: Option<f64>,
    /// What is left of it when all pictures are degraded alike.
    pub after_harmonising: Option<f64>,
    pub passed: bool,
}

impl Controls {
    /// What went wrong, in words; empty if all is well.
    pub fn failures(&self) -> Vec<String> {
        let mut failed = Vec::new();
        if !self.split.passed {
            failed.push(format!(
                "the two random halves of {} can be told apart (AUC {:.2}), where there is nothing to tell: covers that belong \
                 together may be unmarked (name them with --group), or chance played a trick (try another --seed)",
                self.class, self.split.auc
            ));
        }
        if !self.permuted.passed {
            failed.push(format!("labels dealt at random score {:.2} on average instead of 0.50", self.permuted.auc));
        }
        match &self.planted {
            None => failed.push(format!(
                "a shortcut could not be planted as a test, since only some of the original files are there ({} of those \
                 needed are gone)",
                self.missing
            )),
            Some(planted) if !planted.passed => failed.push(format!(
                "the shortcut planted in half of {} as a test was not found (AUC {:.2}, {} covers), so a real one would not be \
                 either: audit at a larger --size, or more covers",
                self.class, planted.auc, self.pictures
            )),
            Some(_) => {}
        }
        failed
    }
}

/// What the controls need of the audit.
pub struct Setting<'a> {
    pub dataset: &'a Dataset,
    pub pictures: Pictures<'a>,
    /// Features of the squares as they are, and degraded alike.
    pub pixels: &'a Table,
    pub harmonised: &'a Table,
    /// The probe of the classes themselves, for its permutations.
    pub probe: &'a Probe,
    pub seed: u64,
}

impl Setting<'_> {
    /// Runs all three. None if no class has pictures enough for two halves.
    ///
    /// `progress(done, total)` counts pictures that are remade.
    ///
    /// # Errors
    /// [`Error::Run`] if a remade picture cannot be compressed.
    pub fn run(&self, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Option<Controls>> {
        let (class, own) = self.largest();
        let halves = self.halves(&own);
        let count = |half: usize| halves.iter().filter(|&&own| own == half).count();
        if count(0).min(count(1)) < LEAST_PICTURES {
            return Ok(None);
        }
        let names = ["one half".to_owned(), "the other half".to_owned()];
        let groups: Vec<usize> = own.iter().map(|&i| self.pictures.groups[i]).collect();
        let groups = numbered(&groups);
        let pictures = Pictures { classes: &names, labels: &halves, groups: &groups };
        let silent = |_: usize, _: usize| {};
        let split = Probe::run(&self.pixels.pick(&own), pictures, PERMUTATIONS, self.seed, &silent);
        let (Some(split), Some(null)) = (split.strongest(), &self.probe.null) else { return Ok(None) };
        let split = Control {
            auc: split.auc,
            interval: split.interval,
            p: split.p,
            after_harmonising: None,
            passed: split.p.is_none_or(|p| p > CHANCE),
        };

        // The mean of many permutations is known well; a hundredth is left for what cross-validation itself shifts it by.
        let slack = 0.02 + 3.0 * null.sd / (null.permutations as f64).sqrt();
        let permuted = Control {
            auc: null.mean,
            interval: [null.mean - 1.96 * null.sd, null.mean + 1.96 * null.sd],
            p: None,
            after_harmonising: None,
            passed: (null.mean - 0.5).abs() <= slack,
        };

        let wanted: Vec<usize> = (0..own.len()).filter(|&place| halves[place] == 1).collect();
        let remade = self.made(&own, &wanted, true, progress);
        let missing = wanted.len() - remade.len();
        let planted = if missing * 2 > wanted.len() { None } else { self.planted(&own, &halves, &groups, &remade)? };
        Ok(Some(Controls { class, pictures: own.len(), split, permuted, planted, missing }))
    }

    /// The name and the pictures of the largest class, drawn at random if there are more than [`MOST`].
    fn largest(&self) -> (String, Vec<usize>) {
        let Pictures { classes, labels, .. } = self.pictures;
        let of = |class: usize| (0..labels.len()).filter(|&i| labels[i] == class).collect::<Vec<usize>>();
        // Of classes of one size, the first.
        let class = (0..classes.len()).rev().max_by_key(|&class| of(class).len()).unwrap_or(0);
        let mut own = of(class);
        own.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed));
        own.truncate(MOST);
        own.sort_unstable();
        (classes[class].clone(), own)
    }

    /// For each of these pictures the half it is in: groups whole, as even as they permit.
    fn halves(&self, own: &[usize]) -> Vec<usize> {
        let mut members: Vec<Vec<usize>> = Vec::new();
        let groups = numbered(&own.iter().map(|&i| self.pictures.groups[i]).collect::<Vec<usize>>());
        groups.iter().enumerate().for_each(|(place, &group)| {
            members.resize(members.len().max(group + 1), Vec::new());
            members[group].push(place);
        });
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed);
        dice.set_stream(1);
        members.shuffle(&mut dice);
        members.sort_by_key(|members| std::cmp::Reverse(members.len()));
        let (mut half_of, mut sizes) = (vec![0; own.len()], [0; 2]);
        for members in members {
            let half = usize::from(sizes[1] < sizes[0]);
            members.iter().for_each(|&place| half_of[place] = half);
            sizes[half] += members.len();
        }
        half_of
    }

    /// Squares of one half, made of the originals, by place in `own`; with the detour if they are to be told from the other half.
    /// What harmonises the data set is left out: it takes traces, and the control is about seeing them.
    fn made(
        &self,
        own: &[usize],
        wanted: &[usize],
        detour: bool,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Vec<(usize, RgbImage)> {
        let (size, pipeline) = (self.dataset.pack.size(), Pipeline::from(self.dataset.pack.fit()));
        let done = AtomicUsize::new(0);
        let one = |&place: &usize| {
            let original = load_rgb(self.dataset.manifest.covers[own[place]].strings.path());
            let picture = original.and_then(|original| if detour { remake::detour(&original) } else { Ok(original) });
            let square = picture.and_then(|picture| pipeline.square(&picture, size));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, wanted.len());
            square.ok().map(|square| (place, square))
        };
        let made: Vec<Option<(usize, RgbImage)>> = wanted.par_iter().map(one).collect();
        made.into_iter().flatten().collect()
    }

    /// Features of squares, and of the same after all were degraded alike: as the data set is, or as is advised.
    fn measured(&self, squares: &[(usize, RgbImage)]) -> Result<[Table; 2]> {
        let size = self.dataset.pack.size();
        let harmonise = self.dataset.pack.pipeline().harmonise.unwrap_or(remake::advised(size));
        let pipeline = Pipeline { harmonise: Some(harmonise), fit: Fit::Crop };
        let small = |i: usize| Ok(pipeline.square(&squares[i].1, size).map_err(Error::run)?.into_raw());
        let table = |degrade: bool| {
            if degrade {
                features::table(size as usize, squares.len(), small, &|_, _| {})
            } else {
                features::table(size as usize, squares.len(), |i| Ok(squares[i].1.as_raw()), &|_, _| {})
            }
        };
        Ok([table(false)?, table(true)?])
    }

    fn planted(
        &self,
        own: &[usize],
        halves: &[usize],
        groups: &[usize],
        remade: &[(usize, RgbImage)],
    ) -> Result<Option<Control>> {
        let mut kept: Vec<usize> = (0..own.len()).filter(|&place| halves[place] == 0).collect();
        let as_is = if self.dataset.pack.pipeline().harmonise.is_some() {
            let squares = self.made(own, &kept, false, &|_, _| {});
            kept = squares.iter().map(|&(place, _)| place).collect();
            self.measured(&squares)?
        } else {
            let rows: Vec<usize> = kept.iter().map(|&place| own[place]).collect();
            [self.pixels.pick(&rows), self.harmonised.pick(&rows)]
        };
        let changed = self.measured(remade)?;

        // The first half as it is, then the second one remade.
        let labels: Vec<usize> = kept.iter().map(|_| 0).chain(remade.iter().map(|_| 1)).collect();
        let places = kept.iter().copied().chain(remade.iter().map(|&(place, _)| place));
        let groups = numbered(&places.map(|place| groups[place]).collect::<Vec<usize>>());
        let names = ["as it is".to_owned(), "remade".to_owned()];
        let pictures = Pictures { classes: &names, labels: &labels, groups: &groups };
        let [before, after] = [0, 1].map(|degraded| as_is[degraded].with(&changed[degraded]));
        let before = Probe::run(&before, pictures, PERMUTATIONS, self.seed, &|_, _| {});
        let after = Probe::run(&after, pictures, 0, self.seed, &|_, _| {});
        let Some(found) = before.strongest() else { return Ok(None) };
        Ok(Some(Control {
            auc: found.auc,
            interval: found.interval,
            p: found.p,
            after_harmonising: after.strongest().map(|class| class.auc),
            passed: found.p.is_some_and(|p| p <= CHANCE) && found.interval[0] > SEEN,
        }))
    }
}

/// Group numbers without gaps, in the order of their first pictures.
fn numbered(groups: &[usize]) -> Vec<usize> {
    let mut numbers = std::collections::HashMap::new();
    groups
        .iter()
        .map(|&group| {
            let next = numbers.len();
            *numbers.entry(group).or_insert(next)
        })
        .collect()
}
