//! The page: covers whose labels look wrong, each to keep, to change or to leave out, and a file of what was decided.

use std::path::Path;

use image::imageops::{FilterType, resize};
use maud::{Markup, PreEscaped, html};
use rayon::prelude::*;

use super::table::{contradicts, other_label};
use super::{Found, Row};
use crate::data::set::report::ToldMember;
use crate::data::{Fit, picture};
use crate::report::page::{self, Cell, Page, Section, Tone};
use crate::report::words::{percent, short, thousands};
use crate::{Error, Result};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Pixels on a side of a cover, and of a neighbour; JPEG quality.
const SIDE: u32 = 256;
const SMALL: u32 = 64;
const QUALITY: u8 = 80;
/// Neighbours that are shown beside a cover.
const NEAR: usize = 4;
/// Cells of the confident joint that are listed.
const JOINT: usize = 30;

/// The page, with so many covers at most.
///
/// # Errors
/// [`Error::Run`] if a picture cannot be drawn; [`Error::Input`] if one in the pack is damaged.
pub fn page(found: &Found, most: usize, name: &str) -> Result<Page> {
    let mut sections = vec![];
    let (before, contradictions) = contradictions(found, most)?;
    sections.push(Section::new("labels", "Labels that look wrong", labels(found, most - before, before)?));
    if let Some(body) = contradictions {
        sections.push(Section::new("same", "The same picture with several labels", body));
    }
    sections.push(Section::new("joint", "What is taken for what", joint(found)));
    sections.push(Section::new("limits", "What this list is worth", limits(found)));
    let trust = &found.trust;
    let headline = match found.suspects() {
        _ if !trust.can_tell => "Cannot tell which labels are wrong".to_owned(),
        0 => "No label is a suspect".to_owned(),
        n => format!("{} of {} labels are suspects", thousands(n as u64), thousands(found.rows.len() as u64)),
    };
    let tone = if trust.can_tell { Tone::Plain } else { Tone::Unsure };
    let lead = html! { (page::verdict(tone, &headline, &html! { (sentence(&trust.verdict)) })) };
    Ok(Page {
        kicker: "Labels",
        title: format!("Which labels of {name} look wrong?"),
        lead,
        sections,
        style: STYLE,
        script: SCRIPT,
    })
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map_or_else(String::new, |c| c.to_uppercase().to_string());
    format!("{first}{}.", letters.as_str())
}

/// At most so many rows, after so many entries that are numbered already.
fn labels(found: &Found, most: usize, before: usize) -> Result<Markup> {
    let shown = &found.rows[..most.min(found.rows.len())];
    // Each reads several pictures from their files.
    let items = shown.par_iter().enumerate().map(|(i, row)| item(found, row, before + i + 1));
    let items: Vec<Markup> = items.collect::<Result<_>>()?;
    let suspects = found.suspects();
    let beyond = suspects.saturating_sub(shown.iter().filter(|row| row.suspect).count());
    Ok(html! {
        p {
            @if found.trust.can_tell {
                "The most suspicious first; “suspect” marks labels that the networks contradict. The fewer labels they agree with, the more of these are right all the same: look at each cover, and "
                "say what becomes of its label. "
            } @else {
                "In the order of suspicion, which these networks cannot be trusted with: look at each as you would at covers drawn at random. "
            }
            "These are the first " (shown.len()) " of " (thousands(found.rows.len() as u64)) " covers; labels.csv has all"
            @if beyond > 0 { ", " (beyond) " more suspects among them" }
            ". Beside each are the covers that the network, which had not seen this one, takes for most alike, with their labels."
        }
        noscript { p.note {
            "Without JavaScript this page cannot save what is ticked. Write keep, change or drop into the column " code { "action" } " of labels.csv instead, and give "
            "that to " code { "gatefold import --corrections" } "."
        } }
        (PreEscaped(format!("<script type=\"application/json\" id=\"classes\">{}</script>", json(found.classes())?)))
        ul.decide { @for item in &items { (item) } }
    })
}

/// JSON that can stand within a script element: nothing in it ends that.
fn json(value: &[String]) -> Result<String> {
    Ok(serde_json::to_string(value).map_err(Error::run)?.replace('<', "\\u003c"))
}

fn item(found: &Found, row: &Row, number: usize) -> Result<Markup> {
    let (manifest, classes) = (&found.dataset.manifest, found.classes());
    let cover = &manifest.covers[row.cover];
    let (path, label, suggestion) = (cover.strings.path_text(), &classes[row.label], &classes[row.suggestion]);
    let mut near = vec![];
    for one in row.near.iter().take(NEAR) {
        let other = &manifest.covers[one.cover];
        let told = format!("{}, {:.2} alike", short(&classes[other.label]), one.similarity);
        near.push((picture(found, one.cover, SMALL, &told)?, short(&classes[other.label]), other.label));
    }
    let drawn = picture(found, row.cover, SIDE, &format!("{}, perhaps {}", short(label), short(suggestion)))?;
    let body = html! {
        p.why { (sentence(&found.why(row))) }
        @if !near.is_empty() {
            div.near {
                @for (picture, name, class) in &near {
                    figure { (picture) figcaption.own[*class == row.label].other[*class == row.suggestion] title=(name) { (name) } }
                }
            }
        }
    };
    let note = row.suspect.then_some("suspect");
    Ok(entry(number, [path, label, suggestion], &drawn, note, &body))
}

