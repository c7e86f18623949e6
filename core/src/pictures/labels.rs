//! The picture of a training set's labels: classes, where boxes lie, their shapes and sizes, objects an image.

use anyhow::Result;
use trainer_image::{Bbox, Size};

use super::canvas::{Canvas, Color, GRAY, INK, WHITE};
use super::objects::class_name;
use super::plot::{Axis, Plot, TEXT, TITLE, heading, number};
use super::{colors, text};
use crate::data::stats::LabelStats;

/// So many classes have a bar; beyond, the most frequent.
const MAX_CLASSES: usize = 80;

/// The most cells of a map along each side.
const MAX_CELLS: usize = 50;

/// COCO's borders between small, medium and large: the root of the area in pixels.
const BORDERS: [f64; 2] = [32.0, 96.0];

/// Around everything and between panels, in pixels.
const MARGIN: f32 = 28.0;
const GAP: f32 = 40.0;

/// Room for the picture's title.
const HEADER: f32 = 44.0;

/// Widths of the panel of classes and of the others; the least height of these.
const CLASSES: f32 = 620.0;
const PANEL: f32 = 480.0;

/// A class and its bar.
const ROW: f32 = 18.0;
const MAX_ROW: f32 = 30.0;

const BAR: Color = [33, 113, 181];

/// Draws the labels of a training set whose images are scaled to `imgsz`.
///
/// # Errors
/// None that is known of.
pub fn draw(stats: &LabelStats, names: &[String], imgsz: u32) -> Result<Canvas> {
    let rows = stats.classes.len().min(MAX_CLASSES);
    let height = (2.0 * PANEL + GAP).max(rows as f32 * ROW + 60.0);
    let width = 2.0 * MARGIN + CLASSES + 2.0 * (GAP + PANEL);
    let mut canvas = Canvas::new(Size::new(width as u32, (2.0 * MARGIN + HEADER + height) as u32), WHITE)?;
    let top = MARGIN + HEADER;
    canvas.text(&text::fitted(&title(stats), TITLE + 2.0, width - 2.0 * MARGIN), MARGIN, MARGIN, TITLE + 2.0, INK);

    draw_classes(&mut canvas, Bbox::new(MARGIN, top, MARGIN + CLASSES, top + height), stats, names);
    let panel = |column: f32, row: f32| {
        let high = ((height - GAP) / 2.0).floor();
        let (x, y) = (MARGIN + CLASSES + GAP + column * (PANEL + GAP), top + row * (high + GAP));
        Bbox::new(x, y, x + PANEL, y + high)
    };
    let pairs = |first: usize, second: usize| stats.boxes.iter().map(move |it| [it[first], it[second]]);
    let share = |of: &str| Axis::linear(&format!("{of}, share of the image"), 0.0, 1.0);
    let title = "Centres of boxes";
    draw_map(&mut canvas, panel(0.0, 0.0), title, share("x"), share("y").reversed(), pairs(0, 1));
    let title = "Width and height of boxes";
    draw_map(&mut canvas, panel(1.0, 0.0), title, share("width"), share("height"), pairs(2, 3));
    draw_sizes(&mut canvas, panel(0.0, 1.0), &stats.sides, imgsz);
    draw_counts(&mut canvas, panel(1.0, 1.0), &stats.counts);
    Ok(canvas)
}

fn title(stats: &LabelStats) -> String {
    let LabelStats { classes, crowds, ignored, sides, counts, .. } = stats;
    let mut title =
        format!("training set: {} images, {} objects, {} classes", counts.len(), sides.len(), classes.len());
    for (count, what) in [(crowds, "crowds"), (ignored, "regions to ignore")] {
        if *count > 0 {
            title += &format!("; {count} {what} (not counted below)");
        }
    }
    title
}

/// A bar for each class, the most frequent first.
fn draw_classes(canvas: &mut Canvas, panel: Bbox, stats: &LabelStats, names: &[String]) {
    let mut order: Vec<usize> = (0..stats.classes.len()).collect();
    order.sort_by_key(|&class| std::cmp::Reverse(stats.classes[class]));
    let bare = stats.classes.iter().filter(|count| **count == 0).count();
    let mut note = match order.len() {
        all if all > MAX_CLASSES => format!("the {MAX_CLASSES} most frequent of {all}"),
        _ => "the most frequent first".to_owned(),
    };
    if bare > 0 {
        note += &format!("; {bare} without objects");
    }
    heading(canvas, &panel, "Objects of each class", &note);
    order.truncate(MAX_CLASSES);

    let top = panel.y1 + 54.0;
    let row = ((panel.y2 - top) / order.len().max(1) as f32).min(MAX_ROW).floor();
    let size = TEXT.min(row - 2.0);
    let label = |class: usize| text::fitted(&class_name(names, class as u32), size, panel.width() * 0.4);
    let widest = order.iter().map(|&class| text::width(&label(class), size)).fold(0.0, f32::max);
    let (left, most) = ((panel.x1 + widest + 10.0).ceil(), order.first().map_or(0, |&class| stats.classes[class]));
    let room = panel.x2 - left - text::width(&most.to_string(), size) - 8.0;
    for (index, &class) in order.iter().enumerate() {
        let (y, count) = (top + index as f32 * row, stats.classes[class]);
        let (name, middle) = (label(class), y + (row - size) / 2.0);
        canvas.text(&name, left - 10.0 - text::width(&name, size), middle, size, INK);
        let length = (room * count as f32 / most.max(1) as f32).round().max(f32::from(u8::from(count > 0)));
        canvas.fill(&Bbox::new(left, y + 2.0, left + length, y + row - 2.0), colors::of_class(class as u32), 1.0);
        canvas.text(&count.to_string(), left + length + 6.0, middle, size, GRAY);
    }
}

