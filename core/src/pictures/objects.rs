//! Objects drawn on a picture: boxes in the colour of their class with its name, outlines thin, crowds dashed, regions
//! to ignore hatched.

use std::collections::BTreeSet;

use trainer_image::{Bbox, Object, Size};

use super::canvas::{Canvas, Color, Pen};
use super::{colors, text};

/// The height of a label's text, in pixels.
const TEXT: f32 = 14.0;

/// Around a label's text, in pixels left and right.
const PADDING: f32 = 3.0;

/// Labels take at most this share of the picture's width.
const MAX_WIDTH: f32 = 0.45;

/// With more objects than this, labels larger than their box are left out.
const MANY: usize = 24;

/// With more objects than this, boxes are drawn thin.
const CROWDED: usize = 60;

/// How much an outline's inside is tinted, 0 to 1.
const TINT: f32 = 0.15;

/// Of regions to ignore.
const IGNORED: Color = [225, 225, 225];

const SHADOW: Color = [0, 0, 0];

/// A name on a filled area.
#[derive(Clone, Debug, PartialEq)]
struct Label {
    area: Bbox,
    text: String,
    color: Color,
}

/// Draws objects whose pixels are `scale` pixels of the canvas each. Labels never leave the canvas and never lie on
/// each other, except that each class is named once; where there is no room, or too much else, the colour alone tells
/// the class.
pub fn draw(canvas: &mut Canvas, objects: &[&Object], scale: f32, names: &[String]) {
    let size = canvas.size();
    let mut objects: Vec<(Bbox, &Object)> =
        objects.iter().map(|&object| (on_canvas(&object.bbox, scale, size), object)).collect();
    objects.sort_by(|(a, _), (b, _)| b.area().total_cmp(&a.area())); // small ones on top
    let width = if objects.len() > CROWDED { 1.0 } else { 2.0 };
    for (area, object) in &objects {
        draw_outline(canvas, object, scale);
        draw_box(canvas, area, object, width);
    }
    for Label { area, text, color } in place_labels(&objects, size, names) {
        canvas.fill(&area, color, 1.0);
        canvas.text(&text, area.x1 + PADDING, area.y1, TEXT, colors::ink_on(color));
    }
}

/// A box in whole pixels of the canvas, at least 3 wide and high.
fn on_canvas(bbox: &Bbox, scale: f32, size: Size) -> Bbox {
    let side = |low: f32, high: f32, end: u32| {
        let end = (end as f32).max(3.0);
        let low = (low * scale).round().max(0.0).min(end - 3.0);
        (low, (high * scale).round().max(low + 3.0).min(end))
    };
    let ((x1, x2), (y1, y2)) = (side(bbox.x1, bbox.x2, size.width), side(bbox.y1, bbox.y2, size.height));
    Bbox::new(x1, y1, x2, y2)
}

fn color(object: &Object) -> Color {
    if object.ignore { IGNORED } else { colors::of_class(object.class) }
}

fn draw_outline(canvas: &mut Canvas, object: &Object, scale: f32) {
    let points: Vec<_> = object.polygon.iter().map(|point| point.map(|value| value * scale)).collect();
    if points.len() > 2 {
        canvas.fill_outline(&points, color(object), TINT);
        canvas.outline(&points, Pen { opacity: 0.9, ..Pen::new(color(object), 1.0) });
    }
}

fn draw_box(canvas: &mut Canvas, area: &Bbox, object: &Object, width: f32) {
    let dash = if object.crowd || object.ignore { 8.0 } else { 0.0 };
    if object.ignore {
        hatch(canvas, area);
    }
    if width > 1.0 {
        let around = Bbox::new(area.x1 - 1.0, area.y1 - 1.0, area.x2 + 1.0, area.y2 + 1.0);
        canvas.frame(&around, Pen { opacity: 0.5, ..Pen::new(SHADOW, 1.0) });
    }
    canvas.frame(area, Pen { dash, ..Pen::new(color(object), width) });
}

/// Slanted lines over an area.
fn hatch(canvas: &mut Canvas, area: &Bbox) {
    const STEP: f32 = 9.0;
    let (width, height) = (area.width(), area.height());
    canvas.fill(area, SHADOW, 0.25);
    for i in 1..((width + height) / STEP) as u32 + 1 {
        let at = i as f32 * STEP; // from the upper edge, or beyond it from the right one, to the left or lower one
        let upper = [area.x1 + at.min(width), area.y1 + (at - width).max(0.0)];
        let lower = [area.x1 + (at - height).max(0.0), area.y1 + at.min(height)];
        canvas.line(&[upper, lower], Pen { opacity: 0.6, ..Pen::new(IGNORED, 1.0) });
    }
}

