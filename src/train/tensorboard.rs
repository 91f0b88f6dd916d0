//! Event files for TensorBoard: records of TensorFlow's `Event` message, each framed as TFRecord.
//!
//! A record is the length of its data (u64, little endian), a masked CRC-32C of that length, the data, and a masked CRC-32C of
//! the data. Only the fields of `event.proto` and `summary.proto` that scalars need are declared here; protocol buffers allow
//! that. Events carry the time they were written at, so unlike all other files of a run they differ from one run to the next.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::file::cannot_write;
use crate::{Error, Result};

/// What TensorBoard knows the format by.
const VERSION: &str = "brain.Event:2";
/// Part of every event file's name.
const MARK: &str = "tfevents";
/// `SessionLog.START`: what an earlier file says from this step on no longer counts.
const START: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// A `oneof` with a single member here: a value of 0 must be written, too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// An event file, open for more records.
pub struct EventWriter {
    file: File,
    path: PathBuf,
}

impl EventWriter {
    /// Begins a new event file in `folder`. Events of earlier files that come after `step` are cut off, so that no step is there
    /// twice, and a TensorBoard that has read them already is told to forget them.
    ///
    /// # Errors
    /// As [`cannot_write`] says if a file cannot be read or written.
    pub fn open(folder: &Path, step: u64) -> Result<Self> {
        let fault = |e: std::io::Error| cannot_write(folder, &e);
        fs::create_dir_all(folder).map_err(fault)?;
        let mut resumed = false;
        for path in files(folder)? {
            cut(&path, step)?;
            resumed = true;
        }
        let now = now() as u64;
        // Two starts within a second get names of their own, and the later one sorts behind.
        let names = (0..).map(|number| folder.join(format!("events.out.{MARK}.{now:010}.gatefold.{number}")));
        let mut names = names.skip_while(|path| path.exists());
        let path = names.next().unwrap_or_else(|| folder.join(format!("events.out.{MARK}.{now:010}.gatefold")));
        let file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(fault)?;
        let mut writer = Self { file, path };
        writer.event(0, What::FileVersion(VERSION.to_owned()))?;
        if resumed {
            writer.event(step + 1, What::SessionLog(SessionLog { status: START }))?;
        }
        Ok(writer)
    }

    /// Appends numbers of a step.
    ///
    /// # Errors
    /// As [`cannot_write`] says if they cannot be written.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) -> Result<()> {
        let value = |&(tag, value): &(&str, f64)| Value { tag: tag.to_owned(), simple_value: Some(value as f32) };
        self.event(step, What::Summary(Summary { value: scalars.iter().map(value).collect() }))
    }

    fn event(&mut self, step: u64, what: What) -> Result<()> {
        let event = Event { wall_time: now(), step: step as i64, what: Some(what) };
        // One write for a record: a crash leaves whole records, or part of the last one, which readers skip.
        self.file.write_all(&record(&event.encode_to_vec())).map_err(|e| cannot_write(&self.path, &e))
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The event files in a folder, oldest first.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let fault = |e: std::io::Error| Error::run(format!("{}: cannot be read ({e})", folder.display()));
    let entries: std::io::Result<Vec<_>> = fs::read_dir(folder).map_err(fault)?.collect();
    let mut files: Vec<PathBuf> = entries.map_err(fault)?.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(MARK)));
    files.sort();
    Ok(files)
}

/// TFRecord's CRC: rotated and shifted, so that the CRC of data that holds CRCs stays a good one.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = Vec::with_capacity(data.len() + 16);
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&masked_crc(&length).to_le_bytes());
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(&masked_crc(data).to_le_bytes());
    bytes
}