/// How often pairs of shares fall into each cell of a square.
fn draw_map(canvas: &mut Canvas, panel: Bbox, title: &str, x: Axis, y: Axis, pairs: impl Iterator<Item = [f32; 2]>) {
    let pairs: Vec<_> = pairs.collect();
    let side = ((pairs.len() as f64).sqrt() * 0.7).clamp(10.0, MAX_CELLS as f64) as usize; // few objects, large cells
    let mut cells = vec![0_usize; side * side];
    for [x, y] in pairs {
        let cell = |share: f32| ((share * side as f32) as usize).min(side - 1);
        cells[cell(y) * side + cell(x)] += 1;
    }
    let most = cells.iter().copied().max().unwrap_or(0);
    let mut plot = Plot::new(canvas, panel, title, &format!("darkest: {most}"), x, y);
    for (index, &count) in cells.iter().enumerate().filter(|(_, count)| **count > 0) {
        let (x, y) = (index % side, index / side);
        let [left, right, upper, lower] = [x, x + 1, y, y + 1].map(|edge| edge as f64 / side as f64);
        let density = 0.15 + 0.85 * (count as f64 / most as f64).sqrt(); // so that single boxes are seen
        plot.fill((left, upper), (right, lower), colors::of_density(density));
    }
    plot.finish();
}

/// Sizes on a scale of equal factors, four bars to a doubling.
fn draw_sizes(canvas: &mut Canvas, panel: Bbox, sides: &[f64], imgsz: u32) {
    const TO_A_DOUBLING: f64 = 4.0;
    let last = (f64::from(imgsz.max(128)).log2() * TO_A_DOUBLING).ceil() as usize;
    let edges: Vec<f64> = (0..=last).map(|i| 2_f64.powf(i as f64 / TO_A_DOUBLING)).collect();
    let mut heights = vec![0; last];
    for side in sides {
        let bar = (side.max(1.0).log2() * TO_A_DOUBLING) as usize;
        heights[bar.min(last - 1)] += 1;
    }
    let (high, most) = (edges[last], heights.iter().copied().max().unwrap_or(0));
    let x = Axis::powers_of_two(&format!("root of the area in pixels, at imgsz={imgsz}"), 1.0, high);
    let y = Axis::counts("objects", most + most / 6 + 1); // room for the names above the bars
    let mut plot = Plot::new(canvas, panel, "Sizes of boxes", "dashed: COCO's borders, 32 and 96", x, y);
    plot.bars(&edges, &heights, BAR);
    BORDERS.iter().for_each(|&border| plot.border(border));
    for (low, high, name) in
        [(1.0, BORDERS[0], "small"), (BORDERS[0], BORDERS[1], "medium"), (BORDERS[1], high.max(BORDERS[1]), "large")]
    {
        let is_last = name == "large";
        let count = sides.iter().filter(|&&side| (side >= low || name == "small") && (side < high || is_last)).count();
        let share = 100.0 * count as f64 / sides.len().max(1) as f64;
        plot.name_range(low, high, &[name, &format!("{}%", number(share.round()))]);
    }
    plot.finish();
}

