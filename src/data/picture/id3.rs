//! The ID3 tags of a file whatever the rest of it is like: the frames that a cover and its class need, one by one.

use std::io::{Read, Seek, SeekFrom};

/// The most that is read of a file: its tags, with several scanned pictures of ten megabytes. What they take in memory is a
/// small multiple of it, since compressed frames of ID3 are not unpacked ([`is_odd`]).
pub(super) const MAX_READ: u64 = 128 << 20;
/// The frames of artist, album artist, album, genre and pictures, in version 2.3 and later, and in 2.2.
const FRAMES: [&[u8]; 10] = [b"TPE1", b"TPE2", b"TALB", b"TCON", b"APIC", b"TP1", b"TP2", b"TAL", b"TCO", b"PIC"];
/// Ends the tag in the file that is made of it, so that whoever looks for tags from its end finds none but a version 1.
const FILLER: [u8; 256] = [b'x'; 256];

/// What was found.
pub(super) struct Found {
    /// Version, revision and flags of the header.
    header: [u8; 3],
    /// With their headers.
    pub frames: Vec<Vec<u8>>,
    /// The tag of version 1.
    pub v1: Option<Vec<u8>>,
}

/// Whether the ID3 tag that begins here is one that the tag reader shall not be given: with compressed frames, which it unpacks
/// without a bound, or with what it reads wrongly, an extended header and sizes of 2.4 in eight bits.
pub(super) fn is_odd(file: &mut impl Read) -> bool {
    let mut header = [0; 10];
    if file.read_exact(&mut header).is_err() {
        return false;
    }
    let (version, flags) = (header[3], header[5]);
    if !(3..=4).contains(&version) {
        return false;
    }
    let mut body = Vec::new();
    if flags & 0x40 != 0 || file.take((seven_bits(&header[6..10]) as u64).min(MAX_READ)).read_to_end(&mut body).is_err()
    {
        return true;
    }
    if flags & 0x80 != 0 && version == 3 {
        body = without_unsynchronisation(&body);
    }
    Frames { rest: &body, version }
        .any(|frame| frame.packed || version == 4 && frame.bytes[4..8].iter().any(|b| *b > 0x7F))
}

/// Looks for a tag of version 2 at the start of a file and for one of version 1 at its end.
pub(super) fn find(file: &mut (impl Read + Seek)) -> Option<Found> {
    let v1 = version_1(file);
    file.rewind().ok()?;
    let (header, frames) = version_2(file).unwrap_or_default();
    (!frames.is_empty() || v1.is_some()).then_some(Found { header, frames, v1 })
}

fn version_1(file: &mut (impl Read + Seek)) -> Option<Vec<u8>> {
    file.seek(SeekFrom::End(-128)).ok()?;
    let mut tag = vec![0; 128];
    file.read_exact(&mut tag).ok()?;
    tag.starts_with(b"TAG").then_some(tag)
}

fn version_2(file: &mut impl Read) -> Option<([u8; 3], Vec<Vec<u8>>)> {
    let mut header = [0; 10];
    file.read_exact(&mut header).ok()?;
    let [b'I', b'D', b'3', version @ 2..=4, revision, flags, ..] = header else { return None };
    let size = seven_bits(&header[6..10]);
    let mut body = Vec::new();
    // As much as there is: the end of a tag that was cut off is missed, its start is not.
    file.take((size as u64).min(MAX_READ)).read_to_end(&mut body).ok()?;
    if flags & 0x80 != 0 && version < 4 {
        body = without_unsynchronisation(&body);
    }
    let mut rest = &body[..];
    if flags & 0x40 != 0 && version > 2 {
        let size = rest.get(..4)?;
        let skip = if version == 3 { 4 + number(size) } else { seven_bits(size) };
        rest = rest.get(skip..)?;
    }
    let flags = if version == 4 { flags & 0x80 } else { 0 };
    Some(([version, revision, flags], frames(rest, version)))
}

/// The frames that are needed, none of them compressed or encrypted.
fn frames(rest: &[u8], version: u8) -> Vec<Vec<u8>> {
    let needed = |frame: &Frame| FRAMES.contains(&frame.name) && !frame.packed && frame.whole;
    Frames { rest, version }.filter(needed).map(|frame| frame.bytes.to_vec()).collect()
}

