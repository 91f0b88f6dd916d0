//! Charts as SVG: curves, bars and dots over two axes, drawn with plotters in the colours that `page.css` knows.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::score::metrics::Point;
use crate::{Error, Result};

/// Width of a chart in drawing units: about that of a phone, so that labels stay legible there.
const WIDTH: u32 = 440;
const HEIGHT: u32 = 290;
/// Labels in plotters' unit, of which 1.24 make a unit of the drawing.
const LABEL: f64 = 12.5 * 1.24;
const SOFT: RGBColor = RGBColor(0x5d, 0x65, 0x70);
const GRID: RGBColor = RGBColor(0xe3, 0xe0, 0xd9);
/// Colours of the series, in order; all have a counterpart for dark pages.
const KEYS: [RGBColor; 6] = [
    RGBColor(0x2c, 0x6f, 0xa6),
    RGBColor(0xc8, 0x64, 0x1b),
    RGBColor(0x2f, 0x85, 0x5a),
    RGBColor(0xa2, 0x3b, 0x72),
    RGBColor(0x7a, 0x6a, 0x1e),
    RGBColor(0x5b, 0x57, 0xb8),
];
/// Lines of at most this many points show the points.
const DOTTED: usize = 32;

/// A line with a name.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    pub name: String,
    /// Sorted by x.
    pub points: Vec<Point>,
    /// Lowest and highest value at each x, shown as a band behind the line; none, or as many as points.
    pub band: Vec<(f64, f64)>,
}

impl Curve {
    pub fn new(name: impl Into<String>, points: Vec<Point>) -> Self {
        Self { name: name.into(), points, band: vec![] }
    }
}

/// How an axis writes its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Number,
    /// Shares of 1.
    Percent,
}

/// A chart with its title and legend.
pub struct Chart {
    pub title: String,
    pub caption: String,
    /// What runs along the horizontal axis.
    pub x: &'static str,
    pub units: [Unit; 2],
    /// Smallest and largest x and y; what is not given comes from the curves.
    pub x_range: Option<[f64; 2]>,
    pub y_range: Option<[f64; 2]>,
    pub curves: Vec<Curve>,
    /// Thin grey lines to compare with, named in the legend.
    pub references: Vec<Curve>,
    /// Bars from 0: left, right, height.
    pub bars: Vec<(f64, f64, f64)>,
    /// Single dots, of this radius.
    pub dots: Vec<(Point, f64)>,
}

impl Default for Chart {
    fn default() -> Self {
        Self {
            title: String::new(),
            caption: String::new(),
            x: "x",
            units: [Unit::Number; 2],
            x_range: None,
            y_range: None,
            curves: vec![],
            references: vec![],
            bars: vec![],
            dots: vec![],
        }
    }
}

impl Chart {
    /// The chart as a figure, with what `page.js` needs to read values off it.
    ///
    /// # Errors
    /// [`Error::Run`] if it cannot be drawn.
    pub fn figure(&self) -> Result<Markup> {
        let (svg, area, [x, y]) = self.drawn()?;
        let numbers = |values: [f64; 4]| values.map(|v| v.to_string()).join(" ");
        let curves: Vec<(&str, Vec<[f64; 2]>)> = self
            .curves
            .iter()
            .map(|curve| (curve.name.as_str(), curve.points.iter().map(|&(x, y)| [rounded(x), rounded(y)]).collect()))
            .collect();
        let curves = serde_json::to_string(&curves).map_err(Error::run)?;
        let named = |curve: &&Curve| !curve.name.is_empty();
        Ok(html! {
            figure.chart data-area=(numbers(area)) data-range=(numbers([x[0], x[1], y[0], y[1]])) data-x=(self.x)
                data-percent=[(self.units[1] == Unit::Percent).then_some("")] data-curves=(curves) {
                p.title { (self.title) }
                div.legend {
                    @for (place, curve) in self.curves.iter().enumerate().filter(|(_, curve)| !curve.name.is_empty()) {
                        span { i class={ "k" (place % KEYS.len()) } {} (curve.name) }
                    }
                    @for curve in self.references.iter().filter(named) { span { i.reference {} (curve.name) } }
                }
                (PreEscaped(svg))
                @if !self.caption.is_empty() { figcaption { (self.caption) } }
            }
        })
    }

