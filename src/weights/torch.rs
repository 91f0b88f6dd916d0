//! PyTorch's own files, without Python: the zip of `torch.save`, and the form it had before 1.6.
//!
//! Either holds a pickle that names tensors, and storages that hold their numbers. The pickle is read by a machine that executes
//! nothing (`pickle.rs`); the numbers stay where they are in the file until they are asked for.

mod pickle;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use safetensors::Dtype;
use zip::{CompressionMethod, ZipArchive};

use super::entry::Entry;
use pickle::{Id, Pickle, Storage, Tensor, Value};

/// What the old form begins with, as a pickle of protocol 2: PROTO 2, LONG1, ten bytes.
const OLD: [u8; 14] = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// A zip's.
const ZIP: &[u8] = b"PK\x03\x04";

/// Under which names programs keep a state among other things; earlier ones are taken first. Averaged weights are better than the last
/// ones, and whoever keeps them means them to be used.
const STATES: [&str; 10] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "weights",
];

/// Within how many of those a state may lie.
const DEPTH: usize = 4;

/// A file's tensors may be views of one storage. All together are at most so many times its size.
const VIEWS: usize = 4;

/// Whether a file begins as one of PyTorch's, or as some other zip.
pub(super) fn is_torch(bytes: &[u8]) -> bool {
    bytes.starts_with(ZIP) || bytes.starts_with(&OLD)
}

/// The tensors of a file, and what the user should know of how they were found.
///
/// # Errors
/// What is wrong with the file, in words.
pub(super) fn entries(bytes: &[u8]) -> Result<(Vec<Entry<'_>>, Vec<String>), String> {
    if bytes.starts_with(ZIP) { zipped(bytes) } else { old(bytes) }
}

type Storages<'a> = HashMap<String, &'a [u8]>;

fn zipped<'b>(bytes: &'b [u8]) -> Result<(Vec<Entry<'b>>, Vec<String>), String> {
    let damaged = |e: zip::result::ZipError| format!("cut off or damaged ({e}); get it again");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
    let folder = |name: Cow<str>| Some(name.strip_suffix("data.pkl")?.to_owned());
    let Some(folder) = archive.file_names().filter_map(Result::ok).find_map(folder) else {
        return Err("a zip file, but none of PyTorch's: it has no data.pkl".to_owned());
    };
    let mut parts: HashMap<String, &[u8]> = HashMap::new();
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(damaged)?;
        let name = part.name().map_err(damaged)?;
        let Some(name) = name.strip_prefix(&folder) else { continue };
        if name.starts_with("code/") {
            let text =
                "a TorchScript program, not weights; in Python: torch.save(torch.jit.load(FILE).state_dict(), OUT)";
            return Err(text.to_owned());
        }
        if part.compression() != CompressionMethod::Stored {
            return Err(format!(
                "{name} in it is compressed, which torch.save never does; unpack it and save it again"
            ));
        }
        let end = part.data_start().and_then(|start| start.checked_add(part.size()));
        let Some((start, end)) = part.data_start().zip(end).filter(|&(_, end)| end <= bytes.len() as u64) else {
            return Err("cut off or damaged (a part lies outside of it); get it again".to_owned());
        };
        parts.insert(name.to_owned(), &bytes[start as usize..end as usize]);
    }
    if parts.get("byteorder").is_some_and(|order| *order == b"big") {
        return Err("big endian; save it again on another machine".to_owned());
    }
    let pickle = Pickle::read(parts["data.pkl"])?;
    let stored = |(name, part): (&String, &&'b [u8])| Some((name.strip_prefix("data/")?.to_owned(), *part));
    let storages = parts.iter().filter_map(stored).collect();
    state(&pickle, &storages, bytes.len())
}

/// Four pickles (a number, a version, the system, the state), then a list of storages, then each with the count of its numbers.
fn old(bytes: &[u8]) -> Result<(Vec<Entry<'_>>, Vec<String>), String> {
    let damaged = || "cut off or damaged; get it again".to_owned();
    let mut at = 0;
    let mut next = || {
        let pickle = Pickle::read(&bytes[at..])?;
        at += pickle.len;
        Ok::<_, String>(pickle)
    };
    (0..3).try_for_each(|_| next().map(drop))?;
    let (pickle, keys) = (next()?, next()?);
    let keys = keys.texts(keys.root()).ok_or_else(damaged)?;
    let dtypes: HashMap<&str, Dtype> = pickle.storages().map(|storage| (storage.key, storage.dtype)).collect();
    let mut rest = &bytes[at..];
    let mut storages = Storages::new();
    for key in keys {
        let (count, after) = rest.split_first_chunk().ok_or_else(damaged)?;
        // What no tensor is in has no length that we know, and nothing comes after what is not used.
        let Some(dtype) = dtypes.get(key) else { return Err(damaged()) };
        let len = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(size(*dtype)));
        let (data, after) = len.and_then(|len| after.split_at_checked(len)).ok_or_else(damaged)?;
        storages.insert(key.to_owned(), data);
        rest = after;
    }
    state(&pickle, &storages, bytes.len())
}