/// Goes from frame to frame by their sizes.
struct Frames<'a> {
    rest: &'a [u8],
    version: u8,
}

struct Frame<'a> {
    name: &'a [u8],
    /// Compressed or encrypted.
    packed: bool,
    /// Not cut off by the tag's end.
    whole: bool,
    /// With its header.
    bytes: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let (name, head) = if self.version == 2 { (3, 6) } else { (4, 10) };
        let header = self.rest.get(..head).filter(|header| header[0] != 0)?;
        let size = &header[name..2 * name];
        let size = match self.version {
            // Some writers of 2.4 took the sizes of 2.3.
            4 if size.iter().all(|&byte| byte < 0x80) => seven_bits(size),
            _ => number(size),
        };
        let packed = match self.version {
            2 => 0,
            3 => header[9] & 0xC0,
            _ => header[9] & 0x0C,
        };
        let bytes = &self.rest[..self.rest.len().min(head + size)];
        self.rest = &self.rest[bytes.len()..];
        // Some writers of 2.3 took the names of 2.2.
        let name = header[..name].strip_suffix(b"\0").unwrap_or(&header[..name]);
        Some(Frame { name, packed: packed != 0, whole: bytes.len() == head + size, bytes })
    }
}

impl Found {
    /// A file of these frames and nothing else.
    pub fn as_file(&self, frames: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !frames.is_empty() {
            let body = frames.concat();
            let seven = |shift: u32| (body.len() >> shift & 0x7F) as u8;
            bytes = [b"ID3", &self.header[..], &[seven(21), seven(14), seven(7), seven(0)], &body].concat();
        }
        bytes.extend(FILLER);
        bytes.extend(self.v1.iter().flatten());
        bytes
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte))
}

fn seven_bits(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |sum, &byte| sum << 7 | usize::from(byte & 0x7F))
}

/// Takes out the zeros that writers put behind bytes of all ones.
fn without_unsynchronisation(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut before = 0;
    for &byte in bytes {
        if !(before == 0xFF && byte == 0) {
            plain.push(byte);
        }
        before = byte;
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn frame(name: &[u8; 4], flag: u8, content: &[u8]) -> Vec<u8> {
        [&name[..], &(content.len() as u32).to_be_bytes(), &[0, flag], content].concat()
    }

    #[test]
    fn needed_frames_are_found_and_packed_ones_are_not() {
        let frames = [
            frame(b"TPE1", 0, b"\0A"),
            frame(b"TIT2", 0, b"\0x"),
            frame(b"TALB", 0x80, b"zip"),
            frame(b"TCON", 0, b"\0J"),
        ];
        let body = frames.concat();
        let file = [b"ID3\x03\0\0\0\0\0", &[body.len() as u8][..], &body, &[9; 300]].concat();
        let found = find(&mut Cursor::new(&file)).unwrap();
        assert_eq!(found.frames, [frames[0].clone(), frames[3].clone()]);
        assert!(found.v1.is_none());
        let again = found.as_file(&[&frames[3]]);
        assert_eq!(again[..10], *b"ID3\x03\0\0\0\0\0\x0c");
        assert_eq!(again.len(), 10 + 12 + 256);
        // Cut off within the second frame, a size beyond the file, and no tag.
        assert_eq!(find(&mut Cursor::new(&file[..30])).unwrap().frames.len(), 1);
        assert!(is_odd(&mut Cursor::new(&file)) && !is_odd(&mut Cursor::new(&again)));
        let huge = [b"ID3\x04\0\0\x7f\x7f\x7f\x7f", &frames[0][..]].concat();
        assert_eq!(find(&mut Cursor::new(huge)).unwrap().frames.len(), 1);
        assert!(find(&mut Cursor::new(b"ID3")).is_none() && find(&mut Cursor::new([0; 500])).is_none());
        let v1 = [&[1; 40][..], b"TAG", &[0; 125]].concat();
        assert_eq!(find(&mut Cursor::new(v1)).unwrap().v1.unwrap().len(), 128);
        assert_eq!(without_unsynchronisation(&[0xFF, 0, 0xE0, 0xFF, 0, 0]), [0xFF, 0xE0, 0xFF, 0]);
    }
}
