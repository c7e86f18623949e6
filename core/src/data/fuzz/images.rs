//! Image files under the same treatment: headers, and the decoding of images up to a megapixel. A panic inside a
//! decoder is an error, as it is in a run; such errors are counted.

use super::*;
use crate::data::decode::fuzzed::{decode, header};

/// Bytes that decoders take for something: limits of numbers, markers.
const BYTES: [u8; 12] = [0x00, 0x01, 0x02, 0x04, 0x08, 0x10, 0x7f, 0x80, 0xc0, 0xc2, 0xda, 0xff];

/// Larger images are not decoded here, since that takes long.
const MAX_PIXELS: usize = 1 << 20;

/// A file of the corpus with one to eight changes, the first kilobyte twice as often; the checksums of a PNG are set
/// right three times in four, since nothing else gets past them.
fn changed(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut file = corpus[rng.below(corpus.len())].clone();
    for _ in 0..=rng.below(8) {
        let end = if rng.below(3) == 0 { file.len() } else { file.len().min(80) };
        let at = rng.below(end);
        match rng.below(6) {
            0 => file[at] ^= 1 << rng.below(8),
            1 => file[at] = BYTES[rng.below(BYTES.len())],
            2 => file[at] = rng.below(256) as u8,
            3 => drop(file.drain(at..(at + 1 + rng.below(16)).min(file.len()))),
            4 => {
                let other = &corpus[rng.below(corpus.len())];
                let start = rng.below(other.len());
                file.splice(at..at, other[start..(start + 40).min(other.len())].iter().copied());
            }
            _ => file.truncate(at.max(file.len() / 2)),
        }
        if file.is_empty() {
            return vec![BYTES[rng.below(BYTES.len())]];
        }
    }
    if rng.below(4) > 0 {
        set_checksums(&mut file);
    }
    file
}

/// The checksums of a PNG (ISO 15948, 5.3 and annex D) as they should be.
fn set_checksums(file: &mut [u8]) {
    let mut rest = match file.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        Some(_) => &mut file[8..],
        None => return,
    };
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let end = 8usize.saturating_add(u32::from_be_bytes(*length) as usize);
        if rest.len() < end.saturating_add(4) {
            return;
        }
        let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        let crc = !rest[4..end].iter().fold(!0, |crc: u32, byte| (0..8).fold(crc ^ u32::from(*byte), step));
        rest[end..end + 4].copy_from_slice(&crc.to_be_bytes());
        rest = &mut rest[end + 4..];
    }
}

/// How inputs ended.
#[derive(Debug, Default)]
struct Counts {
    taken: usize,
    refused: usize,
    panicked: usize,
}

impl Counts {
    fn count<T>(&mut self, outcome: anyhow::Result<T>) -> Option<T> {
        match outcome {
            Ok(found) => {
                self.taken += 1;
                Some(found)
            }
            Err(error) => {
                self.refused += 1;
                let message = error.to_string();
                self.panicked += usize::from(message.starts_with("its decoder panicked"));
                assert_short(message.lines().next().unwrap_or_default());
                None
            }
        }
    }
}

fn inputs(test: fn(&[u8], &mut Rng, &mut Counts)) {
    let corpus = corpus("images");
    let (seed, number) = (number("TRAINER_FUZZ_SEED", 0), number("TRAINER_FUZZ", TEXTS));
    let mut counts = Counts::default();
    for at in 0..number {
        let mut rng = Rng::from_key(&[seed, at]);
        let file = changed(&corpus, &mut rng);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&file, &mut rng, &mut counts)));
        assert!(outcome.is_ok(), "input {at} of seed {seed}: {}", file.escape_ascii());
    }
    eprintln!("{number} inputs: {counts:?}");
    assert!(counts.taken > 0 && counts.refused > 0, "{counts:?}: the inputs test one side only");
}

#[test]
fn image_headers() {
    inputs(|file, _, counts| {
        let Some(size) = counts.count(header(file)) else { return };
        assert!(size.width >= 10 && size.height >= 10 && size.area() <= 512 << 20, "{size:?}");
    });
}

#[test]
fn images() {
    inputs(|file, rng, counts| {
        let side = [10, 12, 23, 48, 100][rng.below(5)];
        let size = header(file);
        if size.as_ref().is_ok_and(|size| size.area() > MAX_PIXELS) {
            return;
        }
        let Some((image, original)) = counts.count(decode(file, side)) else { return };
        assert_eq!(size.ok(), Some(original), "a header says what the decoder finds");
        assert_eq!(image.size().width.max(image.size().height), side.min(original.width.max(original.height)));
        assert_eq!(image.pixels().len(), image.size().area() * 3);
    });
}

#[test]
fn the_corpus_is_sound() {
    for file in corpus("images") {
        let size = header(&file).unwrap();
        assert_eq!(decode(&file, 48).unwrap().1, size);
        let mut same = file.clone();
        set_checksums(&mut same);
        assert!(same == file, "checksums are right already");
    }
}
