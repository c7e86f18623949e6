//! One demo picture: a textured background with shapes drawn on it, from a seeded generator.

use std::f32::consts::TAU;

use image::{Rgb, RgbImage};
use trainer_sdk::Rng;

pub const WIDTH: usize = 320;
pub const HEIGHT: usize = 240;

/// The classes.
pub const SHAPES: [&str; 4] = ["circle", "square", "triangle", "star"];

/// The middle of each class's range of hues, in degrees: as with fruit, the colour helps to tell what it is.
const HUES: [f32; 4] = [10.0, 220.0, 120.0, 305.0];

/// How far a shape's hue may lie from that, in degrees.
const HUE_RANGE: f32 = 28.0;

/// Lines a pixel row is divided into for smooth edges.
const SUBROWS: usize = 4;

/// Distance to the image's border, in pixels.
const MARGIN: f32 = 2.0;

/// A shape's box may share this much of the smaller of two boxes.
const MAX_OVERLAP: f32 = 0.25;

type Color = [f32; 3];

/// A picture and what is on it, in drawing order.
pub struct Drawing {
    pub image: RgbImage,
    pub shapes: Vec<Shape>,
}

/// A drawn shape; the outline is in pixels.
pub struct Shape {
    pub class: usize,
    pub outline: Vec<[f32; 2]>,
}

impl Drawing {
    /// Draws 1 to 6 shapes on a background.
    pub fn new(rng: &mut Rng) -> Self {
        let background = Background::new(rng);
        let mut canvas = background.draw();
        let mut shapes: Vec<Shape> = Vec::new();
        let wanted = 1 + rng.below(6);
        for _ in 0..wanted * 8 {
            let shape = Shape::new(rng);
            if shapes.len() < wanted
                && shapes.iter().all(|other| overlap(&shape.bounds(), &other.bounds()) < MAX_OVERLAP)
            {
                shape.draw(&mut canvas, background.contrast(HUES[shape.class], rng), rng);
                shapes.push(shape);
            }
        }
        let noise = uniform(rng, 2.0, 14.0);
        for value in canvas.iter_mut().flatten() {
            *value += uniform(rng, -noise, noise);
        }
        let pixel = |x: u32, y: u32| Rgb(canvas[y as usize * WIDTH + x as usize].map(|value| value.round() as u8));
        Self { image: RgbImage::from_fn(WIDTH as u32, HEIGHT as u32, pixel), shapes }
    }
}

fn uniform(rng: &mut Rng, low: f32, high: f32) -> f32 {
    rng.uniform(f64::from(low), f64::from(high)) as f32
}

fn mix(a: Color, b: Color, part: f32) -> Color {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * part)
}

/// A texture between two colours.
struct Background {
    colors: [Color; 2],
    texture: Texture,
}

/// How the two colours alternate. Lengths in pixels.
enum Texture {
    /// Along a direction, once over the whole picture.
    Gradient { direction: [f32; 2] },
    /// Along a direction, again and again.
    Stripes { direction: [f32; 2], period: f32 },
    /// Squares with soft edges.
    Checks { direction: [f32; 2], period: f32 },
    /// Clouds: random values on a grid of cells of the given side, and finer ones.
    Clouds { values: Vec<f32>, cell: f32 },
}

/// Random values a side of the clouds' grid; it repeats after them.
const GRID: usize = 16;

impl Background {
    fn new(rng: &mut Rng) -> Self {
        let grey = uniform(rng, 50.0, 205.0);
        let mut color = || [0; 3].map(|_| (grey + uniform(rng, -35.0, 35.0)).clamp(0.0, 255.0));
        let colors = [color(), color()];
        let angle = uniform(rng, 0.0, TAU);
        let direction = [angle.cos(), angle.sin()];
        let texture = match rng.below(4) {
            0 => Texture::Gradient { direction },
            1 => Texture::Stripes { direction, period: uniform(rng, 8.0, 40.0) },
            2 => Texture::Checks { direction, period: uniform(rng, 16.0, 60.0) },
            _ => Texture::Clouds {
                values: (0..GRID * GRID).map(|_| uniform(rng, 0.0, 1.0)).collect(),
                cell: uniform(rng, 24.0, 64.0),
            },
        };
        Self { colors, texture }
    }

    fn draw(&self) -> Vec<Color> {
        let pixel = |i: usize| {
            let part = self.texture.at([(i % WIDTH) as f32, (i / WIDTH) as f32]);
            mix(self.colors[0], self.colors[1], part)
        };
        (0..WIDTH * HEIGHT).map(pixel).collect()
    }

