//! Does a JPEG file reach its end? Decoders fill missing rows with grey and report success, so we look ourselves.

/// Whether the JPEG in `bytes` has its end-of-image marker.
///
/// Walks from marker to marker, so an end marker inside an embedded thumbnail does not count, and bytes after the
/// picture's own end (a second picture, a downloader's newline) do no harm.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2; // behind the start-of-image marker
    loop {
        let Some(marker) = next_marker(bytes, &mut at) else {
            return false;
        };
        match marker {
            0xD9 => return true,
            // Markers that stand alone: fill, restart, start of image.
            0x01 | 0xD0..=0xD8 => {}
            // Reserved codes have no known length: what looks like one is damage, and the walk goes on behind it.
            0x02..=0xBF => {}
            // All others carry their length. Behind a scan's header come its entropy-coded bytes, which `next_marker`
            // passes over, since it takes no stuffed 0xFF00 for a marker.
            _ => {
                let Some(&[high, low]) = bytes.get(at..at + 2) else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
}

/// The next marker's code at or behind `at`, which then stands behind it. None at the end of the bytes.
pub(crate) fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let rest = bytes.get(*at..)?;
        *at += rest.iter().position(|&b| b == 0xFF)? + 1;
        match *bytes.get(*at)? {
            // A stuffed zero is data. Another 0xFF is padding and may itself begin the marker.
            0x00 => *at += 1,
            0xFF => {}
            code => {
                *at += 1;
                return Some(code);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    const START: [u8; 2] = [0xFF, 0xD8];
    /// An APP1 segment holding a thumbnail that has an end marker of its own.
    const THUMBNAIL: [u8; 8] = [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
    const SCAN: [u8; 10] = [0xFF, 0xDA, 0, 3, 1, 7, 0xFF, 0x00, 0xFF, 0xD0];
    const END: [u8; 3] = [0xFF, 0xFF, 0xD9];

    #[test]
    fn finds_the_pictures_own_end() {
        assert!(is_whole(&[&START[..], &THUMBNAIL, &SCAN, &SCAN, &END, b"junk"].concat()));
        assert!(!is_whole(&[&START[..], &THUMBNAIL, &SCAN].concat()));
        assert!(!is_whole(&[&START[..], &THUMBNAIL[..5]].concat()));
        assert!(!is_whole(&[&START[..], &SCAN, &END[..2]].concat()));
        assert!(!is_whole(&START));
        assert!(!is_whole(&[]));
    }
}
