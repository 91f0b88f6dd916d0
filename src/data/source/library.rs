//! A music library: covers in and beside audio files, labelled by their tags.

mod albums;
mod beside;
pub(super) mod kind;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use self::albums::{Cover, Owners, Read, albums, artist_of, folders};
use self::beside::Beside;
use crate::data::picture::audio::Track;
use crate::data::picture::{audio, is_usable};
use crate::data::set::report::Skipped;
use crate::data::source::collect::{Collector, Origin};
use crate::data::source::genres::{GenreTable, parts};
use crate::data::source::walk::{File, Walk};
use crate::data::source::{Details, Request, Source, grouping};
use crate::{Error, Result};

/// Why an album has no picture.
const NO_COVER: &str = "no cover embedded in its album, and no cover.jpg or folder.jpg beside it";

/// Genres listed by name; more are only counted.
const LISTED: usize = 40;

/// What the tags say beside the pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub tracks: usize,
    pub albums: usize,
    /// Albums with a class and a cover.
    pub taken: usize,
    pub without_cover: usize,
    /// Of those taken, covers that are embedded as something else than the front, for want of one.
    pub not_front: usize,
    /// Albums no class of which more than half of their tracks carry.
    pub conflicting: usize,
    pub tracks_without_genre: usize,
    /// Genres that the table does not know, with the number of tracks, most frequent first.
    pub unmapped: Vec<(String, usize)>,
    /// Audio files whose tags cannot be read, by ending, most frequent first.
    pub unread: Vec<(String, usize)>,
}

/// One cover per album: tracks of the same album artist and album, or of the same album in one folder; what tracks without an album
/// make is in [`albums`].
///
/// The cover is found by [`CoverFinder`]. A track's class is that of the first of its genres that the table knows; an album takes the
/// class of more than half of its tracks that have one, and is left out if there is none.
pub(super) fn read(data: &Path, root: &Path, walk: &Walk, request: &Request) -> Result<Source> {
    let table = GenreTable::read(request.genres.as_deref())?;
    let mut report = Report { unread: kind::unread(walk), ..Report::default() };
    let (good, mut left_out) = tracks_of(walk);
    let beside = Beside::new(walk);
    let albums = albums(good, &beside);
    let finder = CoverFinder { owners: Owners::new(&albums), beside };
    let mut unmapped: HashMap<String, usize> = HashMap::new();
    let mut found = Collector::new(&request.labelling);
    for (number, album) in albums.iter().enumerate() {
        let tracks = &album.tracks;
        report.albums += 1;
        report.tracks += tracks.len();
        let first = &tracks[0].path;
        let meant: Vec<_> = tracks.iter().map(|read| table.class_of(&read.track.genres)).collect();
        let votes = votes(meant.iter().copied().flatten());
        for (Track { genres, .. }, meant) in tracks.iter().map(|read| &read.track).zip(meant) {
            if genres.is_empty() {
                report.tracks_without_genre += 1;
            } else if meant.is_none() {
                let genres = genres.iter().flat_map(|tag| parts(tag));
                genres.for_each(|genre| *unmapped.entry(genre).or_default() += 1);
            }
        }
        let Some(class) = elected(&votes) else {
            let reason = if !votes.is_empty() {
                report.conflicting += 1;
                let says: Vec<_> = votes.iter().map(|(class, count)| format!("{class} ({count})")).collect();
                format!("its album's tracks are of conflicting genres: {}", says.join(", "))
            } else if tracks.iter().all(|read| read.track.genres.is_empty()) {
                "no genre in the tags of its album".to_owned()
            } else {
                "no genre of its album is in the table of genres".to_owned()
            };
            left_out.push(Skipped::new(first, reason));
            continue;
        };
        let Some((path, front)) = finder.cover(number, tracks) else {
            report.without_cover += 1;
            left_out.push(Skipped::new(first, NO_COVER));
            continue;
        };
        report.taken += 1;
        report.not_front += usize::from(!front);
        let groups = [artist_of(tracks), album.name.clone()];
        let origin = Origin::Named(format!("album of {}", first.display()));
        found.add(&path, class, groups, None, origin);
    }
    report.unmapped = unmapped.into_iter().collect();
    report.unmapped.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if found.is_empty() {
        let cause = left_out.first().map(|first| format!("{}: {}", first.path, first.reason)).unwrap_or_default();
        let unread = kind::unread_note(walk).map(|note| format!("; {note}")).unwrap_or_default();
        return Err(Error::Input(format!(
            "{}: a music library of {} audio files, but not one album has a known genre and a cover: {cause}{unread}",
            data.display(),
            walk.audio.len()
        )));
    }
    let columns = vec!["artist".to_owned(), "album".to_owned()];
    let mut source = found.finish("library", columns, left_out, notes(root, walk, &report))?;
    source.grouping = grouping(&source.group_columns, request)?;
    source.details = Some(Details::Library(report));
    Ok(source)
}

