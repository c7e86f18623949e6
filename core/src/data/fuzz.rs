//! Bounded fuzzing of the readers: texts and images of a kept corpus are mutated by a seeded generator, and no reader may
//! panic, hang, or hand on a box that is not in its image.
//!
//! `TRAINER_FUZZ=200000` gives each reader so many texts, `TRAINER_FUZZ_SEED` other ones.

mod images;

use std::path::{Path, PathBuf};
use std::{env, fs};

use trainer_image::Size;
use trainer_sdk::Rng;

use super::formats::{LabelFile, fuzzed};
use super::yaml::Written;

/// Texts for each reader where nothing else is asked for.
const TEXTS: u64 = 4000;

/// Longer texts are cut.
const MAX_LENGTH: usize = 4096;

const SIZE: Size = Size::new(200, 100);

/// Pieces that readers take for something.
const PIECES: [&str; 40] = [
    "\0",
    "\n",
    "\r\n",
    "\u{feff}",
    " ",
    "\t",
    ",",
    ".",
    "-",
    "+",
    "0",
    "1",
    "9",
    "0.5",
    "1e309",
    "-1e-309",
    "nan",
    "inf",
    "1099511627776",
    "-0",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    ":",
    "- ",
    "*a",
    "&a ",
    "<",
    ">",
    "</",
    "/>",
    "<![CDATA[",
    "<!--",
    "&#x41;",
    "&amp;",
    "null",
    "true",
];

/// A reader under test: it says how many labels it took, and how many it refused.
type Reader = fn(&[u8]) -> (usize, usize);

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A text of the corpus after one to eight changes.
fn mutated(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut text = corpus[rng.below(corpus.len())].clone();
    let most = 1 + rng.below(8);
    for _ in 0..=rng.below(most) {
        let (from, to) = (rng.below(text.len() + 1), rng.below(text.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match rng.below(7) {
            0 if from < text.len() => text[from] ^= 1 << rng.below(8),
            1 => drop(text.drain(from..to.min(from + 16))),
            2 => drop(text.splice(from..from, PIECES[rng.below(PIECES.len())].bytes())),
            3 => {
                let piece = text[from..to].to_vec();
                text.splice(to..to, piece.repeat(1 + rng.below(3)));
            }
            4 => {
                let other = &corpus[rng.below(corpus.len())];
                let start = rng.below(other.len() + 1);
                text.splice(from..from, other[start..(start + 40).min(other.len())].iter().copied());
            }
            5 => drop(text.splice(from..to.min(from + 4), PIECES[rng.below(PIECES.len())].bytes())),
            _ => text.truncate(from.max(text.len() / 2)),
        }
        text.truncate(MAX_LENGTH);
    }
    text
}

fn fuzz(name: &str, read: Reader) {
    let corpus = corpus(name);
    let seed = number("TRAINER_FUZZ_SEED", 0);
    let texts = number("TRAINER_FUZZ", TEXTS);
    let (mut taken, mut refused) = (0, 0);
    for at in 0..texts {
        let text = mutated(&corpus, &mut Rng::from_key(&[seed, at]));
        let counts = std::panic::catch_unwind(|| read(&text));
        let Ok(counts) = counts else { panic!("{name}: text {at} of seed {seed}: {}", text.escape_ascii()) };
        (taken, refused) = (taken + counts.0, refused + counts.1);
    }
    eprintln!("{name}: {texts} texts, {taken} taken, {refused} refused");
    assert!(taken > 0 && refused > 0, "{name}: {taken} taken and {refused} refused: the texts test one side only");
}

/// Counts what was found, after a look at it.
fn sound(found: &LabelFile) -> (usize, usize) {
    for object in &found.objects {
        let b = object.bbox;
        assert!(0.0 <= b.x1 && b.x1 < b.x2 && b.x2 <= 200.0 && 0.0 <= b.y1 && b.y1 < b.y2 && b.y2 <= 100.0, "{b:?}");
        assert!(object.polygon.iter().all(|[x, y]| (0.0..=200.0).contains(x) && (0.0..=100.0).contains(y)));
    }
    found.problems.iter().for_each(|problem| assert_short(&problem.message));
    (found.objects.len(), found.problems.len())
}

fn assert_short(message: &str) {
    let is_short = message.chars().count() < 400 && !message.contains(char::is_control);
    assert!(is_short, "a message has few words: {message:?}");
}

/// A file that is refused as a whole.
fn refused(message: &str) -> (usize, usize) {
    assert_short(message);
    (0, 1)
}

#[test]
fn yolo_rows() {
    fuzz("yolo", |text| sound(&fuzzed::yolo(text, SIZE)));
}

#[test]
fn visdrone_rows() {
    fuzz("visdrone", |text| sound(&fuzzed::visdrone(text, SIZE)));
}

#[test]
fn voc_xml() {
    fuzz("voc", |text| fuzzed::voc(text, SIZE).map_or_else(|reason| refused(&reason), |found| sound(&found)));
}

#[test]
fn coco_json() {
    fuzz("coco", |text| fuzzed::coco(text, SIZE).map_or_else(|reason| refused(&reason), |found| sound(&found)));
}

#[test]
fn data_yaml() {
    fuzz("yaml", |text| {
        let text = String::from_utf8_lossy(text);
        match Written::parse(Path::new("data.yaml"), &text) {
            Ok(written) => {
                assert!(written.names.is_none_or(|names| !names.is_empty()));
                (1, 0)
            }
            Err(error) => {
                let message = format!("{error:#}");
                assert!(message.starts_with("data.yaml"), "{message}");
                refused(&message)
            }
        }
    });
}
