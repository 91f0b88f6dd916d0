//! Who may know whom: no arrow back between rooms, and no circle between files. ARCHITECTURE.md says the same in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each room may use those before it.
const ENGINE: &[&str] = &["error", "file", "tensor", "gpu", "params", "tape", "ops", "plan"];
const PROGRAM: &[&str] = &[
    "hint", "shown", "file", "read", "claim", "panics", "ranks", "font", "sample", "data", "nets", "weights", "score",
    "train", "explain", "report", "audit", "labels", "check", "serve", "cli",
];
const DATA: &[&str] = &["picture", "set", "source", "import"];

/// Every module below a folder, such as `data::set::pack`, with its text; not files of tests alone.
fn modules(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(root.to_owned(), String::new())];
    while let Some((folder, path)) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            let name = entry.file_stem().unwrap().to_str().unwrap();
            let inner = if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") };
            if entry.is_dir() {
                if name != "engine" {
                    folders.push((entry, inner));
                }
            } else if name != "tests" && entry.extension().is_some_and(|ending| ending == "rs") {
                let module = if name == "mod" { path.clone() } else { inner };
                found.insert(module, fs::read_to_string(&entry).unwrap());
            }
        }
    }
    found
}

/// All paths within the crate that a module names, from `crate::` or from `super::` on, groups in braces taken apart; comments and
/// the file's own tests left out.
fn paths(module: &str, text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        take(part, "", &mut found);
    }
    for (at, name) in code.match_indices("super::") {
        // Not the second of `super::super::`.
        if code[..at].ends_with("::") {
            continue;
        }
        let (mut rest, mut above) = (&code[at + name.len()..], parent(module));
        while let Some(further) = rest.strip_prefix("super::") {
            (rest, above) = (further, parent(above));
        }
        let before = if above.is_empty() { String::new() } else { format!("{above}::") };
        take(rest, &before, &mut found);
    }
    found
}

/// The module above: `a::b` for `a::b::c`.
fn parent(module: &str) -> &str {
    module.rsplit_once("::").map_or("", |(above, _)| above)
}

/// Adds the paths at the start of `text`, each with `before` in front; gives how much of the text they are.
fn take(text: &str, before: &str, found: &mut BTreeSet<String>) -> usize {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let path = format!("{before}{}", &text[..end]);
    if !text[end..].starts_with('{') || !(path.is_empty() || path.ends_with("::")) {
        found.insert(path.trim_end_matches(':').to_owned());
        return end;
    }
    let mut at = end + 1;
    while !text[at..].starts_with('}') {
        let name = text[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
        at += if name { take(&text[at..], &path, found) } else { 1 };
    }
    at + 1
}

fn room<'a>(path: &'a str, rooms: &[&str]) -> Option<&'a str> {
    let first = path.split("::").next()?;
    rooms.contains(&first).then_some(first)
}

fn assert_order(modules: &BTreeMap<String, String>, rooms: &[&str], prefix: &str) {
    let place = |room: &str| rooms.iter().position(|known| *known == room).unwrap();
    for (module, text) in modules {
        let Some(own) = module.strip_prefix(prefix).and_then(|rest| room(rest, rooms)) else { continue };
        for path in paths(module, text) {
            let Some(rest) = path.strip_prefix(prefix) else { continue };
            if let Some(other) = room(rest, rooms) {
                assert!(place(other) <= place(own), "{module} uses {path}: {other} comes after {own}");
            }
        }
    }
}

/// Files that use each other, be it through others; a module and those below it are one family.
fn circles(modules: &BTreeMap<String, String>) -> Vec<String> {
    let file_of = |path: &str| {
        let parts: Vec<&str> = path.split("::").collect();
        (1..=parts.len()).rev().map(|end| parts[..end].join("::")).find(|name| modules.contains_key(name))
    };
    let family = |a: &str, b: &str| a.starts_with(&format!("{b}::")) || b.starts_with(&format!("{a}::"));
    let uses: BTreeMap<&str, BTreeSet<String>> = modules
        .iter()
        .map(|(module, text)| {
            let files = paths(module, text).into_iter().filter_map(|path| file_of(&path));
            (module.as_str(), files.filter(|file| file != module && !family(file, module)).collect())
        })
        .collect();
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = next.pop() {
            for other in uses.get(file.as_str()).into_iter().flatten().filter(|other| seen.insert((*other).clone())) {
                if other == to {
                    return true;
                }
                next.push(other.clone());
            }
        }
        false
    };
    modules.keys().filter(|module| reaches(module, module)).cloned().collect()
}

#[test]
fn rooms_use_those_before_them_and_no_files_use_each_other() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (engine, program) = (modules(&src.join("engine/src")), modules(&src));
    assert!(engine.len() > 40 && program.len() > 120, "{} and {} files", engine.len(), program.len());
    assert_order(&engine, ENGINE, "");
    assert_order(&program, PROGRAM, "");
    assert_order(&program, DATA, "data::");
    assert_eq!((circles(&engine), circles(&program)), (vec![], vec![]));
    let all: BTreeSet<&str> = program.keys().filter_map(|module| module.split("::").next()).collect();
    let known: BTreeSet<&str> = PROGRAM.iter().copied().chain(["", "lib", "main"]).collect();
    assert!(all.is_subset(&known), "a room without a place in the order: {all:?}");
}

#[test]
fn circles_and_arrows_back_are_found() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let circle = BTreeMap::from([
        file("a::x", "use crate::{b::y::{self, Y}, Result};"),
        file("b::y", "use crate::c;"),
        file("c", "fn f() { crate::a::x::g() }"),
        file("d", "use crate::a::x;"),
        file("e::x", "fn f(y: &super::y::Y) {}"),
        file("e::y", "fn f() { super::super::e::x::g() }"),
    ]);
    assert_eq!(circles(&circle), ["a::x", "b::y", "c", "e::x", "e::y"]);
    assert_eq!(paths("m", "use crate::{b::y::{self, Y}, Result}; // crate::not"), {
        ["Result", "b::y::Y", "b::y::self"].map(str::to_owned).into()
    });
    let back = std::panic::catch_unwind(|| assert_order(&circle, &["a", "b", "c"], ""));
    assert!(back.is_err());
}
