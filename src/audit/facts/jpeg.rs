//! What a JPEG's header says of its encoder.

use crate::data::picture::jpeg::{first_table, nearest_quality, next_marker};

/// Of the quantisation tables, the kind of scan and the segments before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JpegHeader {
    /// 1 to 100: the quality at which libjpeg's luminance table is nearest to this one's.
    pub quality: Option<u8>,
    /// Whether the table is libjpeg's of that quality exactly.
    pub standard: bool,
    /// Some digits that other tables do not share.
    fingerprint: String,
    pub progressive: bool,
    /// How colours are stored: 4:4:4, 4:2:2, 4:2:0, `grey`, or factors as they are.
    pub subsampling: String,
    /// The kinds of segments beside the picture's own: `JFIF`, `Adobe`, `comment`, joined by +.
    pub marks: String,
}

impl JpegHeader {
    /// Walks the segments up to the first scan. What is damaged is left at its default.
    pub fn of(bytes: &[u8]) -> Self {
        let mut header = Self::default();
        let mut luminance = None;
        let mut tables = blake3::Hasher::new();
        let mut marks: Vec<&str> = Vec::new();
        let mut at = 2;
        while let Some(marker) = next_marker(bytes, &mut at) {
            if matches!(marker, 0x01 | 0xD0..=0xD9) {
                continue;
            }
            let Some(length) = bytes.get(at..at + 2).map(|two| usize::from(u16::from_be_bytes([two[0], two[1]])))
            else {
                break;
            };
            let Some(segment) = bytes.get(at + 2..at + length.max(2)) else { break };
            at += length.max(2);
            match marker {
                0xDA => break,
                0xDB => {
                    tables.update(segment);
                    luminance = luminance.or_else(|| first_table(segment));
                }
                0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                    header.progressive = matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE);
                    header.subsampling = subsampling(segment);
                }
                0xE0 if segment.starts_with(b"JFIF") => marks.push("JFIF"),
                0xEE if segment.starts_with(b"Adobe") => marks.push("Adobe"),
                0xED => marks.push("Photoshop"),
                0xFE => marks.push("comment"),
                _ => {}
            }
        }
        marks.sort_unstable();
        marks.dedup();
        header.marks = if marks.is_empty() { "no marks".into() } else { marks.join("+") };
        header.fingerprint = tables.finalize().to_hex()[..4].to_owned();
        if let Some(table) = luminance {
            let (quality, distance) = nearest_quality(table);
            header.quality = Some(quality);
            header.standard = distance == 0;
        }
        header
    }

    /// A name for the quantisation tables: "quality 85", or "about 85, own tables 3f2a".
    pub fn tables(&self) -> String {
        match self.quality {
            Some(quality) if self.standard => format!("quality {quality}"),
            Some(quality) => format!("about {quality}, own tables {}", self.fingerprint),
            None => "unknown".into(),
        }
    }
}

/// From a frame header: precision, height, width, then count and (name, factors, table) of each component.
fn subsampling(frame: &[u8]) -> String {
    let factors: Vec<(u8, u8)> =
        frame.get(6..).unwrap_or_default().chunks_exact(3).map(|c| (c[1] >> 4, c[1] & 15)).collect();
    match factors[..] {
        [_] => "grey".into(),
        [(1, 1), (1, 1), (1, 1)] => "4:4:4".into(),
        [(2, 1), (1, 1), (1, 1)] => "4:2:2".into(),
        [(2, 2), (1, 1), (1, 1)] => "4:2:0".into(),
        [(1, 2), (1, 1), (1, 1)] => "4:4:0".into(),
        [(4, 1), (1, 1), (1, 1)] => "4:1:1".into(),
        _ => factors.iter().map(|(h, v)| format!("{h}x{v}")).collect::<Vec<_>>().join(","),
    }
}
