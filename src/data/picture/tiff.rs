//! What the decoder does not tell of a TIFF: whether its colours are multiplied by its alpha already.

/// The tag ExtraSamples, and its value for such an alpha ("associated"): TIFF 6.0, section 18.
const EXTRA_SAMPLES: u16 = 338;
const ASSOCIATED: u16 = 1;

/// Whether the first picture of a TIFF, or BigTIFF, says that its alpha is multiplied into its colours. False of what is damaged.
pub fn is_premultiplied(bytes: &[u8]) -> bool {
    extra_samples(bytes) == Some(ASSOCIATED)
}

/// The first value of ExtraSamples.
fn extra_samples(bytes: &[u8]) -> Option<u16> {
    let big_endian = bytes.starts_with(b"MM");
    let number = |at: usize, length: usize| -> Option<u64> {
        let part = bytes.get(at..at.checked_add(length)?)?;
        let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if big_endian { part.iter().fold(0, join) } else { part.iter().rev().fold(0, join) })
    };
    // Lengths of an offset, of the count of entries, and of an entry; the last one's value lies at its end.
    let (offset, count, entry) = if number(2, 2)? == 43 { (8, 8, 20) } else { (4, 2, 12) };
    let start = usize::try_from(number(offset, offset)?).ok()?;
    let entries = usize::try_from(number(start, count)?).ok()?;
    // A directory of more entries is damage.
    for i in 0..entries.min(4096) {
        let at = start.checked_add(count + i * entry)?;
        if number(at, 2)? == u64::from(EXTRA_SAMPLES) {
            let values = number(at + 4, offset)?;
            let value = at + entry - offset;
            // Values of two bytes each that do not fit lie elsewhere.
            let value = if 2 * values > offset as u64 { usize::try_from(number(value, offset)?).ok()? } else { value };
            return number(value, 2).map(|value| value as u16);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of two entries, the second ExtraSamples of these values.
    fn file(big_endian: bool, big: bool, values: &[u16]) -> Vec<u8> {
        let put = |number: u64, length: usize| {
            let bytes = number.to_be_bytes()[8 - length..].to_vec();
            if big_endian { bytes } else { bytes.into_iter().rev().collect() }
        };
        let (offset, count) = if big { (8, 8) } else { (4, 2) };
        let mut out = if big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        out.extend(put(if big { 43 } else { 42 }, 2));
        if big {
            out.extend([put(8, 2), put(0, 2)].concat());
        }
        let start = out.len() + offset;
        out.extend(put(start as u64, offset));
        out.extend(put(2, count));
        let end = start + count + 2 * (4 + 2 * offset);
        for (tag, values) in [(256, &[7][..]), (EXTRA_SAMPLES, values)] {
            out.extend([put(u64::from(tag), 2), put(3, 2), put(values.len() as u64, offset)].concat());
            let inside: Vec<u8> = values.iter().flat_map(|&value| put(u64::from(value), 2)).collect();
            if inside.len() <= offset {
                out.extend(inside.iter().copied().chain(std::iter::repeat(0)).take(offset));
            } else {
                out.extend(put(end as u64, offset));
            }
        }
        out.extend(values.iter().flat_map(|&value| put(u64::from(value), 2)));
        out
    }

    #[test]
    fn the_tag_is_found_in_either_order_of_bytes_and_either_size() {
        for (big_endian, big) in [(false, false), (true, false), (false, true), (true, true)] {
            for (values, expected) in
                [(&[1][..], true), (&[2], false), (&[0], false), (&[1, 0, 0, 0, 0], true), (&[2, 1, 1], false)]
            {
                let whole = file(big_endian, big, values);
                assert_eq!(is_premultiplied(&whole), expected, "{big_endian} {big} {values:?}");
                // Cut off anywhere it is no panic.
                (0..whole.len()).for_each(|end| {
                    is_premultiplied(&whole[..end]);
                });
            }
        }
        assert!(!is_premultiplied(b"II*\0\xff\xff\xff\xff"));
    }
}
