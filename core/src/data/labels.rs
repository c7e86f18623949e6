//! YOLO label files: one object a row, `class cx cy w h` or `class x1 y1 x2 y2 x3 y3 …`, in fractions of the image.
//!
//! A row that cannot be meant is a problem that names file and line; no row is ever dropped in silence.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use trainer_image::{Bbox, Object, Size};

/// How far a coordinate may lie outside 0 to 1: rounding in labelling tools.
const TOLERANCE: f32 = 0.01;

/// Larger files are not label files.
const MAX_BYTES: u64 = 64 << 20;

/// One object, in fractions of the image's width and height, within 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub class: u32,
    /// Left, top, right, bottom.
    pub bbox: [f32; 4],
    /// The outline, empty for a row that states a box.
    pub polygon: Vec<[f32; 2]>,
}

impl Label {
    /// The object in pixels of an image of `size`.
    #[must_use]
    pub fn to_object(&self, size: Size) -> Object {
        let (width, height) = (size.width as f32, size.height as f32);
        let [x1, y1, x2, y2] = self.bbox;
        let mut object = Object::new(self.class, Bbox::new(x1 * width, y1 * height, x2 * width, y2 * height));
        object.polygon = self.polygon.iter().map(|[x, y]| [x * width, y * height]).collect();
        object
    }
}

/// What is wrong with a label file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// Counted from 1; 0 where the whole file is meant.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = if self.line > 0 { format!(":{}", self.line) } else { String::new() };
        write!(f, "{}{line}: {}", self.file.display(), self.message)
    }
}

/// The content of one label file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelFile {
    pub labels: Vec<Label>,
    /// Rows left out because they repeat an earlier one exactly.
    pub num_duplicates: usize,
    /// Rows left out because their box has no area.
    pub num_empty: usize,
    /// Rows that are refused.
    pub problems: Vec<Problem>,
}

/// Where the labels of `image` are: its last folder `images` replaced by `labels`, its suffix by `txt`.
#[must_use]
pub fn label_path(image: &Path) -> PathBuf {
    let parts: Vec<Component> = image.components().collect();
    let folders = &parts[..parts.len().saturating_sub(1)];
    let images = folders.iter().rposition(|part| part.as_os_str() == "images");
    let replaced = parts.iter().enumerate().map(|(i, part)| match part {
        _ if Some(i) == images => "labels".as_ref(),
        part => part.as_os_str(),
    });
    replaced.collect::<PathBuf>().with_extension("txt")
}

/// Reads the label file `file` of a data set with `num_classes` classes; `None` where there is none.
#[must_use]
pub fn read(file: &Path, num_classes: usize) -> Option<LabelFile> {
    let mut bytes = Vec::new();
    match File::open(file).and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(refuse(file, format!("cannot be read: {error}"))),
        Ok(_) if bytes.len() as u64 > MAX_BYTES => Some(refuse(file, "too large for a label file".to_owned())),
        Ok(_) => Some(parse(file, &bytes, num_classes)),
    }
}

fn refuse(file: &Path, message: String) -> LabelFile {
    LabelFile { problems: vec![Problem { file: file.to_path_buf(), line: 0, message }], ..LabelFile::default() }
}

fn parse(file: &Path, bytes: &[u8], num_classes: usize) -> LabelFile {
    let mut found = LabelFile::default();
    let mut seen = HashSet::new();
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        match parse_row(line.trim_ascii(), num_classes) {
            Ok(None) => {}
            Ok(Some(row)) if !seen.insert(row.key()) => found.num_duplicates += 1,
            Ok(Some(row)) => match row.into_label() {
                Some(label) => found.labels.push(label),
                None => found.num_empty += 1,
            },
            Err(message) => found.problems.push(Problem { file: file.to_path_buf(), line: index + 1, message }),
        }
    }
    found
}

/// The numbers of a row that may stand.
struct Row {
    class: u32,
    values: Vec<f32>,
}

/// The row on `line`, `None` on a blank one, or what is wrong.
fn parse_row(line: &[u8], num_classes: usize) -> Result<Option<Row>, String> {
    let line = str::from_utf8(line).map_err(|_| "not UTF-8 text".to_owned())?;
    let mut columns = line.split_ascii_whitespace();
    let Some(class) = columns.next() else { return Ok(None) };
    let class = parse_class(class, num_classes)?;
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
    Ok(Some(Row { class, values }))
}

fn parse_class(text: &str, num_classes: usize) -> Result<u32, String> {
    let number: f64 = text.parse().unwrap_or(f64::NAN); // some tools write 3.0
    if number < 0.0 || number.fract() != 0.0 || number.is_infinite() {
        return Err(format!("class `{}` is not a whole number from 0 on", short(text)));
    }
    if number >= num_classes as f64 {
        let last = num_classes.saturating_sub(1);
        return Err(format!("class {} is not in the data set, whose names end at {last}", short(text)));
    }
    Ok(number as u32)
}

