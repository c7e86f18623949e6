//! Bad labels, each with what happens and what is said: the rows of the table in docs/bad-input.md.

use std::{fs, os::unix::fs::symlink};

use trainer::data::{DataYaml, Dataset, OpenOptions, Split};
use trainer_sdk::Bbox;

use crate::run::png;

/// A data set in a folder of its own; its only image, of 64 x 64, is images/a.png.
struct Set(tempfile::TempDir);

impl Set {
    fn new(yaml: &str) -> Self {
        Self(tempfile::tempdir().unwrap()).write("data.yaml", yaml).write("images/a.png", png())
    }

    fn yolo(labels: impl AsRef<[u8]>) -> Self {
        Self::new("train: images\nval: images\nnames: [cat, dog]\n").write("labels/a.txt", labels)
    }

    /// With one annotation, if any, and texts replaced in the json.
    fn coco(annotation: &str, changes: &[(&str, &str)]) -> Self {
        let images = r#"{"images": [{"id": 5, "file_name": "a.png", "width": 64, "height": 64}], "#;
        let text = format!(r#"{images}"annotations": [{annotation}], "categories": [{{"id": 7, "name": "cat"}}]}}"#);
        let text = changes.iter().fold(text, |text, (from, to)| text.replace(from, to));
        Self::new("train: a.json\nval: a.json\n").write("a.json", text)
    }

    fn voc(edges: [&str; 4]) -> Self {
        let [x1, y1, x2, y2] = edges;
        let bndbox = format!("<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>");
        let text = format!("<annotation>\n<object><name>cat</name><bndbox>{bndbox}</bndbox></object>\n</annotation>");
        Self::new("train: images\nval: images\n").write("Annotations/a.xml", text)
    }

    fn visdrone(rows: &str) -> Self {
        Self::new("train: images\nval: images\n").write("annotations/a.txt", rows)
    }

    fn write(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn open(&self) -> anyhow::Result<Dataset> {
        let yaml = DataYaml::read(&self.0.path().join("data.yaml"))?;
        Dataset::open(&yaml, Split::Train, &OpenOptions { cache: None, ..OpenOptions::new(64) })
    }

    /// The message of the error, without the folder.
    fn message(&self) -> String {
        self.short(format!("{:#}", self.open().unwrap_err()))
    }

    fn short(&self, text: String) -> String {
        text.replace(&format!("{}/", self.0.path().display()), "")
    }

    /// How many objects there are, and the warnings.
    fn found(&self) -> (usize, Vec<String>) {
        let set = self.open().unwrap();
        (set.report.objects, set.report.warnings().into_iter().map(|warning| self.short(warning)).collect())
    }
}

const ANNOTATION: &str = r#"{"id": 1, "image_id": 5, "category_id": 7, "bbox": [1, 2, 30, 40]}"#;

fn annotation(from: &str, to: &str) -> String {
    Set::coco(&ANNOTATION.replace(from, to), &[]).message()
}

#[test]
fn numbers_that_are_none() {
    for text in ["NaN", "inf", "-inf", "1e309", "x"] {
        let message = Set::yolo(format!("0 0.5 0.5 0.1 0.1\n0 0.5 {text} 0.1 0.1\n")).message();
        assert_eq!(message, format!("labels/a.txt:2: `{text}` is not a finite number"));
    }
}

#[test]
fn comma_decimals() {
    let message = Set::yolo("0 0,5 0,5 0,1 0,1").message();
    assert_eq!(message, "labels/a.txt:1: `0,5` is not a finite number: decimals take a dot");
}

#[test]
fn a_huge_line() {
    let message = Set::yolo(format!("0 0.5 {} 0.1 0.1", "7".repeat(10_000_000))).message();
    assert_eq!(message, format!("labels/a.txt:1: `{}…` is not a finite number", "7".repeat(30)));
    let long = Set::yolo(format!("0{}", " 0.25 0.25 0.75 0.25 0.75 0.75".repeat(100_000)));
    assert_eq!(long.found(), (1, vec![]), "an outline of 300,000 points");
}

#[test]
fn nul_bytes() {
    let message = Set::yolo(b"0 0.5 0.5 0.1 0.1\n\0\0\0\0").message();
    assert_eq!(message, "labels/a.txt:2: class `\\0\\0\\0\\0` is not a whole number from 0 on");
    assert_eq!(Set::yolo([0xff, 0xfe, b'0', 0]).message(), "labels/a.txt:1: not UTF-8 text");
}

#[test]
fn line_ends_and_byte_order_marks() {
    assert_eq!(Set::yolo("\u{feff}0 0.5 0.5 0.1 0.1\r\n\r\n1 0.5 0.5 0.1 0.1\r\n").found(), (2, vec![]));
    let yaml =
        Set::yolo("0 0.5 0.5 0.1 0.1").write("data.yaml", "\u{feff}train: images\r\nval: images\r\nnames: [x]\r\n");
    assert_eq!(yaml.found(), (1, vec![]));
}

#[test]
fn a_class_that_is_none() {
    let message = Set::yolo("1099511627776 0.5 0.5 0.1 0.1").message();
    assert_eq!(message, "labels/a.txt:1: class 1099511627776 is not in the data set, whose names end at 1");
    assert_eq!(
        Set::yolo("cat 0.5 0.5 0.1 0.1").message(),
        "labels/a.txt:1: class `cat` is not a whole number from 0 on"
    );
}

#[test]
fn ten_thousand_boxes() {
    let rows: String = (0..10_000).map(|i| format!("0 0.5 0.5 0.{:05} 0.1\n", 10_000 + i)).collect();
    assert_eq!(Set::yolo(rows).found(), (10_000, vec![]));
}

#[test]
fn repeated_rows() {
    let found = Set::yolo("0 0.5 0.5 0.1 0.1\n".repeat(3)).found();
    assert_eq!(found, (1, vec!["train: 2 labels left out: exact duplicates".to_owned()]));
}

#[test]
fn polygons_of_two_points() {
    let message = annotation("]}", "], \"segmentation\": [[1, 2, 3, 4]]}");
    let expected = "a.json: annotations[0]: segmentation[0] has 4 numbers, expected x y of 3 points or more";
    assert_eq!(message, expected);
    assert_eq!(Set::yolo("0 0.5 0.5 0.1 0.1").found(), (1, vec![]), "two points of YOLO cannot be told from a box");
}

#[test]
fn polygons_that_cross_themselves() {
    let set = Set::yolo("0 0.25 0.25 0.75 0.75 0.75 0.25 0.25 0.75").open().unwrap();
    let object = &set.records[0].objects[0];
    assert_eq!((object.bbox, object.polygon.len()), (Bbox::new(16.0, 16.0, 48.0, 48.0), 4));
}

#[test]
fn polygons_outside_the_image() {
    let message = Set::yolo("0 0.1 0.1 1.5 0.1 1.5 0.5").message();
    let why = "positions and sizes are fractions of the image's width and height";
    assert_eq!(message, format!("labels/a.txt:1: x 1.5 is outside 0 to 1: {why}"));
}

#[test]
fn a_json_cut_off() {
    let set = Set::coco(ANNOTATION, &[]);
    let text = fs::read_to_string(set.0.path().join("a.json")).unwrap();
    let message = set.write("a.json", &text[..120]).message();
    assert_eq!(message, "data.yaml:1: train: a.json: EOF while parsing a string at line 1 column 120");
}

#[test]
fn ids_that_are_unknown() {
    let image = annotation("\"image_id\": 5", "\"image_id\": 6");
    assert_eq!(image, "a.json: annotations[0]: image_id 6 is not among the images");
    let category = annotation("\"category_id\": 7", "\"category_id\": 1");
    assert_eq!(category, "a.json: annotations[0]: category_id 1 is not among the categories");
}

#[test]
fn negative_boxes() {
    let message = annotation("30, 40", "-30, 40");
    assert_eq!(message, "a.json: annotations[0]: the bbox is -30 wide and 40 high, neither may be negative");
    let rest = "wide and 4 high, neither may be negative";
    assert_eq!(Set::visdrone("1,2,-3,4,1,1,0,0").message(), format!("annotations/a.txt:1: the box is -3 {rest}"));
    let message = Set::yolo("0 0.5 0.5 -0.1 0.1").message();
    assert_eq!(message, "labels/a.txt:1: width -0.1 is negative");
}

#[test]
fn missing_keys() {
    let message = annotation("\"bbox\"", "\"box\"");
    assert!(message.starts_with("data.yaml:1: train: a.json: missing field `bbox` at line 1 column "), "{message}");
    let message = Set::coco(ANNOTATION, &[("categories", "classes")]).message();
    assert!(message.starts_with("data.yaml:1: train: a.json: missing field `categories` at line 1 col"), "{message}");
}

#[test]
fn a_json_without_images() {
    let images = r#"{"id": 5, "file_name": "a.png", "width": 64, "height": 64}"#;
    assert_eq!(Set::coco("", &[(images, "")]).message(), "a.json: no images: `images` is empty");
}

#[test]
fn an_image_of_another_size() {
    let message = Set::coco(ANNOTATION, &[("64", "65")]).message();
    let expected =
        "none of the 1 train images can be read; images/a.png: a.json says 65x65 pixels, the image has 64x64";
    assert_eq!(message, expected);
}

#[test]
fn boxes_without_area() {
    let note = "train: 1 labels left out: boxes without area".to_owned();
    assert_eq!(Set::voc(["9", "2", "9", "40"]).found(), (0, vec![note.clone()]));
    assert_eq!(Set::yolo("0 0.5 0.5 0 0.1").found(), (0, vec![note.clone()]));
    assert_eq!(Set::visdrone("1,2,0,4,1,1,0,0").found(), (0, vec![note]));
}

#[test]
fn corners_in_the_wrong_order() {
    assert_eq!(Set::voc(["9", "2", "5", "40"]).message(), "Annotations/a.xml:2: xmin 9 is larger than xmax 5");
}

#[test]
fn boxes_beyond_the_image() {
    let note = "train: 1 labels reach beyond their image: cut".to_owned();
    assert_eq!(Set::voc(["9", "2", "99", "40"]).found(), (1, vec![note]));
    let message = Set::voc(["70", "2", "99", "40"]).message();
    let expected = "Annotations/a.xml:2: the box from (70, 2) to (99, 40) lies outside the image of 64x64 pixels";
    assert_eq!(message, expected);
}

#[test]
fn odd_visdrone_rows() {
    assert_eq!(Set::visdrone("1,2,9,9,1,4,0,0,\n1,2,20,20,0,0,0,0\n").found(), (2, vec![]), "a comma at the end");
    let message = Set::visdrone("1,2,9,9,1,4\n").message();
    let columns = "left, top, width, height, score, category, truncation, occlusion";
    assert_eq!(message, format!("annotations/a.txt:1: 6 columns, expected 8 with commas between: {columns}"));
    let message = Set::visdrone("1,2,9,9,1,12,0,0\n").message();
    assert_eq!(message, "annotations/a.txt:1: category 12, expected a whole number from 0 to 11");
}

#[test]
fn a_folder_named_like_an_image() {
    let set = Set::yolo("0 0.5 0.5 0.1 0.1").write("images/x.jpg/b.png", png());
    assert_eq!(set.open().unwrap().records.len(), 2, "it is searched like any other folder");
}

#[test]
fn a_folder_named_like_a_label_file() {
    let set = Set::yolo("").write("images/b.png", png()).write("labels/b.txt/c", "");
    assert_eq!(set.message(), "labels/b.txt: cannot be read: Is a directory (os error 21)");
}

#[test]
fn links_in_a_circle() {
    let set = Set::yolo("0 0.5 0.5 0.1 0.1");
    symlink(set.0.path().join("images"), set.0.path().join("images/again")).unwrap();
    let message = set.message();
    let start =
        "data.yaml:1: train: cannot search for images: File system loop found: images/again points to an ancestor";
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn a_file_that_may_not_be_read() {
    let set = Set::yolo("0 0.5 0.5 0.1 0.1");
    let file = set.0.path().join("labels/a.txt");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        eprintln!("left out: this user may read everything");
        return;
    }
    assert_eq!(set.message(), "labels/a.txt: cannot be read: Permission denied (os error 13)");
}

/// The names of the functions under `#[test]` in a source.
fn test_names(source: &str) -> Vec<&str> {
    let after = source.split("#[test]\nfn ").skip(1);
    after.filter_map(|rest| rest.split('(').next()).collect()
}

#[test]
fn each_row_of_the_table_is_a_test() {
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/bad-input.md")).unwrap();
    let labels = table.split("\n## ").find(|section| section.starts_with("Labels")).unwrap();
    let rows = labels.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Input"));
    let named: Vec<&str> =
        rows.map(|row| row.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`')).collect();
    let tests: Vec<&str> = test_names(include_str!("data_labels.rs"));
    let own: Vec<&str> = tests.into_iter().filter(|name| *name != "each_row_of_the_table_is_a_test").collect();
    for name in &own {
        assert!(named.contains(name), "docs/bad-input.md has no row for the test {name}");
    }
    for name in named {
        assert!(own.contains(&name), "docs/bad-input.md names a test that is not there: {name}");
    }
}
