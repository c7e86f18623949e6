//! `trainer data view`, and the pictures that a run leaves behind, by the real binary.

use std::process::{Command, Output};

use image::RgbImage;

use crate::run::Run;

/// The colour of class 0.
const CAT: [u8; 3] = [0, 209, 255];

fn view(run: &Run, words: &str) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = Command::new(&run.trainer)
        .args(["data", "view"])
        .args(words.split_whitespace())
        .current_dir(run.path(""))
        .env("XDG_CACHE_HOME", run.path("home/cache"))
        .env("TRAINER_LOG", "warn")
        .output()
        .unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn sheet(run: &Run, words: &str, file: &str) -> RgbImage {
    let (code, out, err) = view(run, words);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), format!("{file}\n").as_str(), ""));
    image::open(run.path(file)).unwrap().to_rgb8()
}

#[test]
fn a_sheet_shows_images_with_their_boxes() {
    let run = Run::new();
    let plain = sheet(&run, "data/data.yaml --out a.png --imgsz 64", "a.png");
    assert_eq!(plain.dimensions(), (20 + 2 * 64 + 12 + 20, 20 + 36 + 2 * (64 + 22) + 12 + 20));
    for (x, y) in [(20, 56), (96, 56), (20, 154), (96, 154)] {
        assert_eq!(plain.get_pixel(x + 47, y + 40).0, CAT, "the right edge of the box from 16 to 48 on each tile");
        assert_ne!(plain.get_pixel(x + 44, y + 40).0, CAT);
    }
    let jpeg = sheet(&run, "data=data --split val --imgsz 64", "sheet.jpg");
    assert_eq!(jpeg.width(), plain.width(), "two images");
    let one = sheet(&run, "data --count 1 --imgsz 96 --out one.JPEG", "one.JPEG");
    assert_eq!(one.width(), 136);
    assert!(!run.path("sheet.partial").exists());
}

#[test]
fn a_seed_decides_which_images_and_how_they_are_augmented() {
    let run = Run::new();
    let shown = |words: &str| sheet(&run, &format!("data --imgsz 64 --force --out s.png {words}"), "s.png");
    let augmented = "--augment mosaic=1 degrees=20 copy_paste=0";
    assert_eq!(shown(augmented), shown(augmented));
    assert_ne!(shown(augmented), shown("--augment copy_paste=0"));
    assert_ne!(shown(augmented), shown(&format!("--seed 1 {augmented}")));
    assert_eq!(shown("--augment imgsz=96 copy_paste=0").width(), 40 + 2 * 96 + 12, "keys go before the options");
}

#[test]
fn a_class_can_be_asked_for() {
    let run = Run::new().write("data/labels/train/a.txt", "0 0.5 0.5 0.5 0.5\n").write("data/labels/train/b.txt", "");
    let shown = |class: &str| sheet(&run, &format!("data --imgsz 64 --force --out s.png --class {class}"), "s.png");
    assert_eq!(shown("dog").dimensions(), (20 + 2 * 64 + 12 + 20, 20 + 36 + 64 + 22 + 20), "c and d, one row");
    assert_eq!(shown("cat").height(), 20 + 36 + 2 * (64 + 22) + 12 + 20, "a, c and d");
    let refused = |words: &str| view(&run, &format!("data --out no.png {words}"));
    let (code, _, err) = refused("--class dogg");
    assert_eq!(
        (code, err.as_str()),
        (Some(1), "error: --class dogg: the data has no such class; did you mean `dog`?\n")
    );
    let bare = run.write("data/labels/val/e.txt", "0 0.5 0.5 0.5 0.5\n").write("data/labels/val/f.txt", "");
    let (code, _, err) = view(&bare, "data --split val --class dog --out no.png");
    assert_eq!((code, err.as_str()), (Some(1), "error: --class dog: no val image has an object of that class\n"));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let run = Run::new().write("kept.jpg", "mine");
    let before = run.files();
    for (words, message) in [
        ("data --out kept.jpg", "error: kept.jpg exists: give another --out, or --force to replace it\n"),
        ("data --out sheet.gif", "error: sheet.gif: a sheet is a .jpg or a .png\n"),
        ("data --out none/sheet.jpg", "error: cannot write none/sheet.jpg: No such file or directory (os error 2)\n"),
        ("data --imgsz 100", "error: imgsz=100 is not a multiple of 32; take imgsz=128\n"),
        ("data --augment mosaic=2", "error: option `mosaic.p`: 2 is greater than the maximum of 1.0"),
        ("data --augment mosaik=1", "error: unknown key `mosaik`; did you mean `mosaic`?\n"),
        ("data --augment data.yaml", "error: `data.yaml` is neither a verb nor key=value"),
        ("data --split test", "error: "),
        ("nowhere.yaml", "error: cannot read nowhere.yaml: "),
    ] {
        let (code, out, err) = view(&run, words);
        assert!(code == Some(1) && out.is_empty() && err.starts_with(message), "{words}: {code:?} {err}");
    }
    for words in ["data --count 0", "data --count 101", "data --split all", "data --imgsz 4000"] {
        let (code, _, err) = view(&run, words);
        let value = words.split(' ').next_back().unwrap();
        assert!(code == Some(1) && err.contains(&format!("error: invalid value '{value}' for '--")), "{words}: {err}");
    }
    assert!(run.files() == before, "something was written");
}

#[test]
fn an_image_that_cannot_be_read_is_named() {
    let whole = crate::run::png();
    let mut torn = whole.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 40].fill(0);
    let run = Run::new().write("data/images/train/b.png", torn);
    let (code, _, err) = view(&run, "data --imgsz 64 --out s.png");
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("b.png left out: "), "{err}");
    assert!(image::open(run.path("s.png")).is_ok());
}

#[test]
fn a_run_leaves_pictures_of_its_labels_and_first_batches() {
    let run = Run::new().keys("batch=1 project=out name=run exist_ok=True");
    run.expect(0);
    let made = |name: &str| image::open(run.path(&format!("out/run/{name}"))).unwrap().to_rgb8();
    assert_eq!(made("labels.png").dimensions(), (1716, 1100));
    for i in 0..3 {
        let batch = made(&format!("train_batch{i}.jpg"));
        assert_eq!(batch.dimensions(), (20 + 480 + 20, 20 + 36 + 480 + 22 + 20), "one image");
    }
    assert!(!run.path("out/run/train_batch3.jpg").exists());
    assert!(run.read("out/run/run.toml").contains("plots = true"));

    let run = Run::new().keys("project=out name=run plots=False");
    run.expect(0);
    let files = run.files();
    assert!(
        files.keys().all(|path| !path.starts_with(run.path("out")) || path.extension().is_none_or(|it| it != "jpg"))
    );
    assert!(!run.path("out/run/labels.png").exists());
}

#[test]
fn a_picture_that_cannot_be_written_ends_no_run() {
    let run = Run::new().keys("epochs=2 project=out name=run exist_ok=True");
    let run = run.write("out/run/labels.png/mine", "").write("out/run/train_batch0.jpg/mine", "");
    let said = run.expect(0);
    assert_eq!(said.matches("the run goes on without its pictures").count(), 1, "{said}");
    assert!(said.contains("cannot write out/run/"), "{said}");
    assert!(run.path("out/run/train_batch1.jpg").is_file() && run.path("out/run/weights/best.safetensors").is_file());
}
