//! One call of the importer, its source read: decode, clean, split, write.

use std::collections::HashMap;
use std::path::Path;

use blake3::Hash;

use crate::data::import::decode::{self, Decoded, decode_together};
use crate::data::import::duplicates::{self, Candidate, Group, Member};
use crate::data::import::stage::Stage;
use crate::data::import::{ImportOptions, notes, preview};
use crate::data::picture::fingerprint::PictureInfo;
use crate::data::picture::harmonise::Harmonise;
use crate::data::picture::look;
use crate::data::set::dataset::Dataset;
use crate::data::set::manifest::{Cover, DUPLICATES, Manifest};
use crate::data::set::names::{MANIFEST, PACK, PREVIEW, pack_of};
use crate::data::set::pack::Pack;
use crate::data::set::report::{Report, Skipped, Told};
use crate::data::set::split::{self, Item, Items, Split};
use crate::data::set::strings::StringsBuilder;
use crate::data::set::ties::Tie;
use crate::data::source::{Row, Source};
use crate::{Error, Result};

/// One call of [`import`], its source read.
pub struct Job<'a> {
    pub options: &'a ImportOptions,
    pub shown: String,
    /// None where the source's own sets are kept.
    pub ratios: Option<[f64; 3]>,
    pub source: Source,
    pub state: String,
    /// Whether there is a group column of covers that look alike, behind the source's.
    pub alike_column: bool,
    /// Whether it keeps them together.
    pub tied: bool,
}

