//! The page that reports and audits share: one HTML file that needs no network, light or dark as the reader's system is,
//! readable on a phone and without JavaScript.
//!
//! What goes into a page is [`Markup`] made with `maud::html!`, which escapes all text that is put in.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageBuffer, ImageFormat, PixelWithColorType, RgbImage};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use crate::file::write_atomically;
use crate::{Error, Result};

/// The style, which pages of other kinds may take too.
pub const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A whole page.
pub struct Page {
    /// What kind of page it is, in one or two words above the title.
    pub kicker: &'static str,
    pub title: String,
    /// The sentence or two that say the most.
    pub lead: Markup,
    pub sections: Vec<Section>,
    /// What this page needs beside the style and the script that all share; empty for nothing.
    pub style: &'static str,
    pub script: &'static str,
}

/// A part of a page, with a link from the page's head.
pub struct Section {
    /// Its anchor: letters and hyphens.
    pub id: &'static str,
    pub title: String,
    pub body: Markup,
}

impl Section {
    pub fn new(id: &'static str, title: impl Into<String>, body: Markup) -> Self {
        Self { id, title: title.into(), body }
    }
}

impl Page {
    /// The page as HTML, the same bytes for the same content.
    pub fn html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content={ "gatefold " (env!("CARGO_PKG_VERSION")) };
                    title { (self.title) }
                    // Browsers otherwise ask for a favicon.
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) (PreEscaped(self.style)) }
                }
                body {
                    header.top {
                        p.kicker { (self.kicker) }
                        h1 { (self.title) }
                        div.lead { (self.lead) }
                        @if self.sections.len() > 2 {
                            nav.contents aria-label="Contents" {
                                @for section in &self.sections { a href={ "#" (section.id) } { (section.title) } }
                            }
                        }
                    }
                    main {
                        @for section in &self.sections {
                            section id=(section.id) { h2 { (section.title) } (section.body) }
                        }
                    }
                    footer { "Written by gatefold " (env!("CARGO_PKG_VERSION")) "." }
                    script { (PreEscaped(SCRIPT)) }
                    @if !self.script.is_empty() { script { (PreEscaped(self.script)) } }
                }
            }
        };
        page.into_string()
    }

    /// Writes the page.
    ///
    /// # Errors
    /// As [`cannot_write`](crate::file::cannot_write) says if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let html = self.html();
        write_atomically(path, |file| std::io::Write::write_all(file, html.as_bytes()))
    }
}

/// What a verdict means for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    Good,
    Unsure,
    Bad,
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unsure => "unsure",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }
}

/// A box with a verdict: what was found, and what it means.
pub fn verdict(tone: Tone, headline: &str, text: &Markup) -> Markup {
    html! { div.verdict.(tone.class()) { b { (headline) } p { (text) } } }
}

/// Names and values, in columns as the width allows.
pub fn facts(facts: &[(&str, String)]) -> Markup {
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}

/// A cell of a [`table`].
pub enum Cell {
    /// A row's name.
    Head(String),
    Text(String),
    /// A number as it is shown, and as it is sorted by.
    Number(String, f64),
    Markup(Markup),
    /// No number where others have one.
    Missing,
}

impl Cell {
    /// A count.
    pub fn count(count: u64) -> Self {
        Self::Number(count.to_string(), count as f64)
    }

    /// A share of 1 in percent, as "12.3 %".
    pub fn percent(share: f64) -> Self {
        Self::Number(format!("{:.1} %", 100.0 * share), share)
    }

    /// A number with this many digits after the point.
    pub fn decimal(value: f64, digits: usize) -> Self {
        Self::Number(format!("{value:.digits$}"), value)
    }

    fn markup(&self) -> Markup {
        match self {
            Self::Head(text) => html! { th scope="row" { (text) } },
            Self::Text(text) => html! { td { (text) } },
            Self::Number(text, value) => html! { td.number data-value=(value) { (text) } },
            Self::Markup(markup) => html! { td { (markup) } },
            Self::Missing => html! { td.number data-value="" { "–" } },
        }
    }
}

/// A table that scrolls sideways where the screen is narrow. A click on a column's head sorts by it, if there is JavaScript.
pub fn table(caption: &str, head: &[&str], rows: &[Vec<Cell>]) -> Markup {
    let number = |column: usize| rows.iter().any(|row| matches!(row.get(column), Some(Cell::Number(..))));
    let sortable = if rows.len() > 1 { "sortable" } else { "" };
    html! {
        div.scroll {
            table.wide.(sortable) {
                @if !caption.is_empty() { caption { (caption) } }
                thead {
                    tr {
                        @for (column, name) in head.iter().enumerate() {
                            th.number[number(column)] scope="col" { (name) }
                        }
                    }
                }
                tbody { @for row in rows { tr { @for cell in row { (cell.markup()) } } } }
            }
        }
    }
}

/// A command to copy, broken between words only.
pub fn command(command: &str) -> Markup {
    let words = command.split(' ');
    html! { pre.command { @for (place, word) in words.enumerate() { @if place > 0 { " " } span { (word) } } } }
}

/// A picture inside the page. `alt` also stands below it when it is enlarged.
pub fn picture(data: &str, alt: &str) -> Markup {
    html! { img src=(data) alt=(alt) loading="lazy"; }
}

/// A picture as a JPEG.
///
/// # Errors
/// [`Error::Run`] if it cannot be encoded.
pub fn jpeg_bytes(picture: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(picture)
        .map_err(|e| Error::run(format!("a picture of the page cannot be encoded ({e})")))?;
    Ok(bytes)
}

/// A picture as a `data:` address, as a JPEG: for covers.
///
/// # Errors
/// As [`jpeg_bytes`].
pub fn jpeg(picture: &RgbImage, quality: u8) -> Result<String> {
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg_bytes(picture, quality)?)))
}

/// A picture as a `data:` address, as a PNG: for drawings.
///
/// # Errors
/// [`Error::Run`] if it cannot be encoded.
pub fn png<P: PixelWithColorType<Subpixel = u8>>(picture: &ImageBuffer<P, Vec<u8>>) -> Result<String> {
    let mut bytes = Cursor::new(vec![]);
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|e| Error::run(format!("a picture of the page cannot be encoded ({e})")))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes.into_inner())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_escapes_what_it_is_given_and_loads_nothing() {
        let rows = vec![vec![Cell::Head("R&B <i>".into()), Cell::percent(0.125)]];
        let section = Section::new("scores", "Scores", table("All", &["class", "recall"], &rows));
        let page = Page {
            kicker: "Run",
            title: "a < b".into(),
            lead: html! { "x & y" },
            sections: vec![section],
            style: "",
            script: "",
        };
        let html = page.html();
        for part in
            ["<title>a &lt; b</title>", "x &amp; y", "R&amp;B &lt;i&gt;", ">12.5 %</td>", "data-value=\"0.125\""]
        {
            assert!(html.contains(part), "`{part}` is missing");
        }
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("@import"));
    }

    #[test]
    fn pictures_come_back_from_their_addresses() {
        let drawing = RgbImage::from_fn(8, 6, |x, y| image::Rgb([x as u8 * 30, y as u8 * 40, 7]));
        for (address, exact) in [(png(&drawing).unwrap(), true), (jpeg(&drawing, 90).unwrap(), false)] {
            let (kind, data) = address.split_once(";base64,").unwrap();
            assert!(kind.starts_with("data:image/"));
            let back = image::load_from_memory(&STANDARD.decode(data).unwrap()).unwrap().to_rgb8();
            assert_eq!(back.dimensions(), (8, 6));
            assert!(!exact || back == drawing);
        }
    }
}