/// Cuts a file off before its first record that is of a step after `step`, or damaged.
fn cut(path: &Path, step: u64) -> Result<()> {
    let fault = |e: std::io::Error| Error::run(format!("{}: cannot be cut to {step} steps ({e})", path.display()));
    let bytes = fs::read(path).map_err(fault)?;
    let mut kept = 0;
    while let Some((event, end)) = event_at(&bytes, kept) {
        let later = event.step > step as i64;
        // A mark of a resumption stands at the step that came next; it tells nothing of that step itself.
        if later && !matches!(event.what, Some(What::SessionLog(_))) {
            break;
        }
        kept = end;
    }
    if kept < bytes.len() {
        OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(kept as u64)).map_err(fault)?;
    }
    Ok(())
}

/// The event whose record begins at `start`, and where the record ends; `None` at the end and for what is no whole record.
fn event_at(bytes: &[u8], start: usize) -> Option<(Event, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let head = bytes.get(start..start + 8)?;
    let length = usize::try_from(u64::from_le_bytes(head.try_into().ok()?)).ok()?;
    if word(start + 8)? != masked_crc(head) {
        return None;
    }
    let data = bytes.get(start + 12..)?.get(..length)?;
    let end = start + 12 + length;
    (word(end)? == masked_crc(data)).then_some(())?;
    Some((Event::decode(data).ok()?, end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(folder: &Path) -> Vec<Event> {
        let mut events = vec![];
        for path in files(folder).unwrap() {
            let (bytes, mut at) = (fs::read(path).unwrap(), 0);
            while let Some((event, end)) = event_at(&bytes, at) {
                events.push(event);
                at = end;
            }
            assert_eq!(at, bytes.len(), "a damaged record");
        }
        events
    }

    fn losses(folder: &Path) -> Vec<(i64, f32)> {
        let summaries = events(folder).into_iter().filter_map(|event| match event.what {
            Some(What::Summary(summary)) => Some((event.step, summary.value[0].simple_value.unwrap())),
            _ => None,
        });
        summaries.collect()
    }

    #[test]
    fn records_are_framed_as_tensorflow_frames_them() {
        // RFC 3720's CRC-32C of 32 zeros is 0x8a9136aa.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked_crc(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8));
        // An event as TensorFlow's own protocol buffers encode it: time 1.0, step 3, one value "a" of 0.
        let value = Value { tag: "a".into(), simple_value: Some(0.0) };
        let event = Event { wall_time: 1.0, step: 3, what: Some(What::Summary(Summary { value: vec![value] })) };
        let data = b"\x09\0\0\0\0\0\0\xf0\x3f\x10\x03\x2a\x0a\x0a\x08\x0a\x01a\x15\0\0\0\0";
        assert_eq!(event.encode_to_vec(), data);
        let bytes = record(data);
        assert_eq!((bytes.len(), &bytes[..8]), (data.len() + 16, &(data.len() as u64).to_le_bytes()[..]));
        assert_eq!(event_at(&bytes, 0), Some((event, bytes.len())));
    }

    #[test]
    fn a_resumed_run_has_every_step_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::open(folder.path(), 0).unwrap();
        (1..=5).for_each(|step| writer.scalars(step, &[("batch/loss", step as f64)]).unwrap());
        // A crash in the middle of a record.
        writer.file.write_all(&[7; 5]).unwrap();
        let mut writer = EventWriter::open(folder.path(), 3).unwrap();
        (4..=6).for_each(|step| writer.scalars(step, &[("batch/loss", 10.0 * step as f64)]).unwrap());
        assert_eq!(losses(folder.path()), [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0), (5, 50.0), (6, 60.0)]);
        let starts = |what: &Option<What>| matches!(what, Some(What::SessionLog(SessionLog { status: START })));
        let marks: Vec<_> = events(folder.path()).iter().filter(|e| starts(&e.what)).map(|e| e.step).collect();
        assert_eq!(marks, [4]);
        // Once more, from before the second file began.
        drop(EventWriter::open(folder.path(), 2).unwrap());
        assert_eq!(losses(folder.path()), [(1, 1.0), (2, 2.0)]);
    }
}