/// Finds places for the names of objects, the first ones first.
fn place_labels(objects: &[(Bbox, &Object)], size: Size, names: &[String]) -> Vec<Label> {
    let mut labels: Vec<Label> = Vec::new();
    let mut named = BTreeSet::new();
    for (area, object) in objects {
        let text = text::fitted(&name(object, names), TEXT, size.width as f32 * MAX_WIDTH - 2.0 * PADDING);
        let width = (text::width(&text, TEXT) + 2.0 * PADDING).ceil();
        if text.is_empty() || width > size.width as f32 || TEXT > size.height as f32 {
            continue;
        }
        let overlap = |place: &Bbox| labels.iter().map(|label| label.area.within(place).area()).sum::<f32>();
        let places = places(area, width, size).map(|place| (overlap(&place), place));
        let Some((overlap, place)) = places.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
        let is_small = objects.len() > MANY && area.area() < place.area();
        if named.insert((object.class, object.ignore)) || overlap == 0.0 && !is_small {
            labels.push(Label { area: place, text, color: color(object) });
        }
    }
    labels
}

/// Where the label of a box may stand, the better places first, all within the canvas.
fn places(area: &Bbox, width: f32, size: Size) -> [Bbox; 6] {
    let &Bbox { x1, y1, x2, y2 } = area;
    let corners = [(x1, y1 - TEXT), (x2 - width, y1 - TEXT), (x1, y2), (x2 - width, y2), (x1, y1), (x1, y2 - TEXT)];
    corners.map(|(x, y)| {
        let x = x.min(size.width as f32 - width).max(0.0);
        let y = y.min(size.height as f32 - TEXT).max(0.0);
        Bbox::new(x, y, x + width, y + TEXT)
    })
}

/// What stands on an object's label; a number for a name that the font does not have.
fn name(object: &Object, names: &[String]) -> String {
    let name = if object.ignore { "ignored".to_owned() } else { class_name(names, object.class) };
    if object.crowd { name + " (crowd)" } else { name }
}

