//! Plots: a panel of a canvas with a title, two axes and what is drawn between them.

use trainer_image::Bbox;

use super::canvas::{Canvas, Color, GRAY, INK, Pen};
use super::text;

/// Of titles, and of all other text, in pixels.
pub const TITLE: f32 = 19.0;
pub const TEXT: f32 = 15.0;

/// Lines behind the data.
const GRID: Color = [229, 231, 235];

/// Room for the text at the left of the data and below it.
const LEFT: f32 = 56.0;
const BELOW: f32 = 46.0;

/// Room for the title and the line below it.
const ABOVE: f32 = 54.0;

/// The numbers along one side.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What the numbers are.
    pub name: String,
    /// The values at its ends.
    low: f64,
    high: f64,
    /// Whether equal distances are equal factors.
    is_log: bool,
    ticks: Vec<f64>,
}

impl Axis {
    /// Equal steps from `low` to `high`, with about five ticks at 1, 2 or 5 times a power of ten.
    #[must_use]
    pub fn linear(name: &str, low: f64, high: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        let rough = (high - low) / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(power);
        let first = (low / step).ceil() as i64;
        let ticks = (first..first + 12).map(|i| i as f64 * step).take_while(|tick| *tick <= high + step * 1e-9);
        Self { name: name.to_owned(), low, high, is_log: false, ticks: ticks.collect() }
    }

    /// Counts from 0 up to at least `most`, with ticks at whole numbers.
    #[must_use]
    pub fn counts(name: &str, most: usize) -> Self {
        Self::linear(name, 0.0, most.max(1) as f64).whole()
    }

    /// Without the ticks that are not whole numbers.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.ticks.retain(|tick| tick.fract() == 0.0);
        self
    }

    /// The other way round: from the high end to the low one.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        (self.low, self.high) = (self.high, self.low);
        self
    }

    /// Equal factors from `low` to `high`, both above 0, with a tick at each power of two.
    #[must_use]
    pub fn powers_of_two(name: &str, low: f64, high: f64) -> Self {
        let ticks = (0..40).map(|i| 2_f64.powi(i)).filter(|tick| (low..=high).contains(tick)).collect();
        Self { name: name.to_owned(), low, high, is_log: true, ticks }
    }

    /// Where a value stands: 0 at the low end, 1 at the high one.
    #[must_use]
    pub fn at(&self, value: f64) -> f32 {
        let scaled = |value: f64| if self.is_log { value.log2() } else { value };
        let (low, high) = (scaled(self.low), scaled(self.high));
        ((scaled(value) - low) / (high - low)) as f32
    }
}

/// A number for people: 950, 12k, 3.5M, 0.25.
#[must_use]
pub fn number(value: f64) -> String {
    let short = |value: f64| {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        size if size >= 1e6 => short(value / 1e6) + "M",
        size if size >= 1e4 => short(value / 1e3) + "k",
        _ => short(value),
    }
}

/// Between the axes of a panel.
pub struct Plot<'a> {
    canvas: &'a mut Canvas,
    x: Axis,
    y: Axis,
    /// Where the data is drawn.
    data: Bbox,
}

impl<'a> Plot<'a> {
    /// Draws title and axes into a panel of a canvas. Below the title stand the name of the vertical axis, with an arrow
    /// along it, and `note`.
    pub fn new(canvas: &'a mut Canvas, panel: Bbox, title: &str, note: &str, x: Axis, y: Axis) -> Self {
        let arrow = if y.low > y.high { '↓' } else { '↑' };
        heading(canvas, &panel, title, &format!("{arrow} {}{}{note}", y.name, if note.is_empty() { "" } else { "; " }));
        let data = Bbox::new(panel.x1 + LEFT, panel.y1 + ABOVE, panel.x2, panel.y2 - BELOW);
        let mut plot = Self { canvas, x, y, data };
        plot.draw_ticks();
        plot
    }

    fn draw_ticks(&mut self) {
        let Self { canvas, x, y, data } = self;
        for &tick in &x.ticks {
            let (at, label) = (data.x1 + (data.width() * x.at(tick)).round(), number(tick));
            canvas.line(&[[at + 0.5, data.y1], [at + 0.5, data.y2]], Pen::new(GRID, 1.0));
            let half = text::width(&label, TEXT) / 2.0;
            canvas.text(&label, (at - half).min(data.x2 - 2.0 * half), data.y2 + 5.0, TEXT, GRAY);
        }
        for &tick in &y.ticks {
            let (at, label) = (data.y2 - (data.height() * y.at(tick)).round(), number(tick));
            canvas.line(&[[data.x1, at + 0.5], [data.x2, at + 0.5]], Pen::new(GRID, 1.0));
            canvas.text(&label, data.x1 - 7.0 - text::width(&label, TEXT), at - TEXT / 2.0, TEXT, GRAY);
        }
        let half = text::width(&x.name, TEXT) / 2.0;
        canvas.text(&x.name, (data.x1 + data.x2) / 2.0 - half, data.y2 + 5.0 + TEXT + 4.0, TEXT, INK);
    }

    /// The place of a pair of values on the canvas, in whole pixels.
    fn place(&self, x: f64, y: f64) -> [f32; 2] {
        let Self { x: x_axis, y: y_axis, data, .. } = self;
        let (x, y) = (data.x1 + data.width() * x_axis.at(x), data.y2 - data.height() * y_axis.at(y));
        [x.round().clamp(data.x1, data.x2), y.round().clamp(data.y1, data.y2)]
    }

