//! A network's labels for a music library, as files that other programs take. Gatefold itself writes into no audio file.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::rows::Row;
use crate::file::{check_target, write_atomically};
use crate::read::cannot_read;
use crate::score::metrics::predicted;
use crate::{Error, Result};

/// Albums of one call of beets: a command line has an end, and beets takes a second to start.
const AT_A_TIME: usize = 40;

/// The files that were asked for, and the albums that they will tell of.
pub struct LabelFiles<'a> {
    beets: Option<&'a Path>,
    mp3tag: Option<&'a Path>,
    confidence: Option<f32>,
    albums: Vec<Album>,
}

struct Album {
    /// None if there is no answer, or none that is sure.
    label: Option<usize>,
    /// Whether its tags have no genre.
    bare: bool,
    /// Absolute.
    tracks: Vec<PathBuf>,
}

/// How an album is named to beets.
enum Query<'a> {
    /// All that lies in its folder.
    Folder(&'a Path),
    /// It shares its folder with others.
    Tracks(&'a [PathBuf]),
}

impl<'a> LabelFiles<'a> {
    /// Looks whether the files can be written.
    ///
    /// # Errors
    /// [`Error::Input`] if not, or if one of them is there.
    pub fn new(beets: Option<&'a Path>, mp3tag: Option<&'a Path>, confidence: Option<f32>) -> Result<Self> {
        let this = Self { beets, mp3tag, confidence, albums: Vec::new() };
        for (option, file) in this.files() {
            check_target(file)?;
            if file.exists() {
                let shown = file.display();
                return Err(Error::input(format!(
                    "{option} {shown}: is there already: name another file, or remove it"
                )));
            }
        }
        Ok(this)
    }

    /// An error if a file was asked for, but no library was named.
    pub fn check_library(&self, named: bool) -> Result<()> {
        match self.files().next().filter(|_| !named) {
            None => Ok(()),
            Some((option, file)) => Err(Error::input(format!(
                "{option} {}: is for a music library, and none is named: leave it out",
                file.display()
            ))),
        }
    }

    /// The files, each with its option.
    fn files(&self) -> impl Iterator<Item = (&'static str, &'a Path)> {
        [("--beets", self.beets), ("--mp3tag", self.mp3tag)].into_iter().filter_map(|(name, file)| Some((name, file?)))
    }

    /// Whether there is a file to write.
    pub fn wanted(&self) -> bool {
        self.files().next().is_some()
    }

    /// Adds an album; what is none is passed over.
    pub fn add(&mut self, row: &Row) -> Result<()> {
        let Some(about) = row.item.about.as_deref().filter(|about| !about.tracks.is_empty()) else { return Ok(()) };
        if !self.wanted() {
            return Ok(());
        }
        let label = row.answer.as_ref().ok().and_then(|answer| {
            let best = predicted(&answer.probabilities);
            self.confidence.is_none_or(|least| answer.probabilities[best] >= least).then_some(best)
        });
        let absolute = |path: &PathBuf| std::path::absolute(path).map_err(|e| cannot_read(path, &e));
        let tracks = about.tracks.iter().map(absolute).collect::<Result<_>>()?;
        self.albums.push(Album { label, bare: about.genre.is_empty(), tracks });
        Ok(())
    }

    /// Writes the files; says what was written.
    pub fn finish(self, labels: &[String]) -> Result<Vec<String>> {
        let mut told = Vec::new();
        let count = |bare: bool| self.albums.iter().filter(|a| a.label.is_some() && (a.bare || !bare)).count();
        if let Some(path) = self.beets {
            write_atomically(path, |file| script(file, &self.albums, labels))?;
            let (all, bare) = (count(false), count(true));
            told.push(format!(
                "wrote {}: labels for {all} albums, genres for {bare} of them that have none",
                path.display()
            ));
        }
        if let Some(path) = self.mp3tag {
            let tracks = write_atomically(path, |file| table(file, &self.albums, labels))?;
            told.push(format!(
                "wrote {}: genres for {tracks} tracks of {} albums that have none",
                path.display(),
                count(true)
            ));
        }
        Ok(told)
    }
}

/// Writes the script for beets.
fn script(file: &mut impl Write, albums: &[Album], labels: &[String]) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(file, "#!/bin/sh")?;
    writeln!(file, "# What Gatefold {version} takes albums for, by their covers. Look through it, then: sh FILE")?;
    writeln!(
        file,
        "# Each album gets the field `gatefold` in beets' library. Albums whose tags have no genre get it as their genre, too,"
    )?;
    writeln!(file, "# which beets writes into the files if its configuration says so (import: write).")?;
    writeln!(file, "field=genre")?;
    writeln!(file, "if beet fields | grep -qw genres; then field=genres; fi")?;
    let under = tracks_under(albums);
    for (bare, set) in [(false, "gatefold"), (true, "\"$field\"")] {
        let mut of_label: BTreeMap<usize, Vec<&Album>> = BTreeMap::new();
        for album in albums.iter().filter(|album| album.bare || !bare) {
            if let Some(label) = album.label {
                of_label.entry(label).or_default().push(album);
            }
        }
        for (label, albums) in of_label {
            let (mut folders, mut tracks): (Vec<&OsStr>, Vec<&OsStr>) = (Vec::new(), Vec::new());
            for album in albums {
                match query(album, &under) {
                    Query::Folder(folder) => folders.push(folder.as_os_str()),
                    Query::Tracks(of) => tracks.extend(of.iter().map(|track| track.as_os_str())),
                }
            }
            for (option, paths, end) in [(" -a", folders, "/"), ("", tracks, "")] {
                for paths in paths.chunks(AT_A_TIME) {
                    write!(file, "\nbeet modify -y{option}")?;
                    for (i, path) in paths.iter().enumerate() {
                        file.write_all(if i > 0 { b" , \\\n  " } else { b" \\\n  " })?;
                        file.write_all(&quoted(&[b"path:", path.as_encoded_bytes(), end.as_bytes()].concat()))?;
                    }
                    write!(file, " \\\n  {set}=")?;
                    file.write_all(&quoted(labels[label].as_bytes()))?;
                    writeln!(file)?;
                }
            }
        }
    }
    Ok(())
}