fn parse_number(text: &str) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number: &f32| number.is_finite());
    number.ok_or_else(|| format!("`{}` is not a finite number", short(text)))
}

/// `text` fit for a message: without control characters, at most 30 characters.
fn short(text: &str) -> String {
    let escaped: String = text.chars().take(30).flat_map(char::escape_debug).collect();
    if text.chars().nth(30).is_some() { escaped + "…" } else { escaped }
}

impl Row {
    /// Equal for exact duplicates, and only for them.
    fn key(&self) -> (u32, Vec<u32>) {
        (self.class, self.values.iter().map(|value| value.to_bits()).collect())
    }

    /// The object, cut to the image; `None` where nothing with an area is left.
    fn into_label(self) -> Option<Label> {
        let (bbox, polygon) = if let &[cx, cy, width, height] = &self.values[..] {
            ([cx - width / 2.0, cy - height / 2.0, cx + width / 2.0, cy + height / 2.0], Vec::new())
        } else {
            let points: Vec<[f32; 2]> = self.values.chunks_exact(2).map(|p| [p[0], p[1]]).collect();
            let around = |[x1, y1, x2, y2]: [f32; 4], &[x, y]: &[f32; 2]| [x1.min(x), y1.min(y), x2.max(x), y2.max(y)];
            (points.iter().fold([1.0, 1.0, 0.0, 0.0], around), points)
        };
        let bbox = bbox.map(|value| value.clamp(0.0, 1.0));
        let polygon = polygon.into_iter().map(|point| point.map(|value| value.clamp(0.0, 1.0))).collect();
        (bbox[2] > bbox[0] && bbox[3] > bbox[1]).then_some(Label { class: self.class, bbox, polygon })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> LabelFile {
        parse(Path::new("a.txt"), text.as_bytes(), 3)
    }

    fn problem(text: &str) -> String {
        let found = parse_text(text);
        assert_eq!((found.problems.len(), found.labels.len()), (1, 0), "{text}");
        found.problems[0].to_string()
    }

    #[test]
    fn boxes_and_polygons() {
        let found = parse_text("\u{feff}0 0.5 0.5 0.5 0.25\r\n\r\n  2.0\t0.1 0.2 0.3 0.2 0.3 0.6  \r\n");
        assert!(found.problems.is_empty());
        let expected = [
            Label { class: 0, bbox: [0.25, 0.375, 0.75, 0.625], polygon: vec![] },
            Label { class: 2, bbox: [0.1, 0.2, 0.3, 0.6], polygon: vec![[0.1, 0.2], [0.3, 0.2], [0.3, 0.6]] },
        ];
        assert_eq!(found.labels, expected);
        let object = found.labels[0].to_object(Size::new(200, 80));
        assert_eq!(object.bbox, Bbox::new(50.0, 30.0, 150.0, 50.0));
        assert_eq!(found.labels[1].to_object(Size::new(10, 10)).polygon[2], [3.0, 6.0]);
    }

    #[test]
    fn what_leaves_the_image_is_cut() {
        let found = parse_text("0 1.0 0.005 0.5 0.5\n1 -0.01 0.5 0.2 0.5 1.01 1.009");
        assert_eq!(found.labels[0].bbox, [0.75, 0.0, 1.0, 0.255]);
        assert_eq!(found.labels[1].bbox, [0.0, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn duplicates_and_empty_boxes_are_counted() {
        let twice = "0 0.5 0.5 0.1 0.1\n0 0.50 0.5 0.1 0.1\n1 0.5 0.5 0.1 0.1\n";
        let flat = "0 0.5 0.5 0 0.1\n0 -0.01 0.5 0.01 0.1\n1 0 0 0 1 0 0.5";
        let found = parse_text(&format!("{twice}{flat}"));
        assert_eq!((found.labels.len(), found.num_duplicates, found.num_empty), (2, 1, 3));
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
            ("0 0.5 0,5 0.1 0.1", "`0,5` is not a finite number".to_owned()),
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
        assert_eq!(parse(Path::new("a.txt"), b"\n\xff\xfe0", 3).problems[0].to_string(), "a.txt:2: not UTF-8 text");
        let huge = problem(&format!("0 0.5 {} 1 1", "9".repeat(1_000_000)));
        assert_eq!(huge, format!("a.txt:1: `{}…` is not a finite number", "9".repeat(30)));
        let long = parse_text(&format!("0 {}", "0.25 0.5 0.75 0.125 ".repeat(100_000)));
        assert_eq!(long.labels[0].polygon.len(), 200_000);
        assert!(read(Path::new("/"), 1).unwrap().problems[0].to_string().starts_with("/: cannot be read: "));
        assert_eq!(read(Path::new("/nowhere/a.txt"), 1), None);
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
