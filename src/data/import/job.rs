//! One call of the importer, its source read: decode, clean, split, write.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::ImportOptions;
use crate::data::dataset::{Dataset, MANIFEST, PACK, PREVIEW, pack_of};
use crate::data::decode::{self, Decoded, decode};
use crate::data::duplicates::{self, Candidate, Told};
use crate::data::harmonise::Harmonise;
use crate::data::manifest::{Cover, DUPLICATES, Manifest, Split};
use crate::data::pack::{Pack, PictureInfo};
use crate::data::preview;
use crate::data::report::Report;
use crate::data::source::{Row, Skipped, Source};
use crate::data::split::{self, Item};
use crate::data::stage::Stage;
use crate::{Error, Result};

/// One call of [`import`], its source read.
pub struct Job<'a> {
    pub options: &'a ImportOptions,
    pub shown: String,
    /// None where the source's own sets are kept.
    pub ratios: Option<[f64; 3]>,
    pub source: Source,
    pub state: String,
}

impl Job<'_> {
    pub fn run(mut self, stage: &Stage, dir: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        let named = self.source.rows.len() + self.source.left_out.len();
        decode::take_back(&stage.unfinished(), &stage.work())?;
        let mut decoded =
            decode(&self.source.rows, &self.options.sizes, self.options.pipeline(), &stage.work(), progress)?;

        // The usable pictures, in the order of their slots.
        let (mut rows, mut infos) = (Vec::new(), Vec::new());
        for (row, picture) in
            std::mem::take(&mut self.source.rows).into_iter().zip(std::mem::take(&mut decoded.pictures))
        {
            match picture {
                Ok(info) => {
                    rows.push(row);
                    infos.push(info);
                }
                Err(bad) => self.source.left_out.push(Skipped::new(&row.path, bad.reason)),
            }
        }
        let Cleaned { slots, duplicates, alike } = self.clean(&decoded, &rows, &infos)?;
        let before = self.sets_before(dir);
        let kept: Vec<(&Row, &str)> = slots.iter().map(|&i| (&rows[i], infos[i].hash.as_str())).collect();
        let (splits, moved) = self.split(&kept, &alike, &before)?;
        let moved: Vec<String> = moved.iter().map(|&i| kept[i].0.path.to_string_lossy().into_owned()).collect();
        if !moved.is_empty() {
            self.source.notes.push(format!(
                "{} covers were moved out of the set that the source gives them, to keep their groups whole (import.json \
                 lists them)",
                moved.len()
            ));
        }
        drop(kept);
        let manifest = self.manifest(rows, infos, &slots, &alike, splits)?;
        self.source.notes.extend(size_gap(&manifest));
        self.source.notes.extend(self.options.harmonise.and_then(|harmonise| enlarged(&manifest, harmonise)));
        self.write(stage, &decoded, &slots, &manifest, named, duplicates, moved)
    }

    /// Finds the pictures that show one cover, and drops all but one of each.
    fn clean(&mut self, decoded: &Decoded, rows: &[Row], infos: &[PictureInfo]) -> Result<Cleaned> {
        let greys = decoded.greys()?;
        let paths = |i: usize| rows[i].path_text();
        let candidates: Vec<Candidate> = rows
            .iter()
            .zip(infos)
            .map(|(row, info)| Candidate { path: row.path_text(), info, label: row.label, split: row.split })
            .collect();
        let groups = duplicates::find(&candidates, &greys);
        let told: Vec<Told> =
            groups.iter().map(|group| duplicates::told(group, &candidates, &self.source.classes, &greys)).collect();
        drop(candidates);
        let mut alike = if self.options.keep_duplicates { vec![String::new(); rows.len()] } else { Vec::new() };
        let mut dropped = HashSet::new();
        let (mut copies, mut contradictions) = (0, 0);
        for group in &groups {
            if self.options.keep_duplicates {
                let name = &infos[group.members[0]].hash[..12];
                group.members.iter().for_each(|&i| alike[i] = name.to_owned());
                continue;
            }
            for &i in group.members.iter().filter(|&&i| group.kept != Some(i)) {
                dropped.insert(i);
                let reason = match group.kept {
                    Some(kept) if infos[i].hash == infos[kept].hash => format!("a copy of {}", paths(kept)),
                    Some(kept) => format!("looks like {}", paths(kept)),
                    None => {
                        let other =
                            group.members.iter().copied().find(|&j| rows[j].label != rows[i].label).unwrap_or(i);
                        let [own, theirs] = [i, other].map(|i| &self.source.classes[rows[i].label]);
                        format!("labelled `{own}`, but {} looks the same and is labelled `{theirs}`", paths(other))
                    }
                };
                if group.kept.is_some() {
                    copies += 1
                } else {
                    contradictions += 1
                }
                self.source.left_out.push(Skipped::new(&rows[i].path, reason));
            }
        }
        if self.options.keep_duplicates && !groups.is_empty() {
            let covers: usize = groups.iter().map(|group| group.members.len()).sum();
            let conflicts = groups.iter().filter(|group| group.kept.is_none()).count();
            self.source.notes.push(format!(
                "kept {covers} covers that look alike, in {} groups that stay in one set; {conflicts} groups have labels that \
                 contradict each other",
                groups.len(),
            ));
        } else if copies + contradictions > 0 {
            self.source.notes.push(format!(
                "dropped {copies} duplicates, and {contradictions} covers that look alike but are labelled differently \
                 (import.json lists them)"
            ));
        }
        let slots: Vec<usize> = (0..rows.len()).filter(|i| !dropped.contains(i)).collect();
        let alike =
            if alike.is_empty() { alike } else { slots.iter().map(|&i| std::mem::take(&mut alike[i])).collect() };
        Ok(Cleaned { slots, duplicates: told, alike })
    }

    /// Where covers of the data set that is to be replaced are, by content, if it was split by the same rule.
    fn sets_before(&self, dir: &Path) -> HashMap<String, Split> {
        let same = |report: &Report| {
            let grouped: Vec<&String> = self.source.grouping.iter().map(|&i| &self.source.group_columns[i]).collect();
            self.ratios.is_some()
                && report.split == self.ratios
                && report.seed == self.options.seed
                && report.grouped_by.iter().collect::<Vec<_>>() == grouped
        };
        if !Dataset::is_at(dir) || !Report::read(dir).is_ok_and(|report| same(&report)) {
            return HashMap::new();
        }
        let covers = Manifest::read(&dir.join(MANIFEST)).map(|manifest| manifest.covers).unwrap_or_default();
        covers.into_iter().map(|cover| (cover.hash, cover.split)).collect()
    }

    /// Splits `rows`, given with what identifies them (their content's hashes, or before decoding their paths). `alike` names
    /// groups of duplicates, if they were kept. The second list are those that were moved out of the source's own sets.
    pub fn split(
        &self,
        rows: &[(&Row, &str)],
        alike: &[String],
        before: &HashMap<String, Split>,
    ) -> Result<(Vec<Split>, Vec<usize>)> {
        // Nearly always the rows' own columns are those that group: then they need no copies.
        let all = self.source.grouping.iter().copied().eq(0..self.source.group_columns.len()) && alike.is_empty();
        let chosen = |i: usize| -> Vec<String> {
            let own = self.source.grouping.iter().map(|&place| rows[i].0.groups[place].clone());
            own.chain(alike.get(i).cloned()).collect()
        };
        let copies: Vec<Vec<String>> = if all { Vec::new() } else { (0..rows.len()).map(chosen).collect() };
        let items: Vec<Item> = rows
            .iter()
            .enumerate()
            .map(|(i, (row, key))| {
                let groups = if all { &row.groups } else { &copies[i] };
                Item { label: row.label, groups, key, before: before.get(*key).copied() }
            })
            .collect();
        match self.ratios {
            Some(ratios) => {
                let splits = split::assign(&self.source.classes, &items, ratios, self.options.seed)
                    .map_err(|e| Error::Input(format!("{}: {e}", self.shown)))?;
                Ok((splits, Vec::new()))
            }
            None => {
                let mut splits: Vec<Split> = rows.iter().map(|(row, _)| row.split.unwrap_or(Split::Train)).collect();
                let moved = split::unite(&items, &mut splits);
                if !splits.contains(&Split::Train) {
                    return Err(Error::Input(format!(
                        "{}: no cover is left in its train set: make a split with --split 70,15,15",
                        self.shown
                    )));
                }
                Ok((splits, moved))
            }
        }
    }

    fn manifest(
        &self,
        rows: Vec<Row>,
        infos: Vec<PictureInfo>,
        slots: &[usize],
        alike: &[String],
        splits: Vec<Split>,
    ) -> Result<Manifest> {
        let mut rows: Vec<Option<(Row, PictureInfo)>> = rows.into_iter().zip(infos).map(Some).collect();
        let covers: Vec<Cover> = slots
            .iter()
            .enumerate()
            .zip(splits)
            .filter_map(|((place, &i), split)| {
                let (mut row, info) = rows[i].take()?;
                row.groups.extend(alike.get(place).cloned());
                let PictureInfo { width, height, hash, look } = info;
                Some(Cover { path: row.path, label: row.label, groups: row.groups, split, width, height, hash, look })
            })
            .collect();
        if let Some(class) = (0..self.source.classes.len()).find(|&class| covers.iter().all(|c| c.label != class)) {
            return Err(Error::Input(format!(
                "{}: class `{}` has no usable cover left: repair its pictures or leave the class out",
                self.shown, self.source.classes[class]
            )));
        }
        let mut group_columns = self.source.group_columns.clone();
        if self.options.keep_duplicates {
            group_columns.push(DUPLICATES.to_owned());
        }
        Ok(Manifest { classes: self.source.classes.clone(), group_columns, covers })
    }

    /// Writes all files of the data set where they wait for being moved into place.
    #[expect(clippy::too_many_arguments, reason = "each is one of the things that are written")]
    fn write(
        self,
        stage: &Stage,
        decoded: &Decoded,
        slots: &[usize],
        manifest: &Manifest,
        named: usize,
        duplicates: Vec<Told>,
        moved: Vec<String>,
    ) -> Result<()> {
        let new = stage.new_files()?;
        manifest.write(&new.join(MANIFEST))?;
        let Self { options, ratios, source, state, .. } = self;
        let request = &options.request;
        let report = Report {
            gatefold: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.shown,
            kind: source.kind.to_owned(),
            state,
            path_column: request.columns.path.clone(),
            label_column: request.columns.label.clone(),
            grouped_by: source.grouping.iter().map(|&place| source.group_columns[place].clone()).collect(),
            split: ratios,
            seed: options.seed,
            fit: options.fit,
            harmonise: options.harmonise,
            keep_duplicates: options.keep_duplicates,
            classes: source.classes,
            named,
            kept: manifest.covers.len(),
            skipped: source.left_out,
            duplicates,
            moved,
            notes: source.notes,
            details: serde_json::to_value(&source.details).map_err(Error::run)?,
        };
        report.write(&new)?;
        // Last, since a pack that has left the work folder has to be taken back by the next call if this one is killed.
        let slots: Vec<u32> = slots.iter().map(|&slot| slot as u32).collect();
        let pack = |i: usize, size: u32| if i == 0 { new.join(PACK) } else { new.join(pack_of(size)) };
        for (i, &size) in options.sizes.iter().enumerate() {
            decoded.finish(size, &slots, manifest.covers.iter().map(|cover| cover.hash.as_str()), &pack(i, size))?;
        }
        preview::write(manifest, &Pack::open(&pack(0, 0))?, &new.join(PREVIEW))
    }
}