/// The state among all that a pickle holds, and its tensors.
fn state<'a>(pickle: &Pickle, storages: &Storages<'a>, bytes: usize) -> Result<(Vec<Entry<'a>>, Vec<String>), String> {
    let (mut dict, mut path) = (pickle.root(), vec![]);
    // A dictionary of tensors is a state; other things in it do not make it less of one.
    while !pickle.entries(dict).any(|(_, id)| matches!(pickle.get(id), Value::Tensor(_))) {
        let held: BTreeMap<&str, Id> = pickle.entries(dict).collect();
        let next =
            STATES.iter().find_map(|name| Some((*name, *held.get(name)?)).filter(|(_, id)| is_dict(pickle, *id)));
        let Some((name, id)) = next.filter(|_| path.len() < DEPTH) else {
            let names: Vec<&str> = held.into_keys().take(8).collect();
            let what = if names.is_empty() { "no dictionary".to_owned() } else { names.join(", ") };
            return Err(format!(
                "a PyTorch file without a state_dict (it holds {what}); save it: torch.save(model.state_dict(), FILE)"
            ));
        };
        path.push(name);
        dict = id;
    }
    // The last of a name counts, as in Python.
    let tensor = |(name, id)| if let Value::Tensor(tensor) = pickle.get(id) { Some((name, tensor)) } else { None };
    let tensors: BTreeMap<&str, &Box<Tensor>> = pickle.entries(dict).filter_map(tensor).collect();
    let mut left = bytes.saturating_mul(VIEWS);
    let entries = tensors.into_iter().map(|(name, tensor)| entry(name, tensor, storages, &mut left));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    let notes = (!path.is_empty()).then(|| format!("its entry {} is taken", path.join("."))).into_iter().collect();
    Ok((entries, notes))
}

fn is_dict(pickle: &Pickle, id: Id) -> bool {
    matches!(pickle.get(id), Value::Dict(_))
}

/// A tensor's numbers in their order: where they lie, or gathered if they do not lie in order. `left` bytes may still be taken.
fn entry<'a>(name: &str, tensor: &Tensor, storages: &Storages<'a>, left: &mut usize) -> Result<Entry<'a>, String> {
    let Tensor { storage: Storage { key, dtype, len }, offset, shape, strides } = tensor;
    let outside = || format!("{name} lies outside of its storage; the file is damaged");
    let data = *storages
        .get(*key)
        .ok_or_else(|| format!("the numbers of {name} are missing; the file is cut off or damaged"))?;
    let size = size(*dtype);
    if len.checked_mul(size) != Some(data.len()) {
        return Err(format!("{name} has {} bytes for {len} numbers; the file is damaged", data.len()));
    }
    let count = shape.iter().try_fold(1_usize, |count, &extent| count.checked_mul(extent)).ok_or_else(outside)?;
    let bytes = count.checked_mul(size).filter(|bytes| bytes <= left).ok_or_else(outside)?;
    *left -= bytes;
    let reach = |(&extent, &stride): (&usize, &usize)| stride.checked_mul(extent.saturating_sub(1));
    let last = shape.iter().zip(strides).map(reach).try_fold(*offset, |sum, reach| sum.checked_add(reach?));
    if count > 0 && last.is_none_or(|last| last >= *len) {
        return Err(outside());
    }
    let data = if count == 0 {
        Cow::Borrowed(&[][..])
    } else if is_contiguous(shape, strides) {
        Cow::Borrowed(&data[offset * size..][..bytes])
    } else {
        let mut gathered = Vec::with_capacity(bytes);
        for number in 0..count {
            let (mut rest, mut place) = (number, *offset);
            for (extent, stride) in shape.iter().zip(strides).rev() {
                place += rest % extent * stride;
                rest /= extent;
            }
            gathered.extend_from_slice(&data[place * size..][..size]);
        }
        Cow::Owned(gathered)
    };
    Ok(Entry { name: name.to_owned(), shape: shape.clone(), dtype: *dtype, data })
}

/// Whether numbers lie in the order of their indices; strides of extents of 1 say nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
        let fits = extent == 1 || stride == expected;
        expected *= extent;
        fits
    })
}

/// Bytes of a number.
fn size(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

#[cfg(test)]
mod tests;
