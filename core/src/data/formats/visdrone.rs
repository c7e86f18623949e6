//! VisDrone label files: `left,top,width,height,score,category,truncation,occlusion` a row, in pixels.
//!
//! Category 0 (ignored regions), category 11 (others) and rows of score 0 become regions in which nothing is learnt or
//! scored; categories 1 to 10 are the classes 0 to 9.

use std::path::{Path, PathBuf};

use trainer_image::Size;

use super::place::{Placed, place};
use super::text::{self, number, short};
use super::yolo::swap_folder;
use super::{LabelFile, Labels, label_file};

/// The classes, in the order of the categories.
pub const CLASSES: [&str; 10] =
    ["pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "awning-tricycle", "bus", "motor"];

const COLUMNS: [&str; 8] = ["left", "top", "width", "height", "score", "category", "truncation", "occlusion"];

/// Where the labels of `image` are: its last folder `images` replaced by `annotations`, its suffix by `txt`.
pub fn label_path(image: &Path) -> PathBuf {
    swap_folder(image, "images", "annotations", "txt")
}

/// The label files of VisDrone.
pub(super) struct VisDrone;

impl Labels for VisDrone {
    fn of(&self, image: &Path, size: Size) -> Result<Option<LabelFile>, String> {
        let file = label_path(image);
        label_file(&file, |bytes| Ok(parse(&file, bytes, size)))
    }
}

pub(super) fn parse(file: &Path, bytes: &[u8], size: Size) -> LabelFile {
    let mut found = LabelFile::default();
    for (number, line) in text::lines(bytes) {
        found.add(file, number, line.and_then(|line| parse_row(line, size)));
    }
    found
}

fn parse_row(line: &str, size: Size) -> Result<Placed, String> {
    let columns: Vec<&str> = line.strip_suffix(',').unwrap_or(line).split(',').map(str::trim).collect();
    if columns.len() != COLUMNS.len() {
        return Err(format!("{} columns, expected 8 with commas between: {}", columns.len(), COLUMNS.join(", ")));
    }
    let mut values = [0.0; 6]; // the last two columns have no use here
    for ((value, text), name) in values.iter_mut().zip(&columns).zip(COLUMNS) {
        *value = number(text).map_err(|reason| format!("{name}: {reason}"))?;
    }
    let [left, top, width, height, score, category] = values;
    if width < 0.0 || height < 0.0 {
        return Err(format!("the box is {width} wide and {height} high, neither may be negative"));
    }
    if category.fract() != 0.0 || !(0.0..=11.0).contains(&category) {
        return Err(format!("category {}, expected a whole number from 0 to 11", short(columns[5])));
    }
    let is_region = category == 0.0 || category == 11.0 || score == 0.0;
    let class = if is_region { 0 } else { category as u32 - 1 };
    let placed = place(class, [left, top, left + width, top + height], Vec::new(), size)?;
    Ok(placed.with(|object| object.ignore = is_region))
}

#[cfg(test)]
mod tests {
    use trainer_image::{Bbox, Object};

    use super::*;

    fn parse_text(text: &str) -> LabelFile {
        parse(Path::new("a.txt"), text.as_bytes(), Size::new(200, 100))
    }

    #[test]
    fn rows_become_objects_and_regions() {
        let found = parse_text("10,20,30,40,1,4,0,1\r\n0,0,50,50,0,0,0,0,\n 60, 0,5,5,1,11,0,0\n70,0,5,5,0,10,0,0\n");
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        let region = |bbox| Object { ignore: true, ..Object::new(0, bbox) };
        let expected = [
            Object::new(3, Bbox::new(10.0, 20.0, 40.0, 60.0)),
            region(Bbox::new(0.0, 0.0, 50.0, 50.0)),
            region(Bbox::new(60.0, 0.0, 65.0, 5.0)),
            region(Bbox::new(70.0, 0.0, 75.0, 5.0)),
        ];
        assert_eq!(found.objects, expected);
    }

    #[test]
    fn odd_rows_are_counted_or_refused() {
        let found = parse_text("1,1,0,9,1,1,0,0\n1,1,5,5,1,1,0,0\n1,1,5,5,1,1,1,1\n190,1,30,5,1,2,0,0");
        assert_eq!((found.objects.len(), found.num_empty, found.num_duplicates, found.num_cut), (2, 1, 1, 1));
        let columns =
            "expected 8 with commas between: left, top, width, height, score, category, truncation, occlusion";
        let cases = [
            ("0 0.5 0.5 0.1 0.1", format!("1 columns, {columns}")),
            ("1,2,3,4,1,1,0", format!("7 columns, {columns}")),
            ("1,2,x,4,1,1,0,0", "width: `x` is not a finite number".to_owned()),
            ("1,2,3,1e309,1,1,0,0", "height: `1e309` is not a finite number".to_owned()),
            ("1,2,-3,4,1,1,0,0", "the box is -3 wide and 4 high, neither may be negative".to_owned()),
            ("1,2,3,4,1,12,0,0", "category 12, expected a whole number from 0 to 11".to_owned()),
            ("1,2,3,4,1,1.5,0,0", "category 1.5, expected a whole number from 0 to 11".to_owned()),
            (
                "300,2,3,4,1,1,0,0",
                "the box from (300, 2) to (303, 6) lies outside the image of 200x100 pixels".to_owned(),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_text(text).problems[0].to_string(), format!("a.txt:1: {expected}"));
        }
    }

    #[test]
    fn labels_lie_in_annotations() {
        let path = label_path(Path::new("VisDrone2019-DET-train/images/0000002_00005_d_0000014.jpg"));
        assert_eq!(path, Path::new("VisDrone2019-DET-train/annotations/0000002_00005_d_0000014.txt"));
        assert_eq!(VisDrone.of(Path::new("/nowhere/images/a.jpg"), Size::new(9, 9)), Ok(None));
    }
}