/// A cover with its label, what speaks against it, and what may be done.
fn entry(
    number: usize,
    [path, label, suggestion]: [&str; 3],
    picture: &Markup,
    note: Option<&str>,
    body: &Markup,
) -> Markup {
    let (name, file) = (format!("cover-{number}"), Path::new(path).file_name().unwrap_or_default().to_string_lossy());
    // As JSON, so that line breaks in names come back as they are.
    let told = serde_json::json!([path, label, suggestion]).to_string();
    let choice =
        |action: &str, text: &Markup| html! { label { input type="radio" name=(name) value=(action); (text) } };
    html! {
        li data-cover=(told) {
            div.face { (picture) }
            div.words {
                div.names {
                    b.miss { (short(label)) } @if label != suggestion { " → " b.hit { (short(suggestion)) } }
                    @if let Some(note) = note { " " span.mark { (note) } }
                }
                (body)
                span.name title=(path) { (file) }
                div.choices {
                    (choice("keep", &html! { "keep" }))
                    (choice("drop", &html! { "drop" }))
                    (choice("change", &html! { "change to " select aria-label="new label" { option value=(suggestion) selected { (short(suggestion)) } } }))
                }
            }
        }
    }
}

/// A cover from its file, or from the pack where that is gone.
fn picture(found: &Found, cover: usize, side: u32, alt: &str) -> Result<Markup> {
    let path = found.dataset.manifest.covers[cover].strings.path();
    let drawn = match picture::load(path, side, Fit::Pad) {
        Ok(loaded) => loaded.pixels,
        Err(_) => resize(&found.dataset.pack.picture(cover)?, side, side, FilterType::CatmullRom),
    };
    Ok(page::picture(&page::jpeg(&drawn, QUALITY)?, alt))
}

/// Pictures that were left out because the same picture has several labels, and how many of them are shown.
fn contradictions(found: &Found, most: usize) -> Result<(usize, Option<Markup>)> {
    if found.contradictions.is_empty() {
        return Ok((0, None));
    }
    let (mut items, mut all) = (vec![], 0);
    for (group, member) in found.contradictions.iter().flat_map(|group| group.members.iter().map(move |m| (group, m))) {
        all += 1;
        // Half of the page at most, so that there is room for the others.
        if items.len() < most.div_ceil(2) {
            let body = html! { p.why { (sentence(&contradicts(member))) } };
            let other = other_label(group, member);
            items.push(entry(
                items.len() + 1,
                [&member.path, &member.label, &other],
                &member_picture(member)?,
                None,
                &body,
            ));
        }
    }
    let body = html! {
        p {
            "These " (all) " pictures were left out when the data were read, since one of their labels must be wrong: the networks have not seen them. Change or drop "
            "the wrong ones, and an import with the corrections takes the others in."
            @if items.len() < all { " The first " (items.len()) " are here; labels.csv begins with all." }
        }
        ul.decide { @for item in &items { (item) } }
    };
    Ok((items.len(), Some(body)))
}

fn member_picture(member: &ToldMember) -> Result<Markup> {
    Ok(match picture::load(Path::new(&member.path), SIDE, Fit::Pad) {
        Ok(loaded) => page::picture(&page::jpeg(&loaded.pixels, QUALITY)?, &short(&member.label)),
        Err(_) => html! { div.missing { "the file is gone" } },
    })
}

/// The confident joint: which labels are confidently another class.
fn joint(found: &Found) -> Markup {
    let (confident, classes) = (&found.confident, found.classes());
    let mut cells: Vec<_> = confident.joint.iter().filter(|((label, class), _)| label != class).collect();
    cells.sort_by_key(|((label, class), count)| (std::cmp::Reverse(*count), *label, *class));
    let of = |label: usize| found.rows.iter().filter(|row| row.label == label).count().max(1);
    let rows: Vec<Vec<Cell>> = cells
        .iter()
        .take(JOINT)
        .map(|&&((label, class), count)| {
            let [label_name, class_name] = [label, class].map(|class| short(&classes[class]));
            let share = Cell::percent(count as f64 / of(label) as f64);
            vec![Cell::Head(label_name), Cell::Text(class_name), Cell::count(count), share]
        })
        .collect();
    html! {
        p {
            "The confident joint: a cover counts for a class if its probability reaches the mean that the class has where it is the label. Off its diagonal are labels "
            "that the networks contradict."
            @if found.trust.can_tell {
                " Scaled to all covers it stands for about " (format!("{:.0}", confident.wrong)) " wrong labels, too many where the networks themselves are often wrong."
            }
        }
        @if rows.is_empty() {
            p { "No cover is confidently of another class than its label." }
        } @else {
            (page::table("", &["label", "confidently", "covers", "share of the label"], &rows))
            @if cells.len() > JOINT { p.note { (cells.len() - JOINT) " more in labels.json." } }
        }
    }
}

fn limits(found: &Found) -> Markup {
    let (score, trust) = (&found.score, &found.trust);
    html! {
        (page::facts(&[
            ("Covers", thousands(found.rows.len() as u64)),
            ("Networks agree with", format!("{} of the labels", percent(score.all.accuracy))),
            ("Largest class", percent(score.all.majority)),
            ("A drawn label looks more wrong", format!("in {:.0} of 100 cases", 100.0 * trust.area)),
            ("95 % interval", format!("{:.0} to {:.0}", 100.0 * trust.interval[0], 100.0 * trust.interval[1])),
        ]))
        p {
            "Each network learnt from the other folds, with the wrong labels among them, so it repeats mistakes that are made often: a label that is wrong in the same "
            "way everywhere is not found. A cover that looks unlike the others of its class is suspected although its label is right, and a class of few covers more than "
            "one of many. So nothing is changed before somebody has looked."
        }
        p {
            "Covers are ordered by " (trust.order.text()) ": of six orders that in which drawn labels stand out most. Suspects come from confident learning on the answers alone (Northcutt, Jiang and Chuang 2021), pruned by noise rate."
        }
    }
}
