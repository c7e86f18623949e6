//! Images of every kind, good and bad, each with what happens and what is said: the rows of the table in
//! docs/bad-input.md. The check and a whole training run must agree, and leave the data as it was.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    time::SystemTime,
};

use serde_json::Value;
use trainer::data::decode::decode;
use trainer_sdk::Size;

use crate::run::{Run, png};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src/data/fuzz/corpus/images").join(name)
}

/// The files of the corpus that are taken as they are; the last one is a PNG.
const TAKEN: [&str; 13] = [
    "420_progressive.jpg",
    "444_progressive.jpg",
    "alpha.png",
    "alpha.webp",
    "animated.gif",
    "animated.png",
    "animated.webp",
    "cmyk.jpg",
    "grey.jpg",
    "grey16.png",
    "palette.png",
    "turned.jpg",
    "ycck.jpg",
];

/// A JPEG of 48 x 32 whose header has other bytes at `at`, counted from its frame header.
fn frame(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut jpeg = fs::read(corpus("420.jpg")).unwrap();
    let start = jpeg.windows(2).position(|marker| marker == b"\xff\xc0").unwrap() + at;
    jpeg[start..start + bytes.len()].copy_from_slice(bytes);
    jpeg
}

/// A PNG whose header says 30000 x 30000, with a checksum that is right.
fn huge_png() -> Vec<u8> {
    let mut bytes = png();
    let side = 30_000u32.to_be_bytes();
    bytes[16..24].copy_from_slice(&[side, side].concat());
    let crc = !bytes[12..29].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The bad ones: name and content.
fn bad() -> Vec<(&'static str, Vec<u8>)> {
    let jpeg = fs::read(corpus("420.jpg")).unwrap();
    let png = png();
    let middle = jpeg.len() - 60;
    let size = [0x75, 0x30, 0x75, 0x30];
    vec![
        ("cut.jpg", jpeg[..jpeg.len() - 20].to_vec()),
        ("cut.png", png[..png.len() / 2].to_vec()),
        ("empty.jpg", Vec::new()),
        ("header.jpg", jpeg[..40].to_vec()),
        ("huge.jpg", frame(5, &size)),
        ("huge.png", huge_png()),
        ("lossless.jpg", frame(1, &[0xc3])),
        ("text.jpg", b"<html>404</html>".to_vec()),
        ("tiny.png", dot()),
        ("damaged.jpg", [&jpeg[..middle], b"\xff\xd9"].concat()),
    ]
}

/// A PNG of one pixel.
fn dot() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(1, 1).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Content and time of change of all files below the data.
fn state(run: &Run) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let of_data = run.files().into_iter().filter(|(path, _)| path.starts_with(run.path("data")));
    let timed = |(path, bytes): (PathBuf, Vec<u8>)| {
        let changed = fs::symlink_metadata(&path).unwrap().modified().unwrap();
        (path, (bytes, changed))
    };
    of_data.map(timed).collect()
}

/// `trainer data check`: the exit code, and the document.
fn checked(run: &Run) -> (i32, Value) {
    let mut check = Command::new(&run.trainer);
    check.args(["data", "check", "data", "--json"]).current_dir(run.path(""));
    let output = check.env("XDG_CACHE_HOME", run.path("home/cache")).output().unwrap();
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

/// The reasons of the images that a check leaves out of training, by their file names.
fn left_out(document: &Value) -> BTreeMap<String, String> {
    let images = document["splits"][0]["left_out"].as_array().unwrap();
    let named = images.iter().map(|it| (Path::new(it["path"].as_str().unwrap()), it["reason"].as_str().unwrap()));
    named.map(|(path, why)| (path.file_name().unwrap().to_str().unwrap().to_owned(), why.to_owned())).collect()
}

/// What became of all images in one data set.
struct Outcome {
    /// Left out by the check, and why.
    left_out: BTreeMap<String, String>,
    /// What the run said.
    stderr: String,
}

/// A check and a run of all good and bad images.
static OUTCOME: LazyLock<Outcome> = LazyLock::new(|| {
    let mut run = Run::new().write("data/images/train/suffix.jpg", png());
    for (name, content) in TAKEN.map(|name| (name, fs::read(corpus(name)).unwrap())).into_iter().chain(bad()) {
        run = run.write(&format!("data/images/train/{name}"), content);
    }
    let before = state(&run);
    let (code, document) = checked(&run);
    assert_eq!((code, document["ok"].as_bool()), (0, Some(true)), "images alone do not stop a training");
    let stderr = run.expect(0);
    assert!(state(&run) == before, "the data were changed");
    Outcome { left_out: left_out(&document), stderr }
});

/// The reason why an image is left out, which the check and the run must give alike.
fn reason(name: &str) -> &'static str {
    let Outcome { left_out, stderr } = &*OUTCOME;
    let reason = left_out.get(name).unwrap_or_else(|| panic!("{name} is not left out"));
    let line = format!("WARN data/images/train/{name}: {reason}\n");
    assert_eq!(stderr.matches(&line).count(), 1, "{line}\n{stderr}");
    reason
}

