//! Shapes on a picture, in coordinates of our choosing.

use std::f32::consts::TAU;

use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Shader, Stroke, StrokeDash, Transform,
};

/// A point, y downwards.
pub(super) type P = (f32, f32);

/// Draws on `canvas` what is said in coordinates that `place` maps to pixels.
pub(super) struct Pen<'a> {
    canvas: &'a mut Pixmap,
    place: Transform,
    tint: Option<Color>,
}

impl<'a> Pen<'a> {
    pub fn new(canvas: &'a mut Pixmap, place: Transform) -> Self {
        Self { canvas, place, tint: None }
    }

    /// A pen in units of the picture's side: (0, 0) top left, (1, 1) bottom right.
    pub fn unit(canvas: &'a mut Pixmap) -> Self {
        let side = canvas.width() as f32;
        Self::new(canvas, Transform::from_scale(side, side))
    }

    /// Draw everything in one flat colour, whatever colours are asked for.
    pub fn tinted(mut self, tint: Color) -> Self {
        self.tint = Some(tint);
        self
    }

    fn paint(&self, color: Color) -> Paint<'static> {
        let mut paint = Paint::default();
        paint.set_color(self.tint.unwrap_or(color));
        paint
    }

    /// Fill a path (even-odd, so that a path inside a path is a hole).
    pub fn fill(&mut self, path: &Path, color: Color) {
        let paint = self.paint(color);
        self.canvas.fill_path(path, &paint, FillRule::EvenOdd, self.place, None);
    }

    /// Fill a path with a gradient or pattern.
    pub fn shade(&mut self, path: &Path, shader: Shader<'_>) {
        let paint = Paint { shader, ..Paint::default() };
        self.canvas.fill_path(path, &paint, FillRule::EvenOdd, self.place, None);
    }

    /// Draw along a path, with round ends and joins.
    pub fn stroke(&mut self, path: &Path, width: f32, color: Color) {
        self.stroke_dashed(path, width, None, color);
    }

    /// Draw along a path in dashes; round ends only where there are none.
    pub fn stroke_dashed(&mut self, path: &Path, width: f32, dash: Option<[f32; 2]>, color: Color) {
        let stroke = Stroke {
            width,
            line_cap: if dash.is_some() { LineCap::Butt } else { LineCap::Round },
            line_join: LineJoin::Round,
            dash: dash.and_then(|d| StrokeDash::new(d.to_vec(), 0.0)),
            ..Stroke::default()
        };
        let paint = self.paint(color);
        self.canvas.stroke_path(path, &paint, &stroke, self.place, None);
    }

    pub fn disc(&mut self, (x, y): P, r: f32, color: Color) {
        self.oval((x, y), r, r, 0.0, color);
    }

    /// An ellipse with half axes `a` and `b`, turned by `angle` radians.
    pub fn oval(&mut self, (x, y): P, a: f32, b: f32, angle: f32, color: Color) {
        let (sin, cos) = angle.sin_cos();
        let points: Vec<P> = (0..40)
            .map(|i| {
                let (s, c) = (i as f32 * TAU / 40.0).sin_cos();
                (x + a * c * cos - b * s * sin, y + a * c * sin + b * s * cos)
            })
            .collect();
        self.polygon(&points, color);
    }

    pub fn ring(&mut self, center: P, r: f32, width: f32, color: Color) {
        if let Some(path) = arc(center, r, 0.0, TAU) {
            self.stroke(&path, width, color);
        }
    }

    pub fn rect(&mut self, x: f32, y: f32, w: f32, h: f32, color: Color) {
        if let Some(rect) = Rect::from_xywh(x, y, w.max(1e-4), h.max(1e-4)) {
            self.fill(&PathBuilder::from_rect(rect), color);
        }
    }

    pub fn polygon(&mut self, points: &[P], color: Color) {
        if let Some(path) = through(points, true) {
            self.fill(&path, color);
        }
    }

    pub fn line(&mut self, points: &[P], width: f32, color: Color) {
        if let Some(path) = through(points, false) {
            self.stroke(&path, width, color);
        }
    }
}

/// A path of straight pieces.
pub(super) fn through(points: &[P], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 {
            path.move_to(x, y);
        } else {
            path.line_to(x, y);
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// A circular arc from `start` over `sweep` radians (clockwise on the picture), as fine straight pieces.
pub(super) fn arc((x, y): P, r: f32, start: f32, sweep: f32) -> Option<Path> {
    let n = (sweep.abs() * 12.0).ceil().max(4.0) as usize;
    let points: Vec<P> = (0..=n)
        .map(|i| {
            let (s, c) = (start + sweep * i as f32 / n as f32).sin_cos();
            (x + r * c, y + r * s)
        })
        .collect();
    through(&points, (sweep.abs() - TAU).abs() < 1e-4)
}

/// A rectangle with round corners.
pub(super) fn round_rect(x: f32, y: f32, w: f32, h: f32, r: f32) -> Option<Path> {
    let r = r.min(w / 2.0).min(h / 2.0);
    let (right, low) = (x + w, y + h);
    let mut path = PathBuilder::new();
    path.move_to(x + r, y);
    path.line_to(right - r, y);
    path.quad_to(right, y, right, y + r);
    path.line_to(right, low - r);
    path.quad_to(right, low, right - r, low);
    path.line_to(x + r, low);
    path.quad_to(x, low, x, low - r);
    path.line_to(x, y + r);
    path.quad_to(x, y, x + r, y);
    path.close();
    path.finish()
}

/// The point at `t` of a cubic Bézier curve.
pub(super) fn bezier([a, b, c, d]: [P; 4], t: f32) -> P {
    let u = 1.0 - t;
    let (ka, kb, kc, kd) = (u * u * u, 3.0 * u * u * t, 3.0 * u * t * t, t * t * t);
    (ka * a.0 + kb * b.0 + kc * c.0 + kd * d.0, ka * a.1 + kb * b.1 + kc * c.1 + kd * d.1)
}
