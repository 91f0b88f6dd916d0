//! What sets share, weak views and swapped pipelines, as sections of the page.

use maud::{Markup, html};

use super::ROWS;
use crate::Result;
use crate::audit::leaks::{Column, Leaks, Member, Pair};
use crate::audit::swap::{ClassSwap, Swap};
use crate::audit::views::{ViewScore, Views};
use crate::data::{Fit, picture};
use crate::report::page::{Cell, jpeg, picture as shown, table};

/// Pairs, and spanning values, that the page shows.
const PAIRS: usize = 24;
const VALUES: usize = 12;
/// Pixels on a side of a pair's pictures.
const THUMBNAIL: u32 = 160;

/// Pairs of covers and groups that are in more than one set.
///
/// # Errors
/// [`crate::Error::Run`] if a picture cannot be put into the page.
pub fn leaks(leaks: &Leaks, notes: &[String]) -> Result<Markup> {
    let kind = |pair: &Pair| serde_json::to_value(pair.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
    let mut pairs = Vec::new();
    for pair in leaks.listed.iter().take(PAIRS) {
        pairs.push((kind(pair).unwrap_or_default(), pair, [half(&pair.first)?, half(&pair.second)?]));
    }
    let columns: Vec<&Column> = leaks.columns.iter().filter(|column| column.spanning > 0).collect();
    Ok(html! {
        p {
            "All " (leaks.covers) " covers were compared with each other: copies, compressed or scaled again, brightened, cropped, "
            "mirrored. " (counted(leaks.pairs, "pair shows", "pairs show")) " the same picture; " (leaks.across_sets) " across sets, "
            (leaks.across_labels) " under different labels."
        }
        @for note in notes { p.note { "Noted when the data was read: " (note) "." } }
        @if !pairs.is_empty() {
            ul.gallery {
                @for (kind, pair, halves) in &pairs {
                    li {
                        div.pair { @for half in halves { (half) } }
                        div.words {
                            b { (kind) } " · " (words(&pair.first)) " and " (words(&pair.second))
                            @for member in [&pair.first, &pair.second] { span.name { (name(member)) } }
                        }
                    }
                }
            }
            @if leaks.pairs > pairs.len() { p.note { (leaks.pairs - pairs.len()) " more pairs; audit.json lists up to " (super::super::leaks::LISTED) "." } }
        }
        @for column in columns {
            @let rows: Vec<Vec<Cell>> = column.listed.iter().take(VALUES).map(|spanning| {
                [Cell::Head(spanning.value.clone())].into_iter().chain(spanning.covers.iter().map(|&n| Cell::count(n as u64))).collect()
            }).collect();
            (table(
                &format!("{} of {} values of {} are in several sets", column.spanning, column.values, column.column),
                &[&column.column, "train", "val", "test"],
                &rows,
            ))
        }
    })
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A cover's picture, or that there is none any more.
fn half(member: &Member) -> Result<Markup> {
    Ok(match picture::load(&member.path, THUMBNAIL, Fit::Pad) {
        Ok(loaded) => shown(&jpeg(&loaded.pixels, 82)?, &format!("{}, {}", member.label, member.set)),
        Err(_) => html! { div.missing { "the file is gone" } },
    })
}

fn words(member: &Member) -> String {
    format!("{} in {}", member.label, member.set)
}

fn name(member: &Member) -> String {
    member.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// What a small network reads off parts of the pictures.
pub fn views(views: &Views) -> Markup {
    let row = |view: &ViewScore| {
        let [low, high] = view.balanced_accuracy_ci;
        vec![
            Cell::Head(view.view.name().into()),
            Cell::percent(view.balanced_accuracy),
            Cell::Number(format!("{:.0}–{:.0} %", 100.0 * low, 100.0 * high), low),
            Cell::Markup(if view.above_chance {
                html! { "above chance" }
            } else {
                html! { "no" }
            }),
            Cell::Text(view.meaning.into()),
        ]
    };
    let chance = views.views.first().map_or(0.0, |view| view.chance);
    html! {
        p {
            "The same small network (" (views.net) ", " (views.side) " pixels, " (views.epochs) " epochs, " (views.trained) " covers) was trained "
            "on each view of the pictures and scored on " (views.scored) " covers of " (views.set) ". Guessing reaches "
            (format!("{:.1} %", 100.0 * chance)) ". These scores do not decide the verdict: content bears on each of them."
        }
        (table("", &["view", "mean recall", "95 %", "", "above chance would mean"], &views.views.iter().map(row).collect::<Vec<_>>()))
    }
}

/// Whether a run's answers follow the pipeline.
pub fn swap(swap: &Swap) -> Markup {
    let row = |class: &ClassSwap| {
        let [low, high] = class.shift_ci;
        vec![
            Cell::Head(format!("{} as {}", class.label, class.into)),
            Cell::count(class.covers as u64),
            Cell::count(class.flipped as u64),
            Cell::count(class.only_swapped as u64),
            Cell::count(class.only_own as u64),
            Cell::Number(format!("{:.3}", class.p), class.p),
            Cell::Number(format!("{low:+.3} to {high:+.3}"), class.shift),
        ]
    };
    // Of many classes those whose answers follow the pipeline most clearly; audit.json has all.
    let mut classes: Vec<&ClassSwap> = swap.classes.iter().collect();
    if classes.len() > ROWS {
        classes.sort_by(|a, b| a.p.total_cmp(&b.p));
        classes.truncate(ROWS);
    }
    html! {
        p {
            "The run's network was shown its test covers after they went through another class's typical size and compression, and "
            "through their own: " (swap.text) "."
        }
        @if !swap.classes.is_empty() {
            (table(
                "",
                &["cover as class", "covers", "answers that change", "only as the other", "only as its own", "p", "shift"],
                &classes.iter().copied().map(row).collect::<Vec<_>>(),
            ))
            @if classes.len() < swap.classes.len() {
                p.note { "Of " (swap.classes.len()) " classes these are the " (ROWS) " of the smallest p; audit.json has all." }
            }
            p.note {
                "\"Only as the other\": covers that are called the other class after its pipeline but not after their own; the next column is "
                "the reverse. If the pipeline did not matter, both would be about equal; p is the chance of such a difference."
            }
        }
        @if swap.missing > 0 { p.note { (swap.missing) " covers could not be looked at: their files are gone." } }
    }
}
