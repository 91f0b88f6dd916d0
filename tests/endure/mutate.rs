//! Files with something wrong in them: no panic, no hang, one line, and nothing wrong in silence.

use std::fs;
use std::path::Path;

use rand_chacha::ChaCha8Rng;

use crate::change::change;
use crate::tool::{Base, Verdict, below, run, text};

/// Changes a file; whether it is another one now.
fn spoil(path: &Path, rng: &mut ChaCha8Rng) -> Result<bool, String> {
    let whole = fs::read(path).map_err(|e| e.to_string())?;
    let mut bytes = whole.clone();
    change(&mut bytes, rng);
    fs::write(path, &bytes).map_err(|e| e.to_string())?;
    Ok(bytes != whole)
}

/// A call on a damaged file that has a hash is refused, or gives what it gave before.
fn refused_or_same(words: &[&str], whole: &[&str]) -> Verdict {
    let done = run(words)?;
    if done.code != Some(0) {
        return Ok("refused");
    }
    if done.stdout != run(whole)?.succeeds()?.stdout {
        return Err(format!("another answer in silence: gatefold {}", words.join(" ")));
    }
    Ok("read, the same answer")
}

pub fn checkpoint(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let copy = base.copy();
    let name = ["best.safetensors", "last.safetensors"][below(rng, 2)];
    if !spoil(&copy.join(name), rng)? {
        return Ok("unchanged");
    }
    if name.starts_with("best") {
        return refused_or_same(&["eval", text(&copy)], &["eval", text(&base.run)]);
    }
    let words = base.train(&copy);
    let done = run(&[&words[..], &["--resume"]].concat())?;
    if done.code == Some(0) { Err("gone on with".into()) } else { Ok("refused") }
}

pub fn pack(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let copy = base.copy();
    if !spoil(&copy.join("data/images.pack"), rng)? {
        return Ok("unchanged");
    }
    if run(&["check", text(&copy)])?.code == Some(0) {
        return Err("check calls it whole".into());
    }
    refused_or_same(&["eval", text(&copy)], &["eval", text(&base.run)])
}

pub fn manifest(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let copy = base.copy();
    let name = ["manifest.csv", "import.json"][below(rng, 2)];
    spoil(&copy.join("data").join(name), rng)?;
    refused_or_same(&["eval", text(&copy)], &["eval", text(&base.run)])
}

/// What was not made by Gatefold may say other things and be believed; it must not bring it down.
fn survives(words: &[&str]) -> Verdict {
    Ok(match run(words)?.code {
        Some(0) => "read",
        _ => "refused",
    })
}

pub fn table(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let table = base.table.with_file_name("changed.csv");
    fs::copy(&base.table, &table).map_err(|e| e.to_string())?;
    spoil(&table, rng)?;
    let kept = base.round().join("covers.csv");
    let _ = fs::copy(&table, kept);
    survives(&["import", text(&table), "--label", "genre", "--group", "artist", "--dry-run"])
}

pub fn recipe(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let recipe = base.round().join("recipe.toml");
    let text_of = fs::read_to_string(base.run.join("config.toml")).map_err(|e| e.to_string())?;
    let settings = text_of.split("\n[run]").next().unwrap_or_default();
    fs::write(&recipe, settings).map_err(|e| e.to_string())?;
    spoil(&recipe, rng)?;
    survives(&["train", "--dry-run", "--classes", "4", "--recipe", text(&recipe)])
}

pub fn pictures(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let root = base.round().join("pictures");
    for class in ["a", "b"] {
        let folder = root.join(class);
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        for i in 0..6 {
            let ending = ["png", "jpg", "webp", "gif", "bmp", "tif"][i];
            let path = folder.join(format!("{i}.{ending}"));
            let shift = (below(rng, 255)) as u8;
            let picture =
                image::RgbImage::from_fn(48, 40, |x, y| image::Rgb([x as u8 * 5, (y as u8 * 6) ^ shift, shift]));
            picture.save(&path).map_err(|e| e.to_string())?;
            if below(rng, 2) == 0 {
                spoil(&path, rng)?;
            }
        }
    }
    survives(&["import", text(&root), "--size", "16", "--out", text(&base.round().join("set"))])
}

pub fn audio(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let root = base.round().join("music");
    for (number, genre) in ["Rock", "Jazz"].repeat(5).iter().enumerate() {
        let folder = root.join(format!("album {number}"));
        fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
        let path = folder.join("01.mp3");
        let mut cover = std::io::Cursor::new(vec![]);
        let shade = 20 * number as u8;
        let picture = image::RgbImage::from_fn(40, 40, |x, y| image::Rgb([x as u8 * 6, y as u8 * 6, shade]));
        picture.write_to(&mut cover, image::ImageFormat::Png).map_err(|e| e.to_string())?;
        fs::write(&path, mp3(genre, cover.get_ref())).map_err(|e| e.to_string())?;
        if below(rng, 3) > 0 {
            spoil(&path, rng)?;
        }
    }
    survives(&["import", text(&root), "--size", "16", "--out", text(&base.round().join("set"))])
}

/// An ID3v2.3 tag with a genre and a front cover, then frames of silence.
fn mp3(genre: &str, cover: &[u8]) -> Vec<u8> {
    let frame = |name: &[u8; 4], body: &[u8]| [&name[..], &(body.len() as u32).to_be_bytes(), &[0, 0], body].concat();
    let genre = frame(b"TCON", &[&[0], genre.as_bytes()].concat());
    let picture = frame(b"APIC", &[b"\0image/png\0\x03\0", cover].concat());
    let body = [genre, picture].concat();
    let size = (0..4).rev().map(|i| (body.len() >> (7 * i) & 0x7f) as u8).collect::<Vec<u8>>();
    let silence = [&[0xff, 0xfb, 0x90, 0x00][..], &[0; 413]].concat().repeat(4);
    [b"ID3\x03\0\0".to_vec(), size, body, silence].concat()
}