    /// The chart alone, as a file.
    ///
    /// # Errors
    /// [`Error::Run`] if it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let (svg, ..) = self.drawn()?;
        let size =
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\"", 2 * WIDTH, 2 * HEIGHT);
        Ok(svg.replacen("<svg", &size, 1))
    }

    /// The SVG, where its plotting area lies in it, and the ranges of x and y.
    fn drawn(&self) -> Result<(String, [f64; 4], [[f64; 2]; 2])> {
        let ranges = [self.range(self.x_range, |p| p.0, false), self.range(self.y_range, |p| p.1, true)];
        let drawn = self.draw(ranges[0], ranges[1]);
        let (svg, area) = drawn.map_err(|e| Error::run(format!("a chart cannot be drawn ({e})")))?;
        Ok((svg, area, ranges))
    }

    /// The given range, else the one that all there is to draw takes up, with some air for y.
    fn range(&self, given: Option<[f64; 2]>, of: fn(&Point) -> f64, air: bool) -> [f64; 2] {
        if let Some(range) = given {
            return range;
        }
        let lines = self.curves.iter().chain(&self.references);
        let bands = self.curves.iter().flat_map(|c| {
            let points = c.points.iter().zip(&c.band);
            points.flat_map(|(&(x, _), &(low, high))| [(x, low), (x, high)])
        });
        let points = lines.flat_map(|curve| curve.points.iter().copied()).chain(bands);
        let values = points.map(|p| of(&p)).filter(|v| v.is_finite());
        let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return [0.0, 1.0];
        }
        let room = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.5 };
        match (air, high > low) {
            (false, true) => [low, high],
            // What cannot be negative is not shown as if it could.
            _ if low >= 0.0 => [(low - room).max(0.0), high + room],
            _ => [low - room, high + room],
        }
    }

    /// The SVG and where its plotting area lies in it: left, right, top, bottom.
    fn draw(&self, x: [f64; 2], y: [f64; 2]) -> Result<(String, [f64; 4]), Box<dyn std::error::Error>> {
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let area = self.draw_on(&root, x, y)?;
        root.present()?;
        drop(root);
        // The page gives the size, its figure says what is shown, and inside HTML there is no need of a name space.
        let body = svg.find("<svg").map_or(svg.as_str(), |start| &svg[start..]);
        let sized = format!("<svg width=\"{WIDTH}\" height=\"{HEIGHT}\"");
        let svg = body.replacen(&sized, "<svg role=\"img\"", 1);
        Ok((svg.replacen(" xmlns=\"http://www.w3.org/2000/svg\"", "", 1), area))
    }

    fn draw_on<DB: DrawingBackend>(
        &self,
        root: &DrawingArea<DB, Shift>,
        [x0, x1]: [f64; 2],
        [y0, y1]: [f64; 2],
    ) -> Result<[f64; 4], DrawingAreaErrorKind<DB::ErrorType>> {
        let mut chart = ChartBuilder::on(root)
            .margin_top(8)
            .margin_right(26)
            .x_label_area_size(42)
            .y_label_area_size(58)
            .build_cartesian_2d(x0..x1, y0..y1)?;
        let label = ("sans-serif", LABEL).into_font().color(&SOFT);
        let format = |unit: Unit, span: f64| move |v: &f64| tick(*v, span, unit);
        let (x_tick, y_tick) = (format(self.units[0], x1 - x0), format(self.units[1], y1 - y0));
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .x_labels(6)
            .y_labels(6)
            .x_desc(self.x)
            .x_label_formatter(&x_tick)
            .y_label_formatter(&y_tick)
            .label_style(label.clone())
            .axis_desc_style(label)
            .draw()?;
        let bars = self
            .bars
            .iter()
            .map(|&(left, right, height)| Rectangle::new([(left, 0.0), (right, height)], KEYS[0].mix(0.35).filled()));
        chart.draw_series(bars)?;
        for reference in &self.references {
            chart.draw_series(LineSeries::new(reference.points.iter().copied(), SOFT.stroke_width(1)))?;
        }
        for (curve, colour) in self.curves.iter().zip(KEYS.into_iter().cycle()) {
            let at = |side: fn(&(f64, f64)) -> f64| {
                let sides = curve.points.iter().zip(&curve.band);
                sides.map(move |(&(x, _), band)| (x, side(band).clamp(y0, y1)))
            };
            let outline: Vec<Point> =
                at(|band| band.0).chain(at(|band| band.1).collect::<Vec<_>>().into_iter().rev()).collect();
            if !outline.is_empty() {
                chart.draw_series([Polygon::new(outline, colour.mix(0.2).filled())])?;
            }
            chart.draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(2)))?;
            if curve.points.len() <= DOTTED {
                chart.draw_series(curve.points.iter().map(|&point| Circle::new(point, 2.5, colour.filled())))?;
            }
        }
        chart.draw_series(self.dots.iter().map(|&(point, radius)| Circle::new(point, radius, KEYS[1].filled())))?;
        let (across, down) = chart.plotting_area().get_pixel_range();
        Ok([across.start, across.end, down.start, down.end].map(f64::from))
    }
}