    /// Of a few random colours around `hue` the one that stands out most.
    fn contrast(&self, hue: f32, rng: &mut Rng) -> Color {
        let distance = |a: &Color, b: &Color| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
        let clearness = |color: &Color| distance(color, &self.colors[0]).min(distance(color, &self.colors[1]));
        let mut color = || {
            let hue = hue + uniform(rng, -HUE_RANGE, HUE_RANGE);
            from_hsv(hue, uniform(rng, 0.55, 1.0), uniform(rng, 0.5, 1.0))
        };
        let colors = [color(), color(), color()];
        colors.into_iter().max_by(|a, b| clearness(a).total_cmp(&clearness(b))).unwrap_or_default()
    }
}

/// Hue in degrees, from -360 on; saturation and value from 0 to 1.
fn from_hsv(hue: f32, saturation: f32, value: f32) -> Color {
    [5.0, 3.0, 1.0].map(|n| {
        let k = (n + (hue + 360.0) / 60.0) % 6.0;
        255.0 * value * (1.0 - saturation * k.min(4.0 - k).clamp(0.0, 1.0))
    })
}

impl Texture {
    /// The share of the second colour, 0 to 1, at a point.
    fn at(&self, [x, y]: [f32; 2]) -> f32 {
        let turn = |[cos, sin]: &[f32; 2]| [x * cos + y * sin, y * cos - x * sin];
        let wave = |along: f32, period: f32| (along / period * TAU).sin();
        match self {
            Self::Gradient { direction: [cos, sin] } => {
                let from_centre = (x - WIDTH as f32 / 2.0) * cos + (y - HEIGHT as f32 / 2.0) * sin;
                (0.5 + from_centre / (WIDTH + HEIGHT) as f32 * 2.0).clamp(0.0, 1.0)
            }
            Self::Stripes { direction, period } => 0.5 + 0.5 * wave(turn(direction)[0], *period),
            Self::Checks { direction, period } => {
                let [u, v] = turn(direction);
                0.5 + 0.5 * (4.0 * wave(u, *period) * wave(v, *period)).clamp(-1.0, 1.0)
            }
            Self::Clouds { values, cell } => {
                let coarse = cloud(values, [x / cell, y / cell]);
                let fine = cloud(values, [x / cell * 3.1 + 5.0, y / cell * 3.1]);
                0.7 * coarse + 0.3 * fine
            }
        }
    }
}

/// The grid's value at a point in cells, smooth between the grid's corners.
fn cloud(values: &[f32], [x, y]: [f32; 2]) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (smooth(x - left), smooth(y - top));
    let corner = |dx: usize, dy: usize| values[(top as usize + dy) % GRID * GRID + (left as usize + dx) % GRID];
    let upper = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * u;
    let lower = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * u;
    upper + (lower - upper) * v
}

impl Shape {
    /// A shape of random class, size, turn and place, wholly in the picture.
    fn new(rng: &mut Rng) -> Self {
        let class = rng.below(SHAPES.len());
        let (turn, aspect) = (uniform(rng, 0.0, TAU), uniform(rng, 0.92, 1.09));
        // sizes from 32 to 104 px, more small ones than large ones
        let radius = uniform(rng, 16f32.sqrt(), 52f32.sqrt()).powi(2);
        let outline: Vec<[f32; 2]> = unit_outline(class)
            .into_iter()
            .map(|[x, y]| [x * radius * aspect, y * radius / aspect])
            .map(|[x, y]| [x * turn.cos() - y * turn.sin(), x * turn.sin() + y * turn.cos()])
            .collect();
        let [x1, y1, x2, y2] = bounds(&outline);
        let dx = uniform(rng, MARGIN - x1, WIDTH as f32 - MARGIN - x2);
        let dy = uniform(rng, MARGIN - y1, HEIGHT as f32 - MARGIN - y2);
        Self { class, outline: outline.into_iter().map(|[x, y]| [x + dx, y + dy]).collect() }
    }

    fn bounds(&self) -> [f32; 4] {
        bounds(&self.outline)
    }

    /// Fills it, lighter on one side than on the other, and draws a rim in a darker tone.
    fn draw(&self, canvas: &mut [Color], color: Color, rng: &mut Rng) {
        let shade = uniform(rng, 0.0, 0.35);
        let rim = color.map(|value| value * uniform(rng, 0.35, 1.0));
        let [x1, y1, x2, y2] = self.bounds();
        let (centre, inner) = ([(x1 + x2) / 2.0, (y1 + y2) / 2.0], uniform(rng, 0.84, 1.0));
        let inside: Vec<[f32; 2]> =
            self.outline.iter().map(|p| [0, 1].map(|i| centre[i] + (p[i] - centre[i]) * inner)).collect();
        fill(canvas, &self.outline, |_| rim);
        fill(canvas, &inside, |y| color.map(|value| value * (1.0 - shade * (y - y1) / (y2 - y1))));
    }
}