/// Asserts that neither the check nor the run has anything to say about an image.
fn assert_taken(name: &str) {
    assert!(!OUTCOME.left_out.contains_key(name) && !OUTCOME.stderr.contains(name), "{name}\n{}", OUTCOME.stderr);
}

/// The pixel at a place of an image of the corpus, whose longer side is scaled to `side`.
fn pixel(name: &str, side: u32, x: usize, y: usize) -> [u8; 3] {
    let image = decode(&corpus(name), side).unwrap().0;
    let at = (y * image.size().width as usize + x) * 3;
    image.pixels()[at..at + 3].try_into().unwrap()
}

fn assert_near(a: [u8; 3], b: [u8; 3], tolerance: u8) {
    assert!(a.into_iter().zip(b).all(|(a, b)| a.abs_diff(b) <= tolerance), "{a:?} and {b:?}");
}

#[test]
fn the_rest_is_trained_on() {
    let Outcome { left_out, stderr } = &*OUTCOME;
    assert_eq!(left_out.len(), 9, "{left_out:#?}");
    assert!(stderr.contains("train: 9 of 28 images left out: unreadable\n"), "{stderr}");
    assert!(stderr.contains("trained in ") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn cut_off_files() {
    let message = "the file is cut off: the end of its image data is missing";
    assert_eq!((reason("cut.jpg"), reason("cut.png")), (message, message));
    assert_eq!(reason("header.jpg"), "the file is cut off or damaged: the end of its header is missing");
}

#[test]
fn empty_files() {
    assert_eq!(reason("empty.jpg"), "the file is empty");
}

#[test]
fn files_that_are_no_images() {
    assert_eq!(reason("text.jpg"), "not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)");
}

#[test]
fn a_suffix_of_another_format() {
    assert_taken("suffix.jpg");
}

#[test]
fn damage_that_no_header_shows() {
    let line =
        "image data/images/train/damaged.jpg left out (1 so far): the JPEG cannot be decoded: unexpected end of data";
    assert_eq!(OUTCOME.stderr.matches(line).count(), 1, "{}", OUTCOME.stderr);
    assert!(!OUTCOME.left_out.contains_key("damaged.jpg"), "a check reads no pixels");
}

#[test]
fn jpegs_of_rare_kinds() {
    assert_eq!(reason("lossless.jpg"), "a lossless JPEG: only baseline and progressive ones are read");
}

#[test]
fn progressive_jpegs() {
    assert_taken("420_progressive.jpg");
    assert_taken("444_progressive.jpg");
    assert_eq!(pixel("420_progressive.jpg", 48, 20, 12), pixel("420.jpg", 48, 20, 12));
}

#[test]
fn cmyk() {
    assert_taken("cmyk.jpg");
    assert_taken("ycck.jpg");
    assert_near(pixel("cmyk.jpg", 48, 15, 12), [220, 40, 30], 3);
}

#[test]
fn grey() {
    assert_taken("grey.jpg");
    let [r, g, b] = pixel("grey.jpg", 48, 15, 12);
    assert!(r == g && g == b && r.abs_diff(93) <= 3, "0.299 R + 0.587 G + 0.114 B of (220, 40, 30) is 93: {r}");
}

#[test]
fn sixteen_bits() {
    assert_taken("grey16.png");
    let rgb = pixel("rgb.png", 12, 4, 4).map(f64::from);
    let grey = (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]).round() as u8;
    assert_near(pixel("grey16.png", 12, 4, 4), [grey; 3], 1);
}

#[test]
fn palette() {
    assert_taken("palette.png");
    assert_eq!(pixel("palette.png", 12, 4, 4), [206, 64, 79], "as Pillow 13.0 reads it");
}

#[test]
fn alpha() {
    assert_taken("alpha.png");
    assert_taken("alpha.webp");
    assert_eq!(pixel("alpha.png", 12, 4, 4), pixel("rgb.png", 12, 4, 4), "dropped, not blended");
}

#[test]
fn exif_orientation() {
    assert_taken("turned.jpg");
    assert_eq!(decode(&corpus("turned.jpg"), 48).unwrap().1, Size::new(32, 48));
    assert_eq!(pixel("turned.jpg", 48, 31 - 12, 20), pixel("420.jpg", 48, 20, 12));
}

#[test]
fn animations() {
    // the second frame is a mirror image
    for (name, expected) in [
        ("animated.png", pixel("rgb.png", 12, 1, 8)),
        ("animated.webp", pixel("rgb.png", 12, 1, 8)),
        ("animated.gif", [54, 218, 153]), // of 8 colours, as Pillow 13.0 reads it
    ] {
        assert_taken(name);
        assert_eq!(pixel(name, 12, 1, 8), expected, "{name}");
    }
    assert!(pixel("rgb.png", 12, 1, 8)[0].abs_diff(pixel("rgb.png", 12, 10, 8)[0]) > 100, "frames tell apart");
}

#[test]
fn one_pixel() {
    assert_eq!(reason("tiny.png"), "1x1 pixels: a side needs at least 10");
}

#[test]
fn sizes_beyond_memory() {
    let large = "30000x30000 pixels are 2700000000 bytes: at most 536870912 are decoded";
    assert_eq!(reason("huge.jpg"), large);
    assert_eq!(reason("huge.png"), large);
    // in an address space that cannot hold them
    let run = Run::new().write("data/images/train/huge.jpg", frame(5, &[0x75, 0x30, 0x75, 0x30]));
    let run = run.write("data/images/train/huge.png", huge_png());
    let words = r#"ulimit -v 2000000; exec "$0" data check data"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", words]).arg(&run.trainer).current_dir(run.path(""));
    let output = shell.env("XDG_CACHE_HOME", run.path("home/cache")).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), stdout.matches(large).count()), (Some(0), 2), "{stdout}");
}