    /// Fills the area between two pairs of values.
    pub fn fill(&mut self, from: (f64, f64), to: (f64, f64), color: Color) {
        let (a, b) = (self.place(from.0, from.1), self.place(to.0, to.1));
        let area = Bbox::new(a[0].min(b[0]), a[1].min(b[1]), a[0].max(b[0]), a[1].max(b[1]));
        self.canvas.fill(&area, color, 1.0);
    }

    /// Bars of the given heights, the one of number i from `edges[i]` to `edges[i + 1]`.
    pub fn bars(&mut self, edges: &[f64], heights: &[usize], color: Color) {
        for (edges, &height) in edges.windows(2).zip(heights).filter(|(_, height)| **height > 0) {
            let ([left, bottom], [right, top]) = (self.place(edges[0], 0.0), self.place(edges[1], height as f64));
            let gap = if right - left > 3.0 { 1.0 } else { 0.0 };
            self.canvas.fill(&Bbox::new(left, top.min(bottom - 1.0), right - gap, bottom), color, 1.0);
        }
    }

    /// A dashed line upwards at `x`.
    pub fn border(&mut self, x: f64) {
        let ([x, bottom], [_, top]) = (self.place(x, self.y.low), self.place(x, self.y.high));
        self.canvas.line(&[[x + 0.5, bottom], [x + 0.5, top]], Pen { dash: 6.0, ..Pen::new(INK, 1.0) });
    }

    /// Lines of text in the middle between two values of x, at the upper end, as far as there is room.
    pub fn name_range(&mut self, from: f64, to: f64, lines: &[&str]) {
        let ([left, mut top], [right, _]) = (self.place(from, self.y.high), self.place(to, self.y.high));
        for line in lines {
            let width = text::width(line, TEXT);
            if width < right - left {
                self.canvas.text(line, (left + right - width) / 2.0, top + 2.0, TEXT, INK);
            }
            top += TEXT + 2.0;
        }
    }

    /// Closes the data in.
    pub fn finish(self) {
        let Bbox { x1, y1, x2, y2 } = self.data;
        let axes = [[x1 - 0.5, y1], [x1 - 0.5, y2 + 0.5], [x2, y2 + 0.5]];
        self.canvas.line(&axes, Pen::new(GRAY, 1.0));
    }
}

/// The title of a panel, and a line below it.
pub fn heading(canvas: &mut Canvas, panel: &Bbox, title: &str, note: &str) {
    let fitted = |line: &str, size: f32| text::fitted(line, size, panel.width());
    canvas.text(&fitted(title, TITLE), panel.x1, panel.y1, TITLE, INK);
    canvas.text(&fitted(note, TEXT), panel.x1, panel.y1 + TITLE + 6.0, TEXT, GRAY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::canvas::WHITE;
    use trainer_image::Size;

    #[test]
    fn ticks_are_round_numbers() {
        let ticks = |axis: Axis| axis.ticks.iter().map(|tick| number(*tick)).collect::<Vec<_>>().join(" ");
        assert_eq!(ticks(Axis::linear("", 0.0, 1.0)), "0 0.2 0.4 0.6 0.8 1");
        assert_eq!(ticks(Axis::linear("", 0.0, 262.0)), "0 100 200");
        assert_eq!(ticks(Axis::linear("", 0.0, 93_000.0)), "0 20k 40k 60k 80k");
        assert_eq!(ticks(Axis::linear("", 5.0, 5.0)), "5 5.2 5.4 5.6 5.8 6");
        assert_eq!(ticks(Axis::counts("", 3)), "0 1 2 3");
        assert_eq!(ticks(Axis::counts("", 0)), "0 1");
        assert_eq!(ticks(Axis::powers_of_two("", 3.0, 100.0)), "4 8 16 32 64");
        assert_eq!(["0.05", "1.5M"], [number(0.05), number(1_500_000.0)].each_ref().map(String::as_str));
        assert_eq!(Axis::powers_of_two("", 2.0, 32.0).at(8.0), 0.5);
        assert_eq!(Axis::linear("", 10.0, 20.0).at(12.5), 0.25);
    }

    #[test]
    fn bars_reach_their_height() {
        let mut canvas = Canvas::new(Size::square(300), WHITE).unwrap();
        let panel = Bbox::new(10.0, 10.0, 266.0, 210.0); // data from 66 to 266 and from 64 to 164
        let mut plot =
            Plot::new(&mut canvas, panel, "title", "note", Axis::linear("x", 0.0, 4.0), Axis::counts("y", 10));
        let blue = [0, 0, 255];
        plot.bars(&[0.0, 1.0, 2.0, 3.0, 4.0], &[10, 5, 0, 1000], blue);
        plot.fill((2.0, 0.0), (3.0, 2.0), [255, 0, 0]);
        plot.finish();
        let is_blue = |x, y| canvas.pixel(x, y) == Some(blue);
        assert!(is_blue(70, 66) && is_blue(120, 116) && is_blue(120, 160) && is_blue(220, 64));
        assert!(!is_blue(120, 112) && !is_blue(170, 160) && !is_blue(220, 62) && !is_blue(70, 168));
        assert_eq!((canvas.pixel(170, 150), canvas.pixel(170, 140)), (Some([255, 0, 0]), Some(WHITE)));
        assert_eq!(canvas.pixel(280, 100), Some(WHITE));
    }
}
