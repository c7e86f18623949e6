//! YOLO label files: one object a row, `class cx cy w h` or `class x1 y1 x2 y2 x3 y3 …`, in fractions of the image.
//!
//! A row that cannot be meant is a problem that names file and line; no row is ever dropped in silence.

use std::path::{Component, Path, PathBuf};

use trainer_image::{Bbox, Object, Size};

use super::place::Placed;
use super::text::{self, number, short};
use super::{LabelFile, Labels, label_file};

/// How far a coordinate may lie outside 0 to 1: rounding in labelling tools.
const TOLERANCE: f32 = 0.01;

/// Where the labels of `image` are: its last folder `images` replaced by `labels`, its suffix by `txt`.
pub fn label_path(image: &Path) -> PathBuf {
    swap_folder(image, "images", "labels", "txt")
}

/// The path of `image` with its last folder `from` replaced by `to`, and another suffix.
pub(super) fn swap_folder(image: &Path, from: &str, to: &str, suffix: &str) -> PathBuf {
    let parts: Vec<Component> = image.components().collect();
    let folders = &parts[..parts.len().saturating_sub(1)];
    let found = folders.iter().rposition(|part| part.as_os_str() == from);
    let replaced = parts.iter().enumerate().map(|(i, part)| match part {
        _ if Some(i) == found => to.as_ref(),
        part => part.as_os_str(),
    });
    replaced.collect::<PathBuf>().with_extension(suffix)
}

/// The label files of a data set with so many classes.
pub(super) struct Yolo {
    pub num_classes: usize,
}

impl Labels for Yolo {
    fn of(&self, image: &Path, size: Size) -> Result<Option<LabelFile>, String> {
        let file = label_path(image);
        label_file(&file, |bytes| Ok(parse(&file, bytes, self.num_classes, size)))
    }
}

pub(super) fn parse(file: &Path, bytes: &[u8], num_classes: usize, size: Size) -> LabelFile {
    let mut found = LabelFile::default();
    for (number, line) in text::lines(bytes) {
        found.add(file, number, line.and_then(|line| parse_row(line, num_classes)).map(|row| row.place(size)));
    }
    found
}

/// The numbers of a row that may stand.
struct Row {
    class: u32,
    values: Vec<f32>,
}

/// The row on `line`, which is not blank, or what is wrong.
fn parse_row(line: &str, num_classes: usize) -> Result<Row, String> {
    let mut columns = line.split_ascii_whitespace();
    let class = parse_class(columns.next().unwrap_or_default(), num_classes)?;
    let values = columns.map(parse_number).collect::<Result<Vec<f32>, String>>()?;
    let count = values.len() + 1;
    if count != 5 && (count < 7 || count % 2 == 0) {
        return Err(format!(
            "{count} columns, expected 5 (class, centre x, centre y, width, height) \
             or a polygon (class, then x y of 3 points or more)"
        ));
    }
    for (i, &value) in values.iter().enumerate() {
        let name = if count == 5 { ["centre x", "centre y", "width", "height"][i] } else { ["x", "y"][i % 2] };
        if count == 5 && i >= 2 && value < 0.0 {
            return Err(format!("{name} {value} is negative"));
        }
        if !(-TOLERANCE..=1.0 + TOLERANCE).contains(&value) {
            return Err(format!(
                "{name} {value} is outside 0 to 1: positions and sizes are fractions of the image's width and height"
            ));
        }
    }
    Ok(Row { class, values })
}

fn parse_class(text: &str, num_classes: usize) -> Result<u32, String> {
    let number: f64 = text.parse().unwrap_or(f64::NAN); // some tools write 3.0; the fraction of NaN and of infinity is NaN
    if number < 0.0 || number.fract() != 0.0 {
        return Err(format!("class `{}` is not a whole number from 0 on", short(text)));
    }
    if number >= num_classes as f64 {
        let last = num_classes.saturating_sub(1);
        return Err(format!("class {} is not in the data set, whose names end at {last}", short(text)));
    }
    Ok(number as u32)
}

/// Straight to 32 bits; `number` knows the reason where that fails.
fn parse_number(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(value) if f32::is_finite(value) => Ok(value),
        _ => number(text).and_then(|_| Err(format!("`{}` is not a finite number", short(text)))),
    }
}