/// How many tracks lie in each folder and below it.
fn tracks_under(albums: &[Album]) -> HashMap<&Path, usize> {
    let mut under = HashMap::new();
    for folder in albums.iter().flat_map(|album| &album.tracks).flat_map(|track| track.ancestors().skip(1)) {
        *under.entry(folder).or_default() += 1;
    }
    under
}

fn query<'a>(album: &'a Album, under: &HashMap<&Path, usize>) -> Query<'a> {
    let shared = album.tracks.first().and_then(|first| {
        first.ancestors().skip(1).find(|folder| album.tracks.iter().all(|track| track.starts_with(folder)))
    });
    match shared {
        Some(folder) if under.get(folder) == Some(&album.tracks.len()) => Query::Folder(folder),
        _ => Query::Tracks(&album.tracks),
    }
}

/// The bytes as one word of a shell.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &byte in word {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            byte => quoted.push(byte),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// Writes the table for Mp3tag; gives the number of its lines. A path with the sign between its columns, or with a line break, cannot
/// be in it; no system that Mp3tag runs on knows such names.
fn table(file: &mut impl Write, albums: &[Album], labels: &[String]) -> io::Result<usize> {
    // The byte-order mark tells Mp3tag that this is UTF-8.
    file.write_all("\u{feff}".as_bytes())?;
    let mut lines = 0;
    for album in albums.iter().filter(|album| album.bare) {
        let Some(label) = album.label else { continue };
        for track in &album.tracks {
            let Some(path) = track.to_str().filter(|path| !path.contains(['|', '\n', '\r'])) else { continue };
            write!(file, "{path}|{}\r\n", labels[label])?;
            lines += 1;
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn album(label: Option<usize>, bare: bool, tracks: &[&str]) -> Album {
        Album { label, bare, tracks: tracks.iter().map(PathBuf::from).collect() }
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut bytes = Vec::new();
        write(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn albums_go_by_their_folder_or_by_their_tracks() {
        let albums = [
            album(Some(0), false, &["/m/A/cd1/1.mp3", "/m/A/cd2/1.mp3"]),
            album(Some(0), true, &["/m/B's/1.mp3"]),
            album(Some(1), true, &["/m/mix/1.mp3"]),
            album(None, true, &["/m/mix/2.mp3"]),
        ];
        let labels = ["Jazz".to_owned(), "Drum & Bass".to_owned()];
        let script = text(|out| script(out, &albums, &labels).unwrap());
        let calls: Vec<&str> = script.split("\nbeet modify").skip(1).map(str::trim_end).collect();
        assert_eq!(
            calls,
            [
                " -y -a \\\n  'path:/m/A/' , \\\n  'path:/m/B'\\''s/' \\\n  gatefold='Jazz'",
                " -y \\\n  'path:/m/mix/1.mp3' \\\n  gatefold='Drum & Bass'",
                " -y -a \\\n  'path:/m/B'\\''s/' \\\n  \"$field\"='Jazz'",
                " -y \\\n  'path:/m/mix/1.mp3' \\\n  \"$field\"='Drum & Bass'",
            ]
        );
        let table = text(|out| assert_eq!(table(out, &albums, &labels).unwrap(), 2));
        assert_eq!(table, "\u{feff}/m/B's/1.mp3|Jazz\r\n/m/mix/1.mp3|Drum & Bass\r\n");
    }
}
