//! The curves as one picture: deletion, insertion and ROAD side by side.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{BLOB, Faithfulness, MapScores, Measure, RANDOM};
use crate::explain::Estimate;
use crate::{Error, Result, font};

const WIDTH: u32 = 1320;
const PANELS: u32 = 440;
const LINE: u32 = 20;
/// Letters of a line of text at the foot.
const LETTERS: usize = 185;

/// Of the methods, in their order; far apart also for the colour-blind (Okabe and Ito).
const COLOURS: [RGBColor; 5] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
];
const GREY: RGBColor = RGBColor(120, 120, 120);
const LIGHT: RGBColor = RGBColor(225, 225, 225);

/// An SVG of mean probabilities of the class, with the numbers in the legends, the verdicts, and what a map cannot show.
///
/// # Errors
/// If it cannot be drawn.
pub fn chart(faithfulness: &Faithfulness) -> Result<String> {
    let foot: Vec<String> = faithfulness
        .verdicts
        .iter()
        .chain([&faithfulness.cannot_show])
        .flat_map(|t| font::wrap(t, LETTERS, 9))
        .collect();
    let height = 46 + PANELS + LINE * (foot.len() as u32 + 1);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        draw(&root, faithfulness, &foot).map_err(|e| Error::run(format!("the curves cannot be drawn ({e})")))?;
    }
    Ok(svg)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(root: &Area<'a>, faithfulness: &Faithfulness, foot: &[String]) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let (layer, source) = (&faithfulness.layer, &faithfulness.source);
    let (compared, of) = (faithfulness.compared, faithfulness.of);
    let class =
        faithfulness.class.as_ref().map_or("each picture's predicted class".to_owned(), |c| format!("class {c}"));
    let head = format!("Layer {layer}, {class}, {compared} of {of} pictures ({source}); 95 % intervals");
    let text = |size: u32| ("sans-serif", size).into_font().color(&BLACK);
    root.draw_text(&head, &text(18), (20, 14))?;
    let (_, below) = root.split_vertically(46);
    let (panels, notes) = below.split_vertically(PANELS);
    let areas = panels.split_evenly((1, 3));
    let shares: Vec<f64> = faithfulness.fractions.iter().map(|f| 100.0 * f).collect();
    let percentages: Vec<f64> = faithfulness.percentages.iter().map(|&p| f64::from(p)).collect();
    let titles = ["deletion: less is better", "insertion: more is better", "ROAD: dashed above solid is better"];
    for ((area, measure), title) in areas.iter().zip(Measure::ALL).zip(titles) {
        let across = if measure == Measure::Road { &percentages } else { &shares };
        panel(area, measure, title, across, &faithfulness.maps)?;
    }
    for (line, y) in foot.iter().zip((0..).map(|i: i32| 10 + i * LINE as i32)) {
        notes.draw_text(line, &text(14), (20, y))?;
    }
    root.present()
}

fn panel<'a>(area: &Area<'a>, measure: Measure, title: &str, across: &[f64], maps: &[MapScores]) -> Drawn<'a> {
    let what = match measure {
        Measure::Deletion => "hottest pixels deleted (%)",
        Measure::Insertion => "hottest pixels inserted (%)",
        Measure::Road => "pixels filled in (%): solid hottest, dashed coldest",
    };
    let most = maps.iter().flat_map(|m| {
        let c = &m.curves;
        [&c.deletion, &c.insertion, &c.most_relevant_first, &c.least_relevant_first].into_iter().flatten().copied()
    });
    let top = most.fold(0.0_f64, f64::max).max(0.01);
    // Room for the legend above the curves.
    let room = top * (1.08 + 0.075 * maps.len() as f64);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 17))
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..100.0, 0.0..room)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LIGHT)
        .x_desc(what)
        .y_desc("probability of the class")
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .x_label_formatter(&|v| format!("{v:.0}"))
        .y_label_formatter(&|v| if *v <= 1.0 + 1e-9 { format!("{v:.2}") } else { String::new() })
        .draw()?;
    for (i, map) in maps.iter().enumerate() {
        let style = match map.name.as_str() {
            RANDOM => GREY.stroke_width(2),
            BLOB => BLACK.stroke_width(2),
            _ => COLOURS[i % COLOURS.len()].stroke_width(3),
        };
        let points = |curve: &[f64]| across.iter().copied().zip(curve.to_vec()).collect::<Vec<_>>();
        let (solid, estimate) = match measure {
            Measure::Deletion => (&map.curves.deletion, map.deletion),
            Measure::Insertion => (&map.curves.insertion, map.insertion),
            Measure::Road => (&map.curves.most_relevant_first, map.road),
        };
        let name = format!("{} {}", map.name, numbers(estimate));
        let sample = move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style);
        chart.draw_series(LineSeries::new(points(solid), style))?.label(name).legend(sample);
        if measure == Measure::Road {
            chart.draw_series(DashedLineSeries::new(points(&map.curves.least_relevant_first), 7, 5, style))?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 14))
        .background_style(WHITE.mix(0.85))
        .draw()
}

fn numbers(estimate: Estimate) -> String {
    match estimate.ci {
        Some([low, high]) => format!("{:.3} ({low:.3} to {high:.3})", estimate.mean),
        None => format!("{:.3}", estimate.mean),
    }
}