/// The outline of a class with circumradius 1 around the origin.
fn unit_outline(class: usize) -> Vec<[f32; 2]> {
    let corners = |count: usize, radius: fn(usize) -> f32| -> Vec<[f32; 2]> {
        let at = |i: usize| (i as f32 / count as f32 * TAU, radius(i));
        (0..count).map(at).map(|(angle, radius)| [radius * angle.cos(), radius * angle.sin()]).collect()
    };
    match class {
        0 => corners(32, |_| 1.0),
        1 => corners(4, |_| 1.0),
        2 => corners(3, |_| 1.0),
        _ => corners(10, |i| if i % 2 == 0 { 1.0 } else { 0.45 }),
    }
}

/// Left, top, right, bottom.
fn bounds(outline: &[[f32; 2]]) -> [f32; 4] {
    let around = |[x1, y1, x2, y2]: [f32; 4], &[x, y]: &[f32; 2]| [x1.min(x), y1.min(y), x2.max(x), y2.max(y)];
    outline.iter().fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], around)
}

/// The common part of two boxes, as a share of the smaller.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[x1, y1, x2, y2]: &[f32; 4]| (x2 - x1).max(0.0) * (y2 - y1).max(0.0);
    let inner = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
    area(&inner) / area(a).min(area(b))
}

/// Fills a polygon with smooth edges; `color` may change from row to row.
fn fill(canvas: &mut [Color], outline: &[[f32; 2]], color: impl Fn(f32) -> Color) {
    let [_, top, _, bottom] = bounds(outline);
    let rows = canvas.chunks_exact_mut(WIDTH).enumerate().take(bottom.ceil().max(0.0) as usize);
    for (y, row) in rows.skip(top.max(0.0) as usize) {
        let color = color(y as f32);
        for (pixel, part) in row.iter_mut().zip(coverage(outline, y)) {
            *pixel = mix(*pixel, color, part);
        }
    }
}

/// How much of each pixel of row `y` lies inside the polygon (even-odd), 0 to 1.
fn coverage(outline: &[[f32; 2]], y: usize) -> [f32; WIDTH] {
    let mut covered = [0.0; WIDTH];
    for sub in 0..SUBROWS {
        let line = y as f32 + (sub as f32 + 0.5) / SUBROWS as f32;
        let edges = outline.iter().zip(outline.iter().cycle().skip(1));
        let mut crossings: Vec<f32> = edges
            .filter(|(a, b)| (a[1] <= line) != (b[1] <= line))
            .map(|(a, b)| a[0] + (b[0] - a[0]) * (line - a[1]) / (b[1] - a[1]))
            .collect();
        crossings.sort_by(f32::total_cmp);
        for span in crossings.chunks_exact(2) {
            let (left, right) = (span[0].max(0.0), span[1].min(WIDTH as f32));
            for (x, part) in covered.iter_mut().enumerate().take(right.ceil() as usize).skip(left as usize) {
                let inside = right.min((x + 1) as f32) - left.max(x as f32);
                *part += inside / SUBROWS as f32;
            }
        }
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hues_are_colours() {
        assert_eq!(from_hsv(0.0, 1.0, 1.0), [255.0, 0.0, 0.0]);
        assert_eq!(from_hsv(120.0, 1.0, 1.0), [0.0, 255.0, 0.0]);
        assert_eq!(from_hsv(-120.0, 0.5, 1.0), [127.5, 127.5, 255.0]);
    }

    #[test]
    fn coverage_is_the_area_inside() {
        let square = [[1.5, 0.25], [4.0, 0.25], [4.0, 2.0], [1.5, 2.0]];
        assert_eq!(coverage(&square, 0)[..5], [0.0, 0.375, 0.75, 0.75, 0.0]);
        assert_eq!(coverage(&square, 1)[..5], [0.0, 0.5, 1.0, 1.0, 0.0]);
        let outline: Vec<[f32; 2]> = unit_outline(0).iter().map(|[x, y]| [50.0 + 40.0 * x, 50.0 + 40.0 * y]).collect();
        let area: f32 = (0..100).map(|y| coverage(&outline, y).iter().sum::<f32>()).sum();
        let exact = 16.0 * (TAU / 32.0).sin() * 1600.0; // of a regular polygon of 32 corners
        assert!((area / exact - 1.0).abs() < 1e-3, "{area} {exact}");
    }
}