/// The name of a class, or its number where the font does not have the name.
#[must_use]
pub fn class_name(names: &[String], class: u32) -> String {
    let name = names.get(class as usize).filter(|name| text::is_shown(name) && !name.trim().is_empty());
    name.map_or_else(|| format!("class {class}"), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pictures::canvas::WHITE;

    const SIZE: Size = Size::square(200);

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn drawn(objects: &[Object], scale: f32, names: &[String]) -> Canvas {
        let mut canvas = Canvas::new(SIZE, WHITE).unwrap();
        draw(&mut canvas, &objects.iter().collect::<Vec<_>>(), scale, names);
        canvas
    }

    #[test]
    fn boxes_stand_where_they_are() {
        let objects =
            [Object::new(1, Bbox::new(20.0, 25.0, 60.0, 75.0)), Object::new(0, Bbox::new(80.0, 5.0, 99.0, 99.0))];
        let canvas = drawn(&objects, 2.0, &names(&["cat", "dog"]));
        let (cat, dog) = (Some(colors::of_class(0)), Some(colors::of_class(1)));
        for (x, y) in [(40, 100), (41, 149), (119, 100), (118, 60), (100, 50), (80, 149), (100, 51)] {
            assert_eq!(canvas.pixel(x, y), dog, "{x} {y}");
        }
        [(160, 100), (197, 100), (190, 197)].iter().for_each(|&(x, y)| assert_eq!(canvas.pixel(x, y), cat, "{x} {y}"));
        for (x, y) in [(42, 100), (117, 100), (38, 100), (121, 100), (80, 152), (80, 147), (10, 10), (180, 100)] {
            assert_eq!(canvas.pixel(x, y), Some(WHITE), "{x} {y}");
        }
        assert_eq!(canvas.pixel(42, 37), dog, "the label's ground, above the box");
    }

    #[test]
    fn outlines_are_drawn_and_filled_thinly() {
        let mut object = Object::new(0, Bbox::new(20.0, 20.0, 180.0, 180.0));
        object.polygon = vec![[100.0, 20.0], [180.0, 100.0], [100.0, 180.0], [20.0, 100.0]];
        let canvas = drawn(&[object], 1.0, &names(&["cat"]));
        let [r, g, b] = colors::of_class(0).map(f32::from);
        let tint = [r, g, b].map(|value| value * TINT + 255.0 * (1.0 - TINT));
        let near =
            |x, y| canvas.pixel(x, y).unwrap().iter().zip(tint).all(|(&got, tint)| (f32::from(got) - tint).abs() < 3.0);
        assert!(near(100, 100) && near(60, 120), "{:?}", canvas.pixel(100, 100));
        assert_eq!(canvas.pixel(40, 40), Some(WHITE), "within the box, outside the outline");
        assert!(!near(59, 60) && canvas.pixel(59, 60) != Some(WHITE), "on the outline");
    }

    #[test]
    fn crowds_are_dashed_and_ignored_regions_hatched() {
        let area = Bbox::new(20.0, 40.0, 180.0, 160.0);
        let (mut crowd, mut ignored) = (Object::new(0, area), Object::new(0, area));
        (crowd.crowd, ignored.ignore) = (true, true);
        let edge = |canvas: &Canvas| (50..150).filter(|&y| canvas.pixel(20, y) == Some(colors::of_class(0))).count();
        let names = names(&["cat"]);
        let (plain, dashed) = (drawn(&[Object::new(0, area)], 1.0, &names), drawn(&[crowd], 1.0, &names));
        assert_eq!(edge(&plain), 100);
        assert!((55..75).contains(&edge(&dashed)), "{}", edge(&dashed));
        let hatched = drawn(&[ignored], 1.0, &names);
        assert_eq!(edge(&hatched), 0, "no colour of a class");
        let line = (30..170).filter(|&x| hatched.pixel(x, 100).unwrap()[0] > 195).count();
        assert!((10..60).contains(&line), "about 15 lines cross a row: {line}");
        assert_eq!(dashed.pixel(100, 100), Some(WHITE));
    }

    #[test]
    fn labels_stay_inside_and_apart() {
        let names = names(&["person", &"long name ".repeat(20), "人", ""]);
        let corners = [(0.0, 0.0), (190.0, 0.0), (0.0, 190.0), (190.0, 190.0), (90.0, 90.0), (92.0, 90.0)];
        let objects: Vec<_> = (0..24)
            .map(|i| {
                let (x, y) = corners[i % 6];
                Object::new(i as u32 % 4, Bbox::new(x, y, x + 10.0 + i as f32, y + 10.0))
            })
            .collect();
        let placed: Vec<_> = objects.iter().map(|object| (object.bbox, object)).collect();
        let labels = place_labels(&placed, SIZE, &names);
        assert!((5..20).contains(&labels.len()), "{}", labels.len());
        for (i, Label { area, text, .. }) in labels.iter().enumerate() {
            assert!(area.x1 >= 0.0 && area.y1 >= 0.0 && area.x2 <= 200.0 && area.y2 <= 200.0, "{area:?}");
            assert!(text::width(text, TEXT) + 2.0 * PADDING <= area.width() && area.width() <= 90.0, "{text}");
            let first = labels.iter().position(|label| label.text == *text) == Some(i);
            let lies_on = |other: &Label| other.area.within(area).area() > 0.0;
            assert!(first || !labels[..i].iter().any(lies_on), "{text} lies on another");
        }
        let texts: BTreeSet<_> = labels.iter().map(|label| label.text.as_str()).collect();
        assert_eq!(texts.iter().filter(|text| text.starts_with("class ")).count(), 2, "{texts:?}");
        assert!(texts.iter().any(|text| text.starts_with("long name") && text.ends_with('…')), "{texts:?}");
    }

    #[test]
    fn small_boxes_among_many_keep_one_label_a_class() {
        let small = |i: u32| Object::new(i % 3, Bbox::new(0.0, i as f32 * 30.0, 12.0, i as f32 * 30.0 + 12.0));
        let count = |objects: u32| {
            let objects: Vec<_> = (0..objects).map(small).collect();
            let placed: Vec<_> = objects.iter().map(|object| (object.bbox, object)).collect();
            place_labels(&placed, Size::new(200, 2000), &names(&["cat", "dog", "cow"])).len()
        };
        assert_eq!([count(24), count(25), count(60)], [24, 3, 3]);
    }

    #[test]
    fn ten_thousand_boxes_and_odd_ones_are_drawn() {
        let many: Vec<_> = (0..10_000)
            .map(|i| {
                let (x, y) = ((i * 37 % 190) as f32, (i * 91 % 190) as f32);
                Object::new(i % 80, Bbox::new(x, y, x + 9.0, y + 7.0))
            })
            .collect();
        let names: Vec<_> = (0..80).map(|i| format!("name {i}")).collect();
        let colored = |canvas: &Canvas| (0..200).filter(|&x| canvas.pixel(x, 100) != Some(WHITE)).count();
        assert!(colored(&drawn(&many, 1.0, &names)) > 150);
        let boxes = [
            Bbox::new(f32::NAN, f32::NAN, f32::NAN, f32::NAN),
            Bbox::new(f32::NEG_INFINITY, 0.0, f32::INFINITY, 1e30),
            Bbox::new(50.0, 50.0, 50.0, 50.0),
            Bbox::new(150.0, 50.0, 140.0, 40.0),
        ];
        let odd: Vec<_> = boxes.iter().map(|&bbox| Object::new(u32::MAX, bbox)).collect();
        assert!(colored(&drawn(&odd, 1.0, &[])) > 0);
        let mut pixel = Canvas::new(Size::square(1), WHITE).unwrap();
        draw(&mut pixel, &[&Object::new(0, Bbox::new(0.0, 0.0, 1.0, 1.0))], 1.0, &names);
        assert_ne!(pixel.pixel(0, 0), Some(WHITE));
    }
}