#[test]
fn a_list_that_names_a_folder() {
    let run = Run::new().write("data/images/train/x.jpg/y.txt", "");
    let images = ["a.png", "b.png", "x.jpg", "gone.jpg"].map(|name| format!("images/train/{name}\n")).concat();
    let run = run.write("data/train.txt", images);
    let run = run.write("data/data.yaml", "train: train.txt\nval: images/val\nnames: [cat, dog]\n");
    let reasons = left_out(&checked(&run).1);
    assert_eq!(reasons["x.jpg"], "not a file but a folder, pipe or device");
    assert_eq!(reasons["gone.jpg"], "No such file or directory (os error 2)");
    assert_eq!(reasons.len(), 2);
}

#[test]
fn a_link_to_itself() {
    let run = Run::new();
    symlink(run.path("data/images/train/x.jpg"), run.path("data/images/train/x.jpg")).unwrap();
    let (code, document) = checked(&run);
    let error = document["splits"][0]["error"].as_str().unwrap();
    let start = "data/data.yaml:2: train: cannot search for images: IO error for operation on";
    assert!(code == 1 && error.starts_with(start) && error.contains("x.jpg"), "{error}");
}

#[test]
fn images_that_may_not_be_read() {
    let run = Run::new();
    let secret = run.path("data/images/train/b.png");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    // root reads everything, so that its child becomes nobody, who must be able to reach the rest
    let is_root = fs::read(&secret).is_ok();
    fs::set_permissions(run.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let as_reader = |words: &[&str]| {
        let mut command = Command::new(if is_root { Path::new("setpriv") } else { &run.trainer });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&run.trainer);
        }
        command
            .args(words)
            .current_dir(run.path(""))
            .env("XDG_CACHE_HOME", run.path("cache"))
            .env("OMP_NUM_THREADS", "1");
        command.output().ok().filter(|output| !matches!(output.status.code(), Some(126 | 127)))
    };
    let Some(check) = as_reader(&["data", "check", "data"]) else {
        eprintln!("left out: root reads everything, and setpriv cannot start the trainer as somebody else");
        return;
    };
    let stdout = String::from_utf8(check.stdout).unwrap();
    let message = "data/images/train/b.png: Permission denied (os error 13)\n";
    assert_eq!((check.status.code(), stdout.matches(message).count()), (Some(0), 1), "{stdout}");
    let words: Vec<&str> = ["train"].into_iter().chain(run.words.iter().map(String::as_str)).collect();
    let train = as_reader(&words).unwrap();
    let stderr = String::from_utf8(train.stderr).unwrap();
    assert_eq!((train.status.code(), stderr.matches(message).count()), (Some(0), 1), "{stderr}");
}

#[test]
fn images_that_vanish_during_a_run() {
    let run = Run::new().keys("epochs=6");
    let mut train = Command::new(&run.trainer);
    train.args(&run.words).current_dir(run.path("")).env("OMP_NUM_THREADS", "1");
    train.env("XDG_CACHE_HOME", run.path("home/cache")).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = train.spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("run directory ") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    fs::remove_file(run.path("data/images/train/d.png")).unwrap(); // it has been checked; six epochs want it
    stderr.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let line = "WARN image data/images/train/d.png left out (1 so far): No such file or directory (os error 2)\n";
    assert_eq!(said.matches(line).count(), 1, "{said}");
    assert_eq!(said.matches("d.png").count(), 1, "{said}");
    assert!(said.contains("trained in "), "{said}");
}

/// The names of the functions under `#[test]` in this file.
fn test_names() -> Vec<&'static str> {
    let after = include_str!("data_images.rs").split("#[test]\nfn ").skip(1);
    after.filter_map(|rest| rest.split('(').next()).collect()
}

#[test]
fn each_row_of_the_table_of_images_is_a_test() {
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/bad-input.md")).unwrap();
    let images = table.split("\n## ").find(|section| section.starts_with("Images")).unwrap();
    let rows = images.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Input"));
    let mut named: Vec<&str> =
        rows.map(|row| row.trim_end_matches(" |").rsplit("| ").next().unwrap().trim_matches('`')).collect();
    let mut tests = test_names();
    tests.retain(|name| !["each_row_of_the_table_of_images_is_a_test", "the_rest_is_trained_on"].contains(name));
    named.sort_unstable();
    named.dedup();
    tests.sort_unstable();
    assert_eq!(named, tests, "docs/bad-input.md and the tests differ");
}