/// The tracks of a library, and those that cannot be read behind what the walk left out.
fn tracks_of(walk: &Walk) -> (Vec<Read>, Vec<Skipped>) {
    let mut left_out = walk.left_out.clone();
    let tracks: Vec<Result<Read, Skipped>> = walk.audio.par_iter().map(read_track).collect();
    let mut good = Vec::with_capacity(tracks.len());
    for track in tracks {
        match track {
            Ok(read) => good.push(read),
            Err(skipped) => left_out.push(skipped),
        }
    }
    (good, left_out)
}

/// How many vote for each.
fn votes<T: Ord>(all: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut votes = BTreeMap::new();
    for meant in all {
        *votes.entry(meant).or_default() += 1;
    }
    votes
}

/// What more than half of those who vote are for.
fn elected<T: Copy>(votes: &BTreeMap<T, usize>) -> Option<T> {
    let voters: usize = votes.values().sum();
    votes.iter().find(|&(_, &count)| 2 * count > voters).map(|(&meant, _)| meant)
}

/// An album for those who ask what its cover is taken for, whatever its tags say.
#[derive(Debug)]
pub struct Listed {
    /// Its picture, or its first track if it has none.
    pub path: PathBuf,
    pub fault: Option<&'static str>,
    /// Empty where nobody or several are meant.
    pub artist: String,
    /// As the tags have it; empty if they do not.
    pub album: String,
    /// The genres of its tags, each once.
    pub genres: Vec<String>,
    /// The meaning of more than half of the genres that have one.
    pub label: Option<usize>,
    pub tracks: Vec<PathBuf>,
}

/// All albums of a library, those without a cover or a genre too, and what could not be read. `label` tells what the genres of
/// a track mean.
pub(super) fn list(
    root: &Path,
    walk: &Walk,
    label: impl Fn(&[String]) -> Option<usize>,
) -> (Vec<Listed>, Vec<Skipped>, Vec<String>) {
    let (good, left_out) = tracks_of(walk);
    let beside = Beside::new(walk);
    let albums = albums(good, &beside);
    let finder = CoverFinder { owners: Owners::new(&albums), beside };
    let mut listed = Vec::with_capacity(albums.len());
    for (number, album) in albums.iter().enumerate() {
        let tracks = &album.tracks;
        let mut genres: Vec<String> = Vec::new();
        for genre in tracks.iter().flat_map(|read| &read.track.genres) {
            if !genres.contains(genre) {
                genres.push(genre.clone());
            }
        }
        let cover = finder.cover(number, tracks);
        listed.push(Listed {
            fault: cover.is_none().then_some(NO_COVER),
            path: cover.map_or_else(|| tracks[0].path.clone(), |(path, _)| path),
            artist: artist_of(tracks),
            album: tracks[0].track.album.clone(),
            genres,
            label: elected(&votes(tracks.iter().filter_map(|read| label(&read.track.genres)))),
            tracks: tracks.iter().map(|read| read.path.clone()).collect(),
        });
    }
    let tracks: usize = albums.iter().map(|album| album.tracks.len()).sum();
    let covers = listed.iter().filter(|album| album.fault.is_none()).count();
    let mut notes = vec![format!(
        "{}: a music library: {tracks} tracks, {} albums, {covers} of them with a cover",
        root.display(),
        albums.len()
    )];
    notes.extend(kind::unread_note(walk));
    (listed, left_out, notes)
}

