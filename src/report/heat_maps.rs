//! What heat maps were put to by `explain --faithfulness` and `--randomisation`, as the run's `explain/` holds it.

use maud::{Markup, html};
use serde::de::DeserializeOwned;

use super::chart::{Chart, Curve, Unit};
use super::page::{self, Cell};
use super::run::Run;
use super::words::command;
use crate::Result;
use crate::explain::faithfulness::{self, Faithfulness, MapScores};
use crate::explain::randomisation::{self, LOST, Randomisation};
use crate::explain::{CANNOT_SHOW, Estimate};
use crate::score::metrics::Point;

/// Both tests, as far as they were made.
pub fn markup(run: &Run) -> Result<Markup> {
    let faithful: Option<Faithfulness> = read(run, faithfulness::NUMBERS);
    let random: Option<Randomisation> = read(run, randomisation::NUMBERS);
    let root = run.folder.root().display().to_string();
    let test = command(["gatefold", "explain", &root, "--faithfulness", "--randomisation"]);
    Ok(html! {
        @if faithful.is_none() || random.is_none() {
            p {
                "Maps can be wrong: some mark what does not matter, and some show edges whatever the network learned. This puts them to "
                "the test, and the next report shows what came of it:"
            }
            (page::command(&test))
        }
        @if let Some(found) = &faithful { (faithfulness(found)?) }
        @if let Some(found) = &random { (randomisation(found)?) }
        p.note { (CANNOT_SHOW) }
    })
}

/// A file of the folder; one that is missing, damaged or of another version is left out.
fn read<T: DeserializeOwned>(run: &Run, name: &str) -> Option<T> {
    serde_json::from_slice(&std::fs::read(run.folder.explain().join(name)).ok()?).ok()
}

fn estimate(value: &Estimate) -> Cell {
    Cell::Number(value.to_string(), value.mean)
}

fn faithfulness(found: &Faithfulness) -> Result<Markup> {
    let rows: Vec<Vec<Cell>> = found
        .maps
        .iter()
        .map(|map| {
            let scores = [&map.deletion, &map.insertion, &map.road].map(estimate);
            [Cell::Head(map.name.clone())].into_iter().chain(scores).collect()
        })
        .collect();
    let lines = |fractions: &[f64], values: fn(&MapScores) -> &[f64]| -> Vec<Curve> {
        let points =
            |map: &MapScores| -> Vec<Point> { fractions.iter().copied().zip(values(map).iter().copied()).collect() };
        found.maps.iter().map(|map| Curve::new(map.name.clone(), points(map))).collect()
    };
    let chart = |title: &str, caption: &str, x: &'static str, curves: Vec<Curve>| {
        let (title, caption, units) = (title.to_owned(), caption.to_owned(), [Unit::Percent; 2]);
        Chart { title, caption, x, units, curves, ..Chart::default() }.figure()
    };
    Ok(html! {
        h3 { "Does what they mark matter?" }
        @for verdict in &found.verdicts { p { (verdict) } }
        div.figures {
            (chart("Deletion", "The hottest pixels first become the mean colour. The faster the class goes, the better the map.", "pixels taken away",
                lines(&found.fractions, |map| &map.curves.deletion))?)
            (chart("Insertion", "The hottest pixels first come back into a blurred picture. The faster the class comes, the better the map.", "pixels put back",
                lines(&found.fractions, |map| &map.curves.insertion))?)
        }
        (page::table(
            &format!("Means with 95 % intervals over {} of {} pictures ({}), layer {}. Less deletion is better, more insertion, more ROAD.",
                found.compared, found.of, found.source, found.layer),
            &["map", "deletion", "insertion", "ROAD"], &rows))
    })
}

fn randomisation(found: &Randomisation) -> Result<Markup> {
    let mut figures = vec![];
    for method in &found.methods {
        let points =
            method.stages.iter().enumerate().map(|(i, stage)| ((i + 1) as f64, stage.similarity.mean)).collect();
        let stages = method.stages.len() as f64;
        let chart = Chart {
            title: method.method.to_string(),
            caption: method.verdict.clone(),
            x: "groups of layers randomised, from the head down",
            y_range: Some([-0.25, 1.0]),
            curves: vec![Curve::new("rank correlation with the trained network’s map", points)],
            references: vec![Curve::new("must end below", vec![(1.0, LOST), (stages.max(2.0), LOST)])],
            ..Chart::default()
        };
        let rows: Vec<Vec<Cell>> = method
            .stages
            .iter()
            .map(|stage| {
                let count = Cell::count(stage.without_evidence as u64);
                vec![Cell::Head(stage.layers.clone()), estimate(&stage.similarity), count]
            })
            .collect();
        let head = ["randomised down to", "rank correlation", "pictures without evidence"];
        figures.push((
            chart.figure()?,
            page::table(&format!("{} over {} pictures.", method.method, method.pictures), &head, &rows),
        ));
    }
    Ok(html! {
        h3 { "Do they depend on what was learned?" }
        p { "Layers get random first values again, from the head down. A map that stays the same shows the picture’s edges, not the network’s reasons." }
        div.figures { @for (figure, _) in &figures { (figure) } }
        details { summary { "The numbers" } @for (_, table) in &figures { (table) } }
    })
}