impl Job<'_> {
    pub fn run(mut self, stage: &Stage, dir: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        let named = self.source.rows.len() + self.source.left_out.len();
        decode::take_back(&stage.unfinished(), &stage.work())?;
        let ImportOptions { sizes, ranks, .. } = self.options;
        let pipeline = self.options.pipeline();
        let mut decoded = decode_together(&self.source.rows, sizes, pipeline, &stage.work(), ranks, progress)?;

        // The usable pictures, in the order of their slots.
        let mut rows = std::mem::take(&mut self.source.rows);
        for (row, picture) in rows.iter().zip(&decoded.pictures) {
            if let Err(bad) = picture {
                self.source.left_out.push(Skipped::new(row.strings.path(), &bad.reason));
            }
        }
        let mut usable = decoded.pictures.iter().map(Result::is_ok);
        rows.retain(|_| usable.next() == Some(true));
        let mut infos: Vec<PictureInfo> = std::mem::take(&mut decoded.pictures).into_iter().flatten().collect();
        let usable = self.of_classes(&rows);
        let Cleaned { stays, duplicates } = self.clean(&decoded, &mut rows, &infos)?;
        let slots: Vec<u32> = (0..).zip(&stays).filter(|&(_, &stays)| stays).map(|(slot, _)| slot).collect();
        let (mut row_stays, mut info_stays) = (stays.iter(), stays.iter());
        rows.retain(|_| row_stays.next() == Some(&true));
        infos.retain(|_| info_stays.next() == Some(&true));
        self.check_left(&usable, &rows)?;
        let looks = decoded.looks()?;
        let is_plain = |slot: u32| look::is_plain(looks.look(slot as usize));
        let plain: Vec<&str> = rows
            .iter()
            .zip(&slots)
            .filter(|&(_, &slot)| is_plain(slot))
            .map(|(row, _)| row.strings.path_text())
            .collect();
        self.source.notes.extend(notes::plain(&plain));
        let before = self.sets_before(dir);
        let (splits, moved) = self.split_tied(&rows, |i| infos[i].hash, &before)?;
        self.source.notes.extend(self.large_group(&rows));
        let moved: Vec<String> = moved.iter().map(|&i| rows[i].strings.path_text().to_owned()).collect();
        if !moved.is_empty() {
            self.source.notes.push(format!(
                "{} covers were moved out of the set that the source gives them, to keep their groups whole (import.json \
                 lists them)",
                moved.len()
            ));
        }
        self.check_trained(&rows, &splits)?;
        let manifest = self.manifest(rows, infos, splits);
        self.source.notes.extend(size_gap(&manifest));
        self.source.notes.extend(self.options.harmonise.and_then(|harmonise| enlarged(&manifest, harmonise)));
        self.write(stage, &decoded, &slots, &manifest, named, duplicates, moved)
    }

    /// Finds the pictures that show one cover. All but one of each are to be dropped; or they get a group column in common.
    fn clean(&mut self, decoded: &Decoded, rows: &mut [Row], infos: &[PictureInfo]) -> Result<Cleaned> {
        let looks = decoded.looks()?;
        let candidates: Vec<Candidate> = rows.iter().zip(infos).map(|(row, info)| Candidate { row, info }).collect();
        let find = if self.options.keep_duplicates { duplicates::find_all } else { duplicates::find };
        let groups = find(&candidates, &looks);
        let told: Vec<Told> =
            groups.iter().map(|group| duplicates::told(group, &candidates, &self.source.classes, &looks)).collect();
        // In a split that is made here, what is alike from afar stays in one set. Sets that are given are not changed for it.
        let tie = self.ratios.is_some() && !self.options.keep_duplicates;
        let near = if tie { duplicates::find_near(&candidates, &looks) } else { Vec::new() };
        drop(candidates);
        let mut stays = vec![true; rows.len()];
        self.source.notes.extend(notes::large_groups(&groups, rows, infos));
        if self.options.keep_duplicates {
            self.join(rows, infos, &groups);
            self.source.notes.extend(notes::kept(&groups));
            return Ok(Cleaned { stays, duplicates: told });
        }
        let paths = |i: usize| rows[i].strings.path_text();
        let (mut copies, mut contradictions) = (0, 0);
        for group in &groups {
            for &Member { number: i, like } in group.members.iter().filter(|member| group.kept != Some(member.number)) {
                stays[i] = false;
                let reason = match group.kept {
                    Some(kept) if infos[i].hash == infos[kept].hash => format!("a copy of {}", paths(kept)),
                    Some(kept) => format!("looks like {}", paths(kept)),
                    None => {
                        let [own, theirs] = [i, like].map(|i| &self.source.classes[rows[i].label]);
                        format!("labelled `{own}`, but {} looks the same and is labelled `{theirs}`", paths(like))
                    }
                };
                if group.kept.is_some() {
                    copies += 1
                } else {
                    contradictions += 1
                }
                self.source.left_out.push(Skipped::new(rows[i].strings.path(), reason));
            }
        }
        if copies + contradictions > 0 {
            self.source.notes.push(format!(
                "dropped {copies} duplicates, and {contradictions} covers that look alike but are labelled differently \
                 (import.json lists them)"
            ));
        }
        let near: Vec<Group> = near.into_iter().filter_map(|group| group.among(&stays)).collect();
        if !near.is_empty() {
            self.join(rows, infos, &near);
            self.source.notes.push(notes::tied(&near));
        }
        Ok(Cleaned { stays, duplicates: told })
    }

    /// Gives each row a value in a further group column: the name of its group of duplicates, empty if it is in none.
    fn join(&mut self, rows: &mut [Row], infos: &[PictureInfo], groups: &[Group]) {
        let mut group_of = vec![None; rows.len()];
        groups.iter().for_each(|group| {
            group.members.iter().for_each(|member| group_of[member.number] = Some(group.members[0].number))
        });
        let mut strings = StringsBuilder::default();
        for (row, first) in rows.iter().zip(group_of) {
            let name = first.map(|first: usize| infos[first].hash.to_hex()[..12].to_owned()).unwrap_or_default();
            strings.push(row.strings.path_text(), row.strings.groups().chain([&*name]));
        }
        rows.iter_mut().zip(strings.finish()).for_each(|(row, strings)| row.strings = strings);
        (self.alike_column, self.tied) = (true, true);
    }

    /// Splits, if that can be done without parting what is alike from afar; else it is parted, and told.
    fn split_tied(
        &mut self,
        rows: &[Row],
        key: impl Fn(usize) -> Hash,
        before: &HashMap<Hash, Split>,
    ) -> Result<(Vec<Split>, Vec<usize>)> {
        let split = self.split(rows, &key, before);
        if split.is_ok() || !self.tied || self.options.keep_duplicates {
            return split;
        }
        self.tied = false;
        self.source.notes.push(
            "WARNING: covers that look alike from afar are in several sets, since their classes have too few others: what is \
             learned of one helps with the next, and flatters the score"
                .to_owned(),
        );
        self.split(rows, key, before)
    }

    /// Where covers of the data set that is to be replaced are, by content, if it was split by the same rule.
    fn sets_before(&self, dir: &Path) -> HashMap<Hash, Split> {
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

    /// Splits `rows`. `key` identifies each (by its content, or before decoding by its path); `before` has the sets that some
    /// are in already. The second list are those that were moved out of the source's own sets.
    pub fn split(
        &self,
        rows: &[Row],
        key: impl Fn(usize) -> Hash,
        before: &HashMap<Hash, Split>,
    ) -> Result<(Vec<Split>, Vec<usize>)> {
        let mut columns = self.source.grouping.clone();
        if self.tied {
            columns.push(self.source.group_columns.len());
        }
        let ties = Tie::of(&self.source.group_columns, &columns);
        let items = Items::new(rows.len(), |i| {
            let (Row { label, strings, .. }, key) = (&rows[i], key(i));
            Item { label: *label, strings, ties: &ties, key, before: before.get(&key).copied() }
        });
        match self.ratios {
            Some(ratios) => {
                let splits = split::assign(&self.source.classes, &items, ratios, self.options.seed)
                    .map_err(|e| Error::Input(format!("{}: {e}", self.shown)))?;
                Ok((splits, Vec::new()))
            }
            None => {
                let mut splits: Vec<Split> = rows.iter().map(|row| row.split.unwrap_or(Split::Train)).collect();
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

    /// What to know if one group holds a large part of all covers: it goes whole into one set.
    fn large_group(&self, rows: &[Row]) -> Option<String> {
        let ties = Tie::of(&self.source.group_columns, &self.source.grouping);
        let of = |i: usize| Item {
            label: rows[i].label,
            strings: &rows[i].strings,
            ties: &ties,
            key: Hash::from_bytes([0; 32]),
            before: None,
        };
        let (covers, tie, value) = split::largest(&Items::new(rows.len(), of))?;
        if covers < LARGE_GROUP || covers * 10 <= rows.len() {
            return None;
        }
        let column = &self.source.group_columns[ties[tie].column];
        let value = value.split('\0').next().unwrap_or_default();
        Some(format!(
            "the largest group holds {covers} of {} covers, tied above all by `{column}`, which says `{value}`; it is in one set as a \
             whole: if these covers do not belong together, name other columns with --group",
            rows.len()
        ))
    }

    /// How many rows each class has.
    fn of_classes(&self, rows: &[Row]) -> Vec<usize> {
        let mut counts = vec![0; self.source.classes.len()];
        rows.iter().for_each(|row| counts[row.label] += 1);
        counts
    }

    /// Refuses a class that nothing is left of. `usable` were the pictures of each before duplicates were dropped.
    fn check_left(&self, usable: &[usize], rows: &[Row]) -> Result<()> {
        let shown = &self.shown;
        let gone = self.of_classes(rows).iter().position(|&left| left == 0);
        gone.map_or(Ok(()), |gone| {
            let class = &self.source.classes[gone];
            Err(Error::Input(match usable[gone] {
                0 => format!(
                    "{shown}: class `{class}` has no usable cover left: repair its pictures or leave the class out"
                ),
                all => format!(
                    "{shown}: class `{class}` has no cover left: all its {all} are dropped as duplicates, or because they look like \
                     covers of another class: leave the class out with --map \"{class}=\", or keep them with --keep-duplicates"
                ),
            }))
        })
    }

    /// Refuses a class that nothing could be learnt of.
    pub fn check_trained(&self, rows: &[Row], splits: &[Split]) -> Result<()> {
        let mut trained = vec![false; self.source.classes.len()];
        rows.iter().zip(splits).for_each(|(row, split)| trained[row.label] |= *split == Split::Train);
        let Some(class) = trained.iter().position(|trained| !trained) else { return Ok(()) };
        let class = &self.source.classes[class];
        Err(Error::Input(format!(
            "{}: class `{class}` has no cover in the train set, so nothing could be learnt of it: leave it out with --map \
             \"{class}=\", or make a split with --split 70,15,15",
            self.shown
        )))
    }

    fn manifest(&self, rows: Vec<Row>, infos: Vec<PictureInfo>, splits: Vec<Split>) -> Manifest {
        let cover = |((row, info), split)| {
            let (Row { strings, label, .. }, PictureInfo { width, height, hash, phash }) = (row, info);
            Cover { strings, label, split, width, height, hash, phash }
        };
        let covers: Vec<Cover> = rows.into_iter().zip(infos).zip(splits).map(cover).collect();
        let mut group_columns = self.source.group_columns.clone();
        if self.alike_column {
            group_columns.push(DUPLICATES.to_owned());
        }
        Manifest { classes: self.source.classes.clone(), group_columns, covers }
    }

    /// Writes all files of the data set where they wait for being moved into place.
    #[expect(clippy::too_many_arguments, reason = "each is one of the things that are written")]
    fn write(
        self,
        stage: &Stage,
        decoded: &Decoded,
        slots: &[u32],
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
            manifest: Some(manifest.hash().to_string()),
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
        let pack = |i: usize, size: u32| if i == 0 { new.join(PACK) } else { new.join(pack_of(size)) };
        for (i, &size) in options.sizes.iter().enumerate() {
            decoded.finish(i, slots, manifest.covers.iter().map(|cover| cover.hash), &pack(i, size))?;
        }
        preview::write(manifest, &Pack::open(&pack(0, 0))?, &new.join(PREVIEW))
    }
}

/// Groups of fewer covers are not worth a word, however few the others are.
const LARGE_GROUP: usize = 10;

/// What was found out about duplicates.
struct Cleaned {
    /// Whether each usable picture stays.
    stays: Vec<bool>,
    duplicates: Vec<Told>,
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