fn read_track(file: &File) -> Result<Read, Skipped> {
    let (track, cover) = audio::read(&file.path, &is_usable).map_err(|reason| Skipped::new(&file.path, reason))?;
    let cover = match cover {
        None => Cover::None,
        Some(cover) if cover.whole => Cover::Good { hash: *blake3::hash(&cover.bytes).as_bytes(), front: cover.front },
        Some(_) => Cover::Bad,
    };
    Ok(Read { path: file.path.clone(), track, cover })
}

/// Finds an album's cover.
struct CoverFinder<'a> {
    owners: Owners<'a>,
    beside: Beside<'a>,
}

impl CoverFinder<'_> {
    /// The first that is whole of: a front cover embedded in one of the tracks; a picture of a cover's name beside them or above
    /// their discs; one of a track's name; the only picture there; another embedded picture, for which false is told. Else a
    /// broken one, whose fault is then reported.
    ///
    /// A picture beside tracks belongs to the album that more than half of the tracks there are of.
    fn cover(&self, number: usize, tracks: &[Read]) -> Option<(PathBuf, bool)> {
        let embedded = |wanted: &dyn Fn(&Cover) -> bool| {
            tracks.iter().find(|read| wanted(&read.cover)).map(|read| read.path.clone())
        };
        let mut places: Vec<&Path> = Vec::new();
        for folder in tracks.iter().flat_map(|read| folders(&read.path)) {
            if !places.contains(&folder) && self.owners.owns(number, folder) {
                places.push(folder);
            }
        }
        // A disc's own picture goes before that of the folder above.
        places.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        let named = places.iter().flat_map(|folder| self.beside.named(folder));
        let of_tracks = tracks.iter().filter_map(|read| self.beside.of_track(&read.path));
        let only = places.iter().filter_map(|folder| self.beside.only(folder));
        let pictures: Vec<&Path> = named.chain(of_tracks).chain(only).collect();
        let whole = |path: &&&Path| std::fs::read(path).is_ok_and(|bytes| is_usable(&bytes));
        let front = embedded(&|cover| matches!(cover, Cover::Good { front: true, .. }))
            .or_else(|| pictures.iter().find(whole).map(|path| path.to_path_buf()));
        if let Some(path) = front {
            return Some((path, true));
        }
        if let Some(path) = embedded(&|cover| matches!(cover, Cover::Good { .. })) {
            return Some((path, false));
        }
        let broken =
            embedded(&|cover| *cover == Cover::Bad).or_else(|| pictures.first().map(|path| path.to_path_buf()));
        broken.map(|path| (path, true))
    }
}

fn notes(root: &Path, walk: &Walk, report: &Report) -> Vec<String> {
    let Report { tracks, albums, taken, without_cover, not_front, conflicting, tracks_without_genre, unmapped, .. } =
        report;
    let mut notes = vec![format!(
        "{}: a music library: {tracks} tracks, {albums} albums; {taken} have a class and a cover, {without_cover} have no \
         cover, {conflicting} have conflicting genres",
        root.display()
    )];
    notes.extend(kind::unread_note(walk));
    if *not_front > 0 {
        notes.push(format!(
            "{not_front} covers are embedded pictures of something else, such as the disc, a booklet or the back: their albums have no \
             front cover"
        ));
    }
    if *tracks_without_genre > 0 {
        notes.push(format!("{tracks_without_genre} tracks have no genre"));
    }
    if !unmapped.is_empty() {
        let listed: Vec<String> =
            unmapped.iter().take(LISTED).map(|(genre, count)| format!("{genre} ({count})")).collect();
        let more = unmapped.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        notes.push(format!(
            "genres that no class has, by tracks: {}{more}; to use them, `gatefold genres > genres.toml`, add them there, and \
             give --genres genres.toml",
            listed.join(", ")
        ));
    }
    if walk.others > 0 {
        notes.push(format!("passed over {} files that are neither audio nor pictures", walk.others));
    }
    notes
}
