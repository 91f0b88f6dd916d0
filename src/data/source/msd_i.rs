//! MSD-I's table: tracks with a genre, an album, an artist, a set and a link to the cover.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;

use serde::Serialize;

use crate::data::set::split::Split;
use crate::data::source::collect::{Collector, Origin};
use crate::data::source::table::Table;
use crate::data::source::walk::Walk;
use crate::data::source::{Details, Labelling, Request, Source, grouping};
use crate::{Error, Result};

/// Albums listed by name; more are only counted.
const LISTED: usize = 20;

/// What the table says beside its pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub tracks: usize,
    pub albums: usize,
    pub artists: usize,
    /// Albums of each class in train, val and test, after repair.
    pub classes: BTreeMap<String, [usize; 3]>,
    /// Albums whose tracks carry several genres.
    pub conflicting: Vec<Album>,
    /// Albums whose tracks are in several sets.
    pub spanning: Vec<Album>,
    /// Artists whose albums are in several sets, after the albums were repaired.
    pub artists_in_several_sets: usize,
    /// Albums without a cover in the folder; none if no folder was given.
    pub without_picture: Option<usize>,
}

/// An album that had to be repaired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Album {
    pub album: String,
    /// What its tracks say, with the number of tracks.
    pub says: BTreeMap<String, usize>,
    /// What it was taken for; none if it was left out.
    pub taken: Option<String>,
}

struct Track {
    id: String,
    genre: String,
    set: Split,
    artist: String,
    /// The file name of the link, without its extension.
    link: String,
}

/// One cover per album.
///
/// An album takes the genre that more than half of its tracks carry, and is left out if there is none. It goes into the
/// set that most of its tracks name; of equal ones test before val before train.
pub(super) fn read(table: &Table, images: Option<&Walk>, request: &Request) -> Result<Source> {
    let shown = table.shown();
    let albums = albums(table)?;
    let pictures: Option<HashMap<String, &Path>> = images.map(|walk| {
        let by_stem = |file: &'_ crate::data::source::walk::File| Some(file.path.file_stem()?.to_str()?.to_lowercase());
        walk.pictures.iter().rev().filter_map(|file| Some((by_stem(file)?, &*file.path))).collect()
    });

    let mut report =
        Report { albums: albums.len(), without_picture: pictures.as_ref().map(|_| 0), ..Report::default() };
    let mut sets_of: HashMap<&str, Vec<Split>> = HashMap::new();
    let mut found = Collector::new(&request.labelling);
    for (name, tracks) in &albums {
        report.tracks += tracks.len();
        let genres = count(tracks.iter().map(|track| track.genre.as_str()));
        let genre = genres.iter().find(|&(_, count)| 2 * count > tracks.len()).map(|(genre, _)| genre.clone());
        let sets = count(tracks.iter().map(|track| track.set.name()));
        let set = Split::ALL.into_iter().max_by_key(|set| sets.get(set.name())).unwrap_or(Split::Train);
        if genres.len() > 1 {
            report.conflicting.push(Album { album: name.clone(), says: genres, taken: genre.clone() });
        }
        let Some(genre) = genre else { continue };
        if sets.len() > 1 {
            report.spanning.push(Album { album: name.clone(), says: sets, taken: Some(set.name().into()) });
        }
        report.classes.entry(genre.clone()).or_default()[set as usize] += 1;
        let artists = sets_of.entry(&tracks[0].artist).or_default();
        if !artists.contains(&set) {
            artists.push(set);
        }
        let Some(pictures) = &pictures else { continue };
        let by_id = tracks.iter().find_map(|track| pictures.get(&track.id));
        let Some(path) = by_id.or_else(|| tracks.iter().find_map(|track| pictures.get(&track.link))) else {
            *report.without_picture.get_or_insert(0) += 1;
            continue;
        };
        let origin = Origin::Named(format!("album {name}"));
        found.add(path, &genre, [&tracks[0].artist, name], Some(set), origin);
    }
    report.artists = sets_of.len();
    report.artists_in_several_sets = sets_of.values().filter(|sets| sets.len() > 1).count();
    let columns = vec!["artist".to_owned(), "album".to_owned()];
    let mut source = match images {
        Some(walk) => {
            if found.is_empty() {
                return Err(Error::Input(format!(
                    "{shown}: none of its {} albums has a cover in the folder of --images: name the pictures by track id \
                     (TR….jpg) or by the last part of their link",
                    albums.len()
                )));
            }
            found.finish("msd-i", columns, walk.left_out.clone(), Vec::new())?
        }
        None if !request.labelling.map.is_empty() => {
            return Err(Error::Input(format!(
                "{shown}: --map is for pictures, and this table has links only: give their folder with --images"
            )));
        }
        None => Source {
            classes: report.classes.keys().cloned().collect(),
            ..Collector::new(&Labelling::default()).finish("msd-i", columns, vec![], vec![])?
        },
    };
    source.notes.splice(0..0, notes(&shown.to_string(), &report));
    source.grouping = grouping(&source.group_columns, request)?;
    source.details = Some(Details::MsdI(report));
    Ok(source)
}

