//! `trainer data check` and `stats` by the real binary.

use std::process::{Command, Output};

use serde_json::Value;

use crate::run::{Run, png};

/// Runs `trainer data` in the directory of `run`; the exit code, and what was printed.
fn data(run: &Run, words: &str) -> (Option<i32>, String, String) {
    let before = run.files();
    let Output { status, stdout, stderr } = Command::new(&run.trainer)
        .arg("data")
        .args(words.split_whitespace())
        .current_dir(run.path(""))
        .env("XDG_CACHE_HOME", run.path("home/cache"))
        .output()
        .unwrap();
    assert!(run.files() == before, "a file was changed");
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn faulty() -> Run {
    let many: String = (0..30).map(|row| format!("{row} 0.5 0.5 0.1 0.1\n")).collect();
    Run::new()
        .write("data/labels/train/b.txt", many)
        .write("data/images/train/z.jpg", "no image")
        .write("data/labels/val/e.txt", "0 0.5 0.5 0 0\n")
}

#[test]
fn check_tells_all_that_is_wrong() {
    let good = data(&Run::new(), "check data/data.yaml");
    assert_eq!((good.0, good.2.as_str()), (Some(0), "format yolo, 2 classes: training may start\n"));
    assert_eq!(good.1, "train: 4 images, 8 objects\nval: 2 images, 4 objects\n");

    let (code, out, err) = data(&faulty(), "check data");
    assert_eq!((code, err.as_str()), (Some(1), "format yolo, 2 classes: 28 refused; mend them first\n"));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "train: 4 images, 8 objects");
    assert_eq!(lines[1], "  refused: data/labels/train/b.txt:3: class 2 is not in the data set, whose names end at 1");
    assert_eq!(lines[21], "  refused: and 8 more; --json has them all");
    let unknown = "not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)";
    assert_eq!(lines[22], format!("  left out: data/images/train/z.jpg: {unknown}"));
    assert_eq!(lines[23..], ["val: 2 images, 2 objects", "  note: val: 1 labels left out: boxes without area"]);

    let (code, out, _) = data(&faulty(), "check data/data.yaml --json");
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, document["ok"].as_bool(), &document["format"]), (Some(1), Some(false), &"yolo".into()));
    assert_eq!(document["splits"][0]["refused"].as_array().unwrap().len(), 28);
    assert_eq!(document["splits"][0]["refused"][27]["line"], 30);
}

#[test]
fn check_goes_on_where_a_split_is_missing() {
    let (code, out, _) = data(&Run::new().remove("data/images/val"), "check data/data.yaml");
    let refusal = "data/data.yaml:3: val: data/images/val does not exist: correct it, or `path` (data)";
    let expected = format!("train: 4 images, 8 objects\nval: 0 images, 0 objects\n  refused: {refusal}\n");
    assert_eq!((code, out), (Some(1), expected));
    let (code, _, err) = data(&Run::new(), "check nowhere.yaml");
    assert_eq!(code, Some(1));
    assert!(err.starts_with("error: cannot read nowhere.yaml: "), "{err}");
}

#[test]
fn stats_count() {
    let run = Run::new().write("data/labels/train/a.txt", "0 0.5 0.5 0.75 0.75\n").write("data/labels/train/d.txt", "");
    let run = run.write("data/images/train/bare.png", png());
    let (code, out, _) = data(&run, "stats data/data.yaml --imgsz 128 --json");
    let document: Value = serde_json::from_str(&out).unwrap();
    let train = &document["splits"][0];
    let figures = ["images", "without_objects", "without_labels", "objects", "left_out"].map(|key| train[key].as_u64());
    assert_eq!((code, figures), (Some(0), [5, 2, 1, 5, 0].map(Some)));
    assert_eq!(train["classes"], serde_json::json!([3, 2]));
    assert_eq!(train["small_medium_large"], serde_json::json!([2, 3, 0]), "32 x 32 is not small");
    let side = |key: &str| train["box_side"][key].as_f64().unwrap().round();
    assert_eq!((side("min"), side("median"), side("max")), (26.0, 64.0, 96.0), "pixels at twice the size");
    assert_eq!(train["objects_an_image"]["max"], 2.0);
    assert_eq!(document["identical"][0].as_array().unwrap().len(), 7, "all of the pictures are one");

    let (code, out, _) = data(&run, "stats data=data");
    assert_eq!(code, Some(0));
    let squeezed: Vec<String> = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in ["format yolo train val", "images 5 2", "objects 5 4", "medium 3 2", "0 cat 3 2", "1 dog 2 2"] {
        assert!(squeezed.iter().any(|found| found == line), "{line} is not in\n{out}");
    }
    assert!(out.contains("identical images: 1 groups"), "{out}");
}