impl Row {
    /// The object, cut to the image of `size`.
    fn place(self, size: Size) -> Placed {
        let (bbox, polygon) = if let &[cx, cy, width, height] = &self.values[..] {
            ([cx - width / 2.0, cy - height / 2.0, cx + width / 2.0, cy + height / 2.0], Vec::new())
        } else {
            let points: Vec<[f32; 2]> = self.values.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
            let around = |[x1, y1, x2, y2]: [f32; 4], &[x, y]: &[f32; 2]| [x1.min(x), y1.min(y), x2.max(x), y2.max(y)];
            (points.iter().fold([1.0, 1.0, 0.0, 0.0], around), points)
        };
        let [x1, y1, x2, y2] = bbox.map(|value| value.clamp(0.0, 1.0));
        if x2 <= x1 || y2 <= y1 {
            return Placed::Empty;
        }
        let (width, height) = (size.width as f32, size.height as f32);
        let mut object = Object::new(self.class, Bbox::new(x1 * width, y1 * height, x2 * width, y2 * height));
        object.polygon = polygon.iter().map(|[x, y]| [x.clamp(0.0, 1.0) * width, y.clamp(0.0, 1.0) * height]).collect();
        Placed::Inside { object, was_cut: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(200, 80);

    fn parse_text(text: &str) -> LabelFile {
        parse(Path::new("a.txt"), text.as_bytes(), 3, SIZE)
    }

    fn problem(text: &str) -> String {
        let found = parse_text(text);
        assert_eq!((found.problems.len(), found.objects.len()), (1, 0), "{text}");
        found.problems[0].to_string()
    }

    #[test]
    fn boxes_and_polygons() {
        let found = parse_text("0 0.5 0.5 0.5 0.25\r\n\r\n  2.0\t0.25 0.5 0.5 0.5 0.5 0.75  \r\n");
        assert!(found.problems.is_empty());
        let mut outlined = Object::new(2, Bbox::new(50.0, 40.0, 100.0, 60.0));
        outlined.polygon = vec![[50.0, 40.0], [100.0, 40.0], [100.0, 60.0]];
        assert_eq!(found.objects, [Object::new(0, Bbox::new(50.0, 30.0, 150.0, 50.0)), outlined]);
    }

    #[test]
    fn what_leaves_the_image_is_cut() {
        let found = parse_text("0 1.0 0.005 0.5 0.5\n1 -0.01 0.5 0.2 0.5 1.01 1.009");
        assert_eq!(found.objects[0].bbox, Bbox::new(150.0, 0.0, 200.0, 0.255 * 80.0));
        assert_eq!(found.objects[1].bbox, Bbox::new(0.0, 40.0, 200.0, 80.0));
        assert_eq!((found.objects[1].polygon[0], found.objects[1].polygon[2]), ([0.0, 40.0], [200.0, 80.0]));
    }

    #[test]
    fn duplicates_and_empty_boxes_are_counted() {
        let twice = "0 0.5 0.5 0.1 0.1\n0 0.50 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n";
        let flat = "0 0.5 0.5 0 0.1\n0 -0.01 0.5 0.01 0.1\n1 0 0 0 1 0 0.5";
        let found = parse_text(&format!("{twice}{flat}"));
        assert_eq!((found.objects.len(), found.num_duplicates, found.num_empty), (2, 1, 3));
        assert_eq!(parse_text(""), LabelFile::default());
    }

    #[test]
    fn refused_rows_say_what_is_wrong() {
        let columns =
            "expected 5 (class, centre x, centre y, width, height) or a polygon (class, then x y of 3 points or more)";
        let outside = "is outside 0 to 1: positions and sizes are fractions of the image's width and height";
        let cases = [
            ("0 0.5 0.5 0.1", format!("4 columns, {columns}")),
            ("0 0.5 0.5 0.1 0.1 0.9", format!("6 columns, {columns}")),
            ("0 0.5 0.5 0.1 0.1 0.9 0.9 0.9", format!("8 columns, {columns}")),
            ("0", format!("1 columns, {columns}")),
            ("cat 0.5 0.5 0.1 0.1", "class `cat` is not a whole number from 0 on".to_owned()),
            ("1.5 0.5 0.5 0.1 0.1", "class `1.5` is not a whole number from 0 on".to_owned()),
            ("-1 0.5 0.5 0.1 0.1", "class `-1` is not a whole number from 0 on".to_owned()),
            ("inf 0.5 0.5 0.1 0.1", "class `inf` is not a whole number from 0 on".to_owned()),
            ("3 0.5 0.5 0.1 0.1", "class 3 is not in the data set, whose names end at 2".to_owned()),
            ("0 0.5 nan 0.1 0.1", "`nan` is not a finite number".to_owned()),
            ("0 0.5 0.5 0.1 1e99", "`1e99` is not a finite number".to_owned()),
            ("0 0.5 0,5 0.1 0.1", "`0,5` is not a finite number: decimals take a dot".to_owned()),
            ("0 0.5 1.02 0.1 0.1", format!("centre y 1.02 {outside}")),
            ("0 312 0.5 0.1 0.1", format!("centre x 312 {outside}")),
            ("0 0.5 0.5 -0.1 0.1", "width -0.1 is negative".to_owned()),
            ("0 0.1 0.1 0.2 0.1 0.2 -0.02", format!("y -0.02 {outside}")),
        ];
        for (text, expected) in cases {
            assert_eq!(problem(text), format!("a.txt:1: {expected}"));
        }
    }

    #[test]
    fn garbage_is_refused_in_few_words() {
        assert_eq!(problem("0\0 0.5 0.5 0.1 0.1"), "a.txt:1: class `0\\0` is not a whole number from 0 on");
        assert_eq!(
            parse(Path::new("a.txt"), b"\n\xff\xfe0", 3, SIZE).problems[0].to_string(),
            "a.txt:2: not UTF-8 text"
        );
        let huge = problem(&format!("0 0.5 {} 1 1", "9".repeat(1_000_000)));
        assert_eq!(huge, format!("a.txt:1: `{}…` is not a finite number", "9".repeat(30)));
        let long = parse_text(&format!("0 {}", "0.25 0.5 0.75 0.125 ".repeat(100_000)));
        assert_eq!(long.objects[0].polygon.len(), 200_000);
        let labels = Yolo { num_classes: 3 };
        assert_eq!(labels.of(Path::new("/nowhere/a.jpg"), SIZE), Ok(None));
        assert_eq!(labels.of(Path::new("/dev/null/a.jpg"), SIZE), Ok(None));
    }

    #[test]
    fn the_last_images_folder_is_replaced() {
        let path = |image: &str| label_path(Path::new(image)).to_string_lossy().into_owned();
        assert_eq!(path("/images/x/images/train/a.b.jpg"), "/images/x/labels/train/a.b.txt");
        assert_eq!(path("images/a.jpg"), "labels/a.txt");
        assert_eq!(path("photos/myimages/a.jpg"), "photos/myimages/a.txt");
        assert_eq!(path("x/images"), "x/images.txt");
    }
}