fn count<'a>(values: impl Iterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value.to_owned()).or_default() += 1);
    counts
}

/// The table's tracks by album; albums in the order of their names, tracks in the table's.
fn albums(table: &Table) -> Result<BTreeMap<String, Vec<Track>>> {
    let remedy = "MSD-I's table has it: fetch the table again";
    let genre = table.place("genre").or_else(|| table.place("genre_label"));
    let genre = genre.map_or_else(|| table.need("genre", remedy), Ok)?;
    let [id, album, set, artist, link] =
        ["msd_track_id", "album_index", "set", "msd_artist_id", "image_url"].map(|name| table.need(name, remedy));
    let (id, album, set, artist, link) = (id?, album?, set?, artist?, link?);
    let mut albums: BTreeMap<String, Vec<Track>> = BTreeMap::new();
    table.each(|line, record| {
        let field = |place: usize| {
            let value = record[place].trim();
            if value.is_empty() { Err(table.empty(line, place)) } else { Ok(value.to_owned()) }
        };
        let named = field(set)?;
        let Some(set) = Split::from_name(&named.to_lowercase()) else {
            let shown = table.shown();
            return Err(Error::Input(format!("{shown}: line {line}: set `{named}` is not train, val or test")));
        };
        let url = field(link)?;
        let file = url.split(['?', '#']).next().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
        let stem = Path::new(file).file_stem().and_then(OsStr::to_str).unwrap_or_default();
        let track = Track {
            id: field(id)?.to_lowercase(),
            genre: field(genre)?,
            set,
            artist: field(artist)?,
            link: stem.to_lowercase(),
        };
        albums.entry(field(album)?).or_default().push(track);
        Ok(())
    })?;
    if albums.is_empty() {
        return Err(Error::Input(format!("{}: a header line and no rows: fetch the table again", table.shown())));
    }
    Ok(albums)
}

fn notes(shown: &str, report: &Report) -> Vec<String> {
    let Report { tracks, albums, artists, conflicting, spanning, .. } = report;
    let mut notes = vec![format!("{shown}: MSD-I's table: {tracks} tracks, {albums} albums, {artists} artists")];
    let left_out = conflicting.iter().filter(|album| album.taken.is_none()).count();
    notes.push(format!(
        "{} albums with conflicting genres: {} took the genre of more than half of their tracks, {left_out} had none and \
         are left out",
        conflicting.len(),
        conflicting.len() - left_out,
    ));
    notes.extend(conflicting.iter().take(LISTED).map(Album::told));
    notes.push(format!(
        "{} albums spanned sets: each went into the set of most of its tracks (of equal ones test before val before train)",
        spanning.len()
    ));
    notes.extend(spanning.iter().take(LISTED).map(Album::told));
    for list in [conflicting, spanning].into_iter().filter(|list| list.len() > LISTED) {
        notes.push(format!("of {} such albums the first {LISTED} are listed; --json lists all", list.len()));
    }
    notes.push(format!("{} artists have albums in several sets", report.artists_in_several_sets));
    if let Some(without) = report.without_picture {
        notes.push(format!("{without} of {albums} albums have no picture in the folder of --images"));
    }
    notes
}

impl Album {
    fn told(&self) -> String {
        let says: Vec<String> = self.says.iter().map(|(what, count)| format!("{what} ({count})")).collect();
        format!("album {}: {}: {}", self.album, says.join(", "), self.taken.as_deref().unwrap_or("left out"))
    }
}
