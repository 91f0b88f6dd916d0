//! Small drawings: an area with its interval, and two histograms.

use maud::{Markup, html};

use super::super::Distribution;

const WIDTH: f64 = 200.0;

/// From 0.5 at the left to 1 at the right: the interval as a bar, the area as a mark, what chance reaches as a tick.
pub fn bar(area: f64, [low, high]: [f64; 2], chance: Option<f64>) -> Markup {
    let x = |value: f64| ((value - 0.5).clamp(0.0, 0.5) * 2.0 * WIDTH * 10.0).round() / 10.0;
    let label = format!("{area:.2}, 95 % interval {low:.2} to {high:.2}");
    html! {
        svg viewBox="-3 0 206 14" width="150" height="14" role="img" aria-label=(label) style="min-width:110px" {
            rect x="0" y="6.4" width=(WIDTH) height="1.2" fill="#E3E0D9" {}
            rect x=(x(low)) y="3.5" width=((x(high) - x(low)).max(1.5)) height="7" rx="2" fill="#2C6FA6" fill-opacity="0.45" {}
            @if let Some(chance) = chance { rect x=(x(chance) - 0.6) y="0" width="1.6" height="14" fill="#5D6570" {} }
            rect x=(x(area) - 2.0) y="1" width="4" height="12" rx="1.5" fill="#2C6FA6" {}
        }
    }
}

/// A feature of one class (filled) and of the rest (outlined).
pub fn histogram(one: &Distribution) -> Markup {
    const HEIGHT: f64 = 90.0;
    let most = one.own.iter().chain(&one.rest).copied().fold(1e-9, f64::max);
    let width = 2.0 * WIDTH / one.own.len() as f64;
    let y = |share: f64| ((HEIGHT - share / most * (HEIGHT - 6.0)) * 10.0).round() / 10.0;
    let round = |x: f64| (x * 10.0).round() / 10.0;
    let mut line = format!("M0 {HEIGHT}");
    for (i, &share) in one.rest.iter().enumerate() {
        line += &format!(" L{} {} L{} {}", round(i as f64 * width), y(share), round((i + 1) as f64 * width), y(share));
    }
    line += &format!(" L{} {HEIGHT}", 2.0 * WIDTH);
    let [low, high] = one.range;
    let area = one.auc.max(1.0 - one.auc);
    html! {
        figure.chart {
            p.title { (one.feature) }
            p.legend { span { i.k0 {} (one.class) } span { i.k1 {} "the rest" } }
            svg viewBox={ "0 0 " (2.0 * WIDTH) " " (HEIGHT + 14.0) } role="img" aria-label={ (one.feature) " of " (one.class) " and the rest" } {
                @for (i, &share) in one.own.iter().enumerate() {
                    rect x=(round(i as f64 * width + 0.5)) y=(y(share)) width=(round(width - 1.0)) height=(round(HEIGHT - y(share)))
                        fill="#2C6FA6" fill-opacity="0.55" {}
                }
                path d=(line) fill="none" stroke="#C8641B" stroke-width="2" stroke-linejoin="round" {}
                text x="0" y=(HEIGHT + 12.0) font-size="10" fill="#5D6570" { (number(low)) }
                text x=(2.0 * WIDTH) y=(HEIGHT + 12.0) font-size="10" text-anchor="end" fill="#5D6570" { (number(high)) }
            }
            figcaption { "AUC " (format!("{area:.2}")) " by itself: " (one.about) "." }
        }
    }
}

/// A number with as many digits as it needs.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        100.0.. => format!("{value:.0}"),
        1.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
