//! Data sets with every kind of fault, and real ones where they are at hand.

use std::fs;

use trainer_image::{Bbox, Object};

use super::*;

/// A folder with a data.yaml of two classes.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("data.yaml", b"path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    /// An image of noise, 40 x 30 unless the name says otherwise.
    fn image(&self, name: &str, width: u32, height: u32) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        let noise = |x: u32, y: u32| image::Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x + y) as u8]);
        image::RgbImage::from_fn(width, height, noise).save(self.path(name)).unwrap();
    }

    fn open(&self, split: Split) -> Result<Dataset> {
        Dataset::open(
            &DataYaml::read(&self.path("data.yaml"))?,
            split,
            &OpenOptions { cache: None, ..OpenOptions::new(80) },
        )
    }

    /// The message of the error, with `~` for the folder.
    fn message(&self, split: Split) -> String {
        format!("{:#}", self.open(split).unwrap_err()).replace(self.0.path().to_str().unwrap(), "~")
    }
}

#[test]
fn samples_carry_scaled_objects() {
    let folder = Folder::new();
    folder.image("images/train/a.png", 40, 30);
    folder.write("labels/train/a.txt", b"1 0.5 0.5 0.5 0.4\n0 0.25 0.1 0.75 0.1 0.75 0.9\n");
    folder.image("images/train/b.png", 33, 47);
    let data = folder.open(Split::Train).unwrap();
    assert_eq!((data.len(), data.names.len(), data.records[0].size), (2, 2, Size::new(40, 30)));
    assert_eq!(data.report.to_string(), "train: 2 images, 2 objects, 1 images without objects");
    assert!(data.report.warnings().is_empty());

    let sample = data.load(0).unwrap();
    assert_eq!((sample.id, sample.size(), sample.original()), (0, Size::new(80, 60), Size::new(40, 30)));
    assert_eq!(*sample.path, *folder.path("images/train/a.png"));
    assert_eq!((sample.objects[0].class, sample.objects[0].bbox), (1, Bbox::new(20.0, 18.0, 60.0, 42.0)));
    assert_eq!(sample.objects[1].bbox, Bbox::new(20.0, 6.0, 60.0, 54.0));
    assert_eq!(sample.objects[1].polygon.len(), 3);

    let sample = data.load(1).unwrap();
    assert_eq!((sample.size(), sample.original()), (Size::new(57, 80), Size::new(33, 47))); // 80 * 33 / 47 rounded up
    assert_eq!(data.load(2).unwrap_err().to_string(), "no image 2 in a data set of 2");
    assert_eq!((data.path(1), data.path(2)), (folder.path("images/train/b.png"), PathBuf::new()));
}