/// Images by their number of objects; many numbers share a bar.
fn draw_counts(canvas: &mut Canvas, panel: Bbox, counts: &[usize]) {
    const MAX_BARS: usize = 50;
    let highest = counts.iter().copied().max().unwrap_or(0);
    let step = (highest + 1).div_ceil(MAX_BARS);
    let mut heights = vec![0; (highest + 1).div_ceil(step)];
    counts.iter().for_each(|count| heights[count / step] += 1);
    let edges: Vec<f64> = (0..=heights.len()).map(|i| (i * step) as f64 - 0.5).collect();
    let bare = counts.iter().filter(|count| **count == 0).count();
    let mean = counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64;
    let note = format!("{mean:.1} objects in the mean, {bare} images without any");
    let x = Axis::linear("objects", -0.5, edges[heights.len()].max(4.5)).whole();
    let most = heights.iter().copied().max().unwrap_or(0);
    let mut plot = Plot::new(canvas, panel, "Objects an image", &note, x, Axis::counts("images", most));
    plot.bars(&edges, &heights, BAR);
    plot.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("name {i}")).collect()
    }

    fn stats(classes: Vec<usize>) -> LabelStats {
        let count = classes.iter().sum::<usize>();
        LabelStats {
            classes,
            sides: vec![20.0; count],
            boxes: vec![[0.25, 0.75, 0.15, 0.35]; count],
            counts: vec![count, 0],
            ..LabelStats::default()
        }
    }

    /// The pixels of a colour within an area.
    fn count(canvas: &Canvas, area: [u32; 4], color: Color) -> usize {
        let [x1, y1, x2, y2] = area;
        (y1..y2).flat_map(|y| (x1..x2).map(move |x| (x, y))).filter(|&(x, y)| canvas.pixel(x, y) == Some(color)).count()
    }

    const CLASSES_AREA: [u32; 4] = [28, 72, 648, 1072];
    const DARKEST: Color = [8, 48, 107];

    #[test]
    fn bars_are_as_long_as_classes_are_frequent() {
        let canvas = draw(&stats(vec![30, 0, 60]), &names(3), 320).unwrap();
        assert_eq!(canvas.size(), Size::new(1716, 1100));
        let of = |class| count(&canvas, CLASSES_AREA, colors::of_class(class));
        assert_eq!(of(1), 0, "a class without objects has no bar");
        let ratio = of(2) as f64 / of(0) as f64;
        assert!(of(0) > 3000 && (1.95..2.05).contains(&ratio), "{} {ratio}", of(0));
        let first = (0..1100).find(|&y| (28..648).any(|x| canvas.pixel(x, y) == Some(colors::of_class(2))));
        let second = (0..1100).find(|&y| (28..648).any(|x| canvas.pixel(x, y) == Some(colors::of_class(0))));
        assert!(first < second, "the most frequent first");
    }

    #[test]
    fn centres_count_from_above_and_heights_from_below() {
        let canvas = draw(&stats(vec![8]), &names(1), 320).unwrap();
        // Panels of 480 at 688 and 1208; their data 424 wide from 56, 380 high from 54.
        let cell = |left: f32, top: f32| {
            let area = [left, top, left + 42.4, top + 38.0].map(|edge| edge as u32);
            count(&canvas, area, DARKEST)
        };
        assert!(cell(688.0 + 56.0 + 424.0 * 0.2, 72.0 + 54.0 + 380.0 * 0.7) > 1400, "x 0.25, y 0.75 down");
        assert!(
            cell(1208.0 + 56.0 + 424.0 * 0.1, 72.0 + 54.0 + 380.0 * (1.0 - 0.4)) > 1400,
            "width 0.15, height 0.35 up"
        );
        assert!(count(&canvas, [688, 72, 1688, 552], DARKEST) < 3500, "nothing else");
        let bars = count(&canvas, [688, 592, 1168, 1072], BAR);
        assert!(bars > 1000, "all objects are in one bar of sizes: {bars}");
        let bars = count(&canvas, [1208, 592, 1688, 1072], BAR);
        assert!(bars > 1000, "two images: {bars}");
    }

    #[test]
    fn odd_sets_are_drawn() {
        let empty = draw(&LabelStats::default(), &[], 640).unwrap();
        assert_eq!(count(&empty, [0, 0, 1716, 1100], BAR), 0);
        let bare = draw(&stats(vec![0; 4]), &names(4), 32).unwrap();
        assert_eq!((0..4).map(|class| count(&bare, CLASSES_AREA, colors::of_class(class))).sum::<usize>(), 0);

        let many = draw(&stats((0..1203).collect()), &names(1203), 640).unwrap();
        assert_eq!(many.size().height, 28 + 44 + 80 * 18 + 60 + 28, "80 rows");
        let area = [28, 72, 648, many.size().height];
        assert!(count(&many, area, colors::of_class(1202)) > 500);
        assert_eq!(count(&many, area, colors::of_class(1100)), 0);

        let mut odd = stats(vec![2]);
        odd.boxes = vec![[f32::NAN, -1.0, 7.0, f32::INFINITY]];
        odd.sides = vec![f64::NAN, 1e12, 0.0];
        odd.counts = vec![1_000_000];
        draw(&odd, &["long ".repeat(40)], 1).unwrap();
    }

    #[test]
    fn the_title_tells_what_is_left_out() {
        let mut all = stats(vec![3, 4]);
        assert_eq!(title(&all), "training set: 2 images, 7 objects, 2 classes");
        (all.crowds, all.ignored) = (5, 1);
        assert_eq!(
            title(&all),
            "training set: 2 images, 7 objects, 2 classes; 5 crowds (not counted below); 1 regions to ignore (not counted \
             below)"
        );
    }
}