/// The number beside a tick, as short as the span of the axis allows.
fn tick(value: f64, span: f64, unit: Unit) -> String {
    if unit == Unit::Percent {
        let digits = usize::from(span <= 0.05);
        return format!("{:.digits$} %", 100.0 * value);
    }
    let size = value.abs();
    if size >= 10_000.0 {
        return format!("{:.0}k", value / 1000.0);
    }
    if value != 0.0 && span < 0.002 {
        return format!("{value:.1e}");
    }
    let digits = (1.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Five digits are enough to read off.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// Points gathered in at most `most` groups of neighbours: each group's mean, and the lowest and highest of it as the band.
pub fn gathered(name: &str, points: &[Point], most: usize) -> Curve {
    let size = points.len().div_ceil(most.max(1)).max(1);
    if size == 1 {
        return Curve::new(name, points.to_vec());
    }
    let (means, band) = points
        .chunks(size)
        .map(|group| {
            let n = group.len() as f64;
            let mean = (group.iter().map(|p| p.0).sum::<f64>() / n, group.iter().map(|p| p.1).sum::<f64>() / n);
            let low = group.iter().map(|p| p.1).fold(f64::MAX, f64::min);
            let high = group.iter().map(|p| p.1).fold(f64::MIN, f64::max);
            (mean, (low, high))
        })
        .unzip();
    Curve { name: name.to_owned(), points: means, band }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_holds_its_curves_and_fits_them() {
        let curve = Curve::new("loss <1>", (0..50).map(|i| (f64::from(i), 2.0 - f64::from(i) / 50.0)).collect());
        let chart = Chart { title: "Loss".into(), x: "step", curves: vec![curve], ..Chart::default() };
        let figure = chart.figure().unwrap().into_string();
        assert_eq!(figure.matches("stroke=\"#2C6FA6\"").count(), 1, "{figure}");
        assert!(figure.contains("loss &lt;1&gt;") && figure.contains("data-range=\"0 49 "), "{figure}");
        assert!(figure.contains("viewBox=\"0 0 440 290\"") && !figure.contains("<?xml"));
        // Nothing to draw is no error.
        Chart::default().figure().unwrap();
        let one = Chart { curves: vec![Curve::new("", vec![(1.0, 0.5)])], ..Chart::default() };
        assert!(one.figure().unwrap().into_string().contains("<circle"));
    }

    #[test]
    fn ticks_are_short() {
        assert_eq!(tick(0.25, 1.0, Unit::Percent), "25 %");
        assert_eq!(tick(0.5, 1.2, Unit::Number), "0.5");
        assert_eq!(tick(2.0, 1.2, Unit::Number), "2");
        assert_eq!(tick(300.0, 1540.0, Unit::Number), "300");
        assert_eq!(tick(20_000.0, 90_000.0, Unit::Number), "20k");
        assert_eq!(tick(0.0005, 0.0019, Unit::Number), "5.0e-4");
    }

    #[test]
    fn many_points_become_few_with_a_band() {
        let points: Vec<Point> = (0..1000).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let curve = gathered("loss", &points, 100);
        assert_eq!((curve.points.len(), curve.band[0], curve.points[0]), (100, (0.0, 1.0), (4.5, 0.5)));
        assert!(gathered("loss", &points[..50], 100).band.is_empty());
    }
}