/// What is left after duplicates were dropped.
struct Cleaned {
    /// The usable pictures that stay, by number.
    slots: Vec<usize>,
    duplicates: Vec<Told>,
    /// For each that stays the name of its group of duplicates, empty if it is in none; nothing if duplicates were dropped.
    alike: Vec<String>,
}

/// Classes whose pictures' sides differ by more than this part have probably come from different sources.
const GAP: f64 = 0.1;

/// What to know if the classes' pictures differ in size.
fn size_gap(manifest: &Manifest) -> Option<String> {
    let mut sides: Vec<Vec<u32>> = vec![Vec::new(); manifest.classes.len()];
    manifest.covers.iter().for_each(|cover| sides[cover.label].push(cover.width.min(cover.height)));
    let medians: Vec<u32> = sides
        .iter_mut()
        .map(|sides| {
            sides.sort_unstable();
            sides[sides.len() / 2]
        })
        .collect();
    let (small, large) = (medians.iter().min()?, medians.iter().max()?);
    if f64::from(*large) <= f64::from(*small) * (1.0 + GAP) {
        return None;
    }
    let listed: Vec<String> =
        manifest.classes.iter().zip(&medians).map(|(class, side)| format!("{class} {side}")).collect();
    Some(format!(
        "WARNING: the classes' pictures differ in size (median side in pixels: {}), so they were scaled differently, and a \
         network may learn to see the scaling instead of the covers: do not believe a score before `gatefold audit` has put this to \
         the test",
        listed.join(", ")
    ))
}

/// What to know if pictures have to grow to the size that all are to be alike at.
fn enlarged(manifest: &Manifest, harmonise: Harmonise) -> Option<String> {
    let small = manifest.covers.iter().filter(|cover| cover.width.min(cover.height) < harmonise.size).count();
    (small > 0).then(|| {
        format!(
            "WARNING: --harmonise {harmonise}: {small} pictures are smaller than {} pixels, so they grow where the others \
             shrink, and that shows: name a size that all have",
            harmonise.size
        )
    })
}