#[test]
fn fraction_keeps_the_first_part() {
    let folder = Folder::new();
    for name in ["c", "a", "b", "d", "e"] {
        folder.image(&format!("images/val/{name}.png"), 40, 30);
    }
    let yaml = DataYaml::read(&folder.path("data.yaml")).unwrap();
    let options = |fraction| OpenOptions { fraction, cache: None, ..OpenOptions::new(80) };
    let names = |fraction| -> String {
        let data = Dataset::open(&yaml, Split::Val, &options(fraction)).unwrap();
        data.records.iter().map(|r| r.path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!((names(1.0), names(0.4), names(0.001)), ("abcde".to_owned(), "ab".to_owned(), "a".to_owned()));
    for wrong in [0.0, -1.0, 1.5, f64::NAN] {
        let message = Dataset::open(&yaml, Split::Val, &options(wrong)).unwrap_err().to_string();
        assert_eq!(message, format!("fraction {wrong} is not above 0 and at most 1"));
    }
}

#[test]
fn unreadable_images_are_left_out_and_named() {
    let folder = Folder::new();
    folder.image("images/train/a.png", 40, 30);
    folder.write("labels/train/a.txt", b"0 0.5 0.5 0.5 0.5\n0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0 0.1\n");
    folder.image("images/train/flat.png", 40, 9);
    folder.write("images/train/text.jpg", b"not an image");
    folder.write("images/train/x.heic", b"");
    let data = folder.open(Split::Train).unwrap();
    assert_eq!((data.len(), data.report.objects), (1, 1));
    let expected = [
        "train: 3 of 4 images left out: unreadable",
        "~/images/train/flat.png: 40x9 pixels: a side needs at least 10",
        "~/images/train/text.jpg: not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)",
        "~/images/train/x.heic: the file is empty",
        "train: 1 labels left out: exact duplicates",
        "train: 1 labels left out: boxes without area",
    ];
    let root = folder.0.path().to_str().unwrap();
    let warnings: Vec<String> = data.report.warnings().iter().map(|line| line.replace(root, "~")).collect();
    assert_eq!(warnings, expected);

    fs::remove_file(folder.path("images/train/a.png")).unwrap();
    let message =
        "none of the 3 train images can be read; ~/images/train/flat.png: 40x9 pixels: a side needs at least 10";
    assert_eq!(folder.message(Split::Train), message);
}

#[test]
fn a_refused_label_stops_the_opening() {
    let folder = Folder::new();
    for name in ["a", "b", "c"] {
        folder.image(&format!("images/train/{name}.png"), 40, 30);
    }
    folder.write("labels/train/b.txt", b"0 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5\n");
    let first = "~/labels/train/b.txt:2: class 2 is not in the data set, whose names end at 1";
    assert_eq!(folder.message(Split::Train), first);
    folder.write("labels/train/c.txt", b"0 0.5\n0 9 9 9 9\n");
    assert_eq!(folder.message(Split::Train), format!("{first} (3 labels are refused)"));
}

#[test]
fn missing_folders_and_labels_are_told_apart() {
    let folder = Folder::new();
    let missing = "~/data.yaml:2: train: ~/images/train does not exist: correct it, or `path` (~)";
    assert_eq!(folder.message(Split::Train), missing);
    fs::create_dir_all(folder.path("images/train")).unwrap();
    let start = "~/data.yaml:2: train: no images in images/train: looked for avif, bmp";
    assert!(folder.message(Split::Train).starts_with(start), "{}", folder.message(Split::Train));

    folder.image("images/train/a.png", 40, 30);
    let no_labels = "~/data.yaml:2: train: none of the 1 images has a label file such as ~/labels/train/a.txt";
    assert_eq!(folder.message(Split::Train), no_labels);
    folder.image("images/val/a.png", 40, 30);
    let val = folder.open(Split::Val).unwrap();
    assert_eq!(val.report.warnings(), ["val: none of the 1 images has a label file: its figures will be 0"]);
    folder.write("labels/train/a.txt", b"");
    assert_eq!(folder.open(Split::Train).unwrap().report.backgrounds, 1, "an empty file is a background");
}

#[test]
fn images_of_a_json_may_be_named() {
    let folder = Folder::new();
    folder.image("photos/a.png", 40, 30);
    let json = br#"{"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 4, "name": "cat"}],
        "annotations": [{"image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]}]}"#;
    folder.write("lists/t.json", json);
    folder.write("data.yaml", b"train: lists/t.json\nval: lists/t.json\nimages: {train: photos}\n");
    let data = folder.open(Split::Train).unwrap();
    assert_eq!((data.names, data.records[0].objects[0].bbox), (vec!["cat".to_owned()], Bbox::new(1.0, 2.0, 4.0, 6.0)));
    let start = "~/data.yaml:2: val: ~/lists/t.json: its image a.png is in none of ~/lists, ~/images/t, ~/t, ~/lists/i";
    assert!(folder.message(Split::Val).starts_with(start), "{}", folder.message(Split::Val));
    folder.write("data.yaml", b"train: lists/t.json\nval: lists/t.json\nimages: photos\n");
    assert_eq!(folder.open(Split::Val).unwrap().len(), 1);

    let none = br#"{"images": [], "categories": [{"id": 4, "name": "cat"}], "annotations": []}"#;
    folder.write("lists/none.json", none);
    folder.write("data.yaml", b"train: lists/t.json\nval: lists/none.json\nimages: photos\n");
    assert_eq!(folder.message(Split::Val), "~/data.yaml:2: val: no images in lists/none.json");
    folder.write("data.yaml", b"train: lists/t.json\nval: lists/none.json\n");
    assert_eq!(folder.message(Split::Val), "~/lists/none.json: no images: `images` is empty");
    folder.write("lists/none.json", b"{");
    let broken = "~/data.yaml:2: val: ~/lists/none.json: EOF while parsing an object at line 1 column 1";
    assert_eq!(folder.message(Split::Val), broken);
}

#[test]
fn labels_in_a_file_an_image_are_found_and_refused_alike() {
    let xml = "<annotation><object><name>dog</name>\
        <bndbox><xmin>10</xmin><ymin>9</ymin><xmax>30</xmax><ymax>21</ymax></bndbox></object></annotation>";
    let cases = [
        ("yolo", "labels/train/a.txt", "1 0.5 0.5 0.5 0.4", "names: [cat, dog]"),
        ("voc", "Annotations/train/a.xml", xml, "names: [cat, dog]"),
        ("visdrone", "annotations/train/a.txt", "10,9,20,12,1,2,0,0", ""),
    ];
    for (format, file, text, names) in cases {
        let folder = Folder::new();
        folder.image("images/train/a.png", 40, 30);
        folder.write(file, text.as_bytes());
        let yaml = format!("train: images/train\nval: images/train\nformat: {format}\n{names}\n");
        folder.write("data.yaml", yaml.as_bytes());
        let data = folder.open(Split::Train).unwrap();
        let found = &data.records[0].objects[..];
        assert_eq!(found, [Object::new(1, Bbox::new(10.0, 9.0, 30.0, 21.0))], "{format}");

        fs::remove_file(folder.path(file)).unwrap();
        let none = format!("~/data.yaml:1: train: none of the 1 images has a label file such as ~/{file}");
        assert_eq!(folder.message(Split::Train), none);
        fs::create_dir(folder.path(file)).unwrap();
        assert_eq!(folder.message(Split::Train), format!("~/{file}: cannot be read: Is a directory (os error 21)"));
    }
}

#[test]
fn warnings_count_and_name_the_first() {
    let folder = Folder::new();
    folder.image("images/train/a.png", 40, 30);
    folder.write("labels/train/a.txt", b"0 0.5 0.5 0.5 0.5\n1 1.004 0.5 0.5 0.5\n");
    for at in 10..22 {
        folder.write(&format!("images/train/b{at}.png"), b"none");
    }
    let options = OpenOptions { cache: None, single_cls: true, ..OpenOptions::new(80) };
    let yaml = DataYaml::read(&folder.path("data.yaml")).unwrap();
    let data = Dataset::open(&yaml, Split::Train, &options).unwrap();
    let warnings = data.report.warnings();
    assert_eq!(warnings[0], "train: 12 of 13 images left out: unreadable");
    assert!(warnings[10].contains("b19.png: not an image"), "{}", warnings[10]);
    assert_eq!(warnings[11], "and 2 more unreadable images");
    let classes: Vec<u32> = data.records[0].objects.iter().map(|object| object.class).collect();
    assert_eq!((data.num_classes(), classes), (Some(1), vec![0, 0]));
    assert_eq!(data.names, ["item"]);
}

#[test]
fn a_label_file_of_a_gigabyte_is_refused() {
    let folder = Folder::new();
    folder.image("images/train/a.png", 40, 30);
    folder.write("labels/train/a.txt", b"");
    fs::File::create(folder.path("labels/train/a.txt")).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(folder.message(Split::Train), "~/labels/train/a.txt: too large for a label file");
}
