//! Known pixels and known faults, through files.

use std::path::PathBuf;
use std::sync::Arc;

use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use sha2::{Digest as _, Sha256};
use trainer_image::Sample;

use super::*;

/// Left half red, right half blue.
fn two_halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) })
}

fn saved(image: impl Into<DynamicImage>, name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    image.into().save(&path).unwrap();
    (dir, path)
}

fn pixel(image: &Image, x: usize, y: usize) -> [u8; 3] {
    let at = (y * image.size().width as usize + x) * 3;
    image.pixels()[at..at + 3].try_into().unwrap()
}

#[test]
fn scales_down_and_keeps_the_aspect() {
    let (_dir, path) = saved(two_halves(40, 21), "a.png");
    for (wanted, side, height) in [(40, 40, 21), (80, 40, 21), (20, 20, 11), (13, 13, 7)] {
        let (image, original) = decode(&path, wanted).unwrap();
        assert_eq!((image.size(), original), (Size::new(side, height), Size::new(40, 21)));
        assert_eq!(pixel(&image, 0, 0), [255, 0, 0]);
        assert_eq!(pixel(&image, side as usize - 1, height as usize - 1), [0, 0, 255]);
    }
    assert_eq!(check(&path).unwrap(), Size::new(40, 21));
}

#[test]
fn the_size_is_that_of_a_fitted_canvas() {
    for (width, height, side) in [(500, 375, 640), (375, 500, 640), (333, 500, 416), (1001, 7, 64), (640, 640, 320)] {
        let original = Size::new(width, height);
        let image = Image::rgb(Size::new(1, 1), vec![0; 3]).unwrap();
        let mut sample = Sample::new(Arc::new(image), original);
        sample.fit(side);
        assert_eq!(fitted(original, side), sample.size());
    }
}

#[test]
fn reducing_averages() {
    let stripes = RgbImage::from_fn(400, 400, |x, _| if x % 2 == 0 { Rgb([255; 3]) } else { Rgb([0; 3]) });
    let (_dir, path) = saved(stripes, "a.png");
    let (image, _) = decode(&path, 50).unwrap();
    let inner = pixel(&image, 25, 25)[0];
    assert!((125..=130).contains(&inner), "{inner}");
}

#[test]
fn every_pixel_type_becomes_rgb() {
    let (_dir, grey) = saved(GrayImage::from_pixel(12, 12, Luma([77])), "a.png");
    assert_eq!(pixel(&decode(&grey, 12).unwrap().0, 3, 3), [77; 3]);
    let deep = ImageBuffer::<Rgb<u16>, _>::from_pixel(12, 12, Rgb([0xffff, 0x8080, 0]));
    let (_dir, deep) = saved(DynamicImage::ImageRgb16(deep), "a.tiff");
    assert_eq!(pixel(&decode(&deep, 12).unwrap().0, 3, 3), [255, 128, 0]);
    let (_dir, clear) = saved(RgbaImage::from_pixel(12, 12, Rgba([10, 20, 30, 0])), "a.webp");
    assert_eq!(pixel(&decode(&clear, 12).unwrap().0, 3, 3), [10, 20, 30]);
    assert_eq!((check(&deep).unwrap(), check(&clear).unwrap()), (Size::square(12), Size::square(12)));
    let (_dir, misnamed) = saved(two_halves(20, 20), "a.bmp");
    std::fs::rename(&misnamed, misnamed.with_extension("jpg")).unwrap();
    assert_eq!(decode(&misnamed.with_extension("jpg"), 20).unwrap().1, Size::square(20), "content decides");
}

/// An EXIF segment that says nothing but the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let tiff = [b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0][..], &[0; 4]].concat();
    let length = (2 + 6 + tiff.len()) as u16;
    [b"\xff\xe1", &length.to_be_bytes()[..], b"Exif\0\0", &tiff].concat()
}

#[test]
fn orientation_is_honoured() {
    let (_dir, path) = saved(two_halves(40, 20), "a.jpg");
    let plain = std::fs::read(&path).unwrap();
    let turned = [&plain[..2], &exif(6), &plain[2..]].concat(); // 6: turn right to see it upright
    std::fs::write(&path, turned).unwrap();
    assert_eq!(check(&path).unwrap(), Size::new(20, 40));
    let (image, original) = decode(&path, 40).unwrap();
    assert_eq!((image.size(), original), (Size::new(20, 40), Size::new(20, 40)));
    let (top, bottom) = (pixel(&image, 10, 2)[0], pixel(&image, 10, 37)[2]);
    assert!(top.min(bottom) > 200, "left has become top: red {top}, blue {bottom}");
    let twice = [&plain[..2], &exif(6), &exif(3), &plain[2..]].concat();
    std::fs::write(&path, twice).unwrap();
    assert_eq!(check(&path).unwrap(), Size::new(20, 40), "the first one holds");
}

#[test]
fn bad_files_are_errors() {
    let (_dir, path) = saved(two_halves(64, 64), "a.jpg");
    let whole = std::fs::read(&path).unwrap();
    let message = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        check(&path).unwrap_err().to_string()
    };
    let unknown = "not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)";
    let cut_off = "the file is cut off: the end of its image data is missing";
    assert_eq!(message(b""), "the file is empty");
    assert_eq!(message(b"no image, whatever its name says"), unknown);
    assert_eq!(decode(&path, 64).unwrap_err().to_string(), unknown);
    let headless = "the file is cut off or damaged: the end of its header is missing";
    assert_eq!(message(&whole[..100]), headless);
    assert_eq!(decode(&path, 64).unwrap_err().to_string(), headless);
    assert_eq!(message(&whole[..whole.len() - 100]), cut_off);
    let with_preview = [&whole[..2], b"\xff\xe1\x00\x04\xff\xd9", &whole[2..whole.len() - 2]].concat();
    assert_eq!(message(&with_preview), cut_off, "the end of a preview is not the end");

    let (_dir, flat) = saved(two_halves(64, 9), "a.png");
    assert_eq!(check(&flat).unwrap_err().to_string(), "64x9 pixels: a side needs at least 10");
    let (_dir, png) = saved(two_halves(64, 64), "a.png");
    let whole = std::fs::read(&png).unwrap();
    assert_eq!(message(&whole[..whole.len() - 5]), cut_off);
    assert!(decode(Path::new("/nowhere.jpg"), 64).unwrap_err().to_string().starts_with("No such file"));
}

#[test]
fn data_after_the_end_is_no_harm() {
    for name in ["a.jpg", "a.png"] {
        let (_dir, path) = saved(two_halves(64, 64), name);
        let padded = [std::fs::read(&path).unwrap(), vec![0; 100]].concat();
        std::fs::write(&path, padded).unwrap();
        assert_eq!(check(&path).unwrap(), Size::square(64));
        assert_eq!(decode(&path, 64).unwrap().1, Size::square(64));
    }
}

#[test]
fn memory_is_bounded() {
    let (_dir, path) = saved(two_halves(64, 64), "a.bmp");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[18..22].copy_from_slice(&60_000u32.to_le_bytes());
    bytes[22..26].copy_from_slice(&60_000u32.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let message = "60000x60000 pixels are 10800000000 bytes: at most 536870912 are decoded";
    assert_eq!(check(&path).unwrap_err().to_string(), message);
    assert_eq!(decode(&path, 64).unwrap_err().to_string(), message);
}

/// The pixels by libjpeg-turbo 3.2.0 (through Pillow 13.0) of corpus images of 48 x 32, as the first half of the SHA-256
/// of R G B, row by row: as they are, at a half, at a quarter.
const BY_LIBJPEG: [(&str, [&str; 3]); 10] = [
    ("411.jpg", ["ad743ebbc643cd25", "82418f74a9d7c4d0", "87b3c09b734922a9"]),
    ("420.jpg", ["7e509048c2627169", "d501e387943d63b8", "7d0864408bf73862"]),
    ("420_progressive.jpg", ["7e509048c2627169", "d501e387943d63b8", "7d0864408bf73862"]),
    ("422.jpg", ["7fff147eced54755", "628659b91c78beba", "5bc99af910eb50ff"]),
    ("440.jpg", ["5beac1b7aef85ce3", "9ea320be205a093e", "19ac4a5f81284d6c"]),
    ("444_progressive.jpg", ["19d4061635bdca38", "d8acb72d59e07283", "4e3f4d6b6205d7bd"]),
    ("grey.jpg", ["3da01edf2561ec11", "c57adbb8b11ac7d2", "6f71868e55600fff"]),
    ("restart.jpg", ["7e509048c2627169", "d501e387943d63b8", "7d0864408bf73862"]),
    ("rgb.jpg", ["dbbe828c07e09fc2", "c7c71f2c134b69b6", "1b78f8f908ef11e7"]),
    ("turned.jpg", ["7e509048c2627169", "d501e387943d63b8", "7d0864408bf73862"]),
];

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/fuzz/corpus/images").join(name)
}

#[test]
fn jpegs_have_the_pixels_of_libjpeg_turbo() {
    for (name, expected) in BY_LIBJPEG {
        for (side, expected) in [48, 24, 12].into_iter().zip(expected) {
            let file = BufReader::new(File::open(corpus(name)).unwrap());
            let Decoded { pixels, reduction, .. } = read(file, side).unwrap();
            let digest: String = Sha256::digest(pixels.as_raw()).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!((pixels.width(), reduction, &digest[..16]), (side, 48 / side, expected), "{name} at {side}");
        }
    }
}

/// Four pixels each by libjpeg-turbo 3.2.0 through Pillow 13.0; where chroma is computed, decoders differ by a few.
#[test]
fn cmyk_jpegs_become_rgb() {
    let places = [(0, 0), (47, 0), (15, 12), (30, 31)];
    for (name, expected) in [
        ("cmyk.jpg", [[0, 0, 127], [255, 0, 130], [220, 41, 29], [163, 254, 121]]),
        ("ycck.jpg", [[255, 210, 255], [0, 0, 227], [174, 0, 189], [102, 130, 0]]),
    ] {
        let (image, size) = decode(&corpus(name), 48).unwrap();
        assert_eq!(size, Size::new(48, 32));
        for ((x, y), expected) in places.into_iter().zip(expected) {
            let found = pixel(&image, x, y);
            let is_near = found.into_iter().zip(expected).all(|(a, b): (u8, u8)| a.abs_diff(b) <= 3);
            assert!(is_near, "{name} at {x}, {y}: {found:?}, not {expected:?}");
        }
    }
}

/// The mean difference of two images, in grey levels of 255.
fn difference(a: &Image, b: &Image) -> f64 {
    assert_eq!(a.size(), b.size());
    let sum: f64 = a.pixels().iter().zip(b.pixels()).map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / a.pixels().len() as f64
}

/// A JPEG decoded at a part of its size and then scaled, against the same pixels scaled from the full size. The picture
/// grows by 4.3, so that its sides divide by nothing.
fn reduced_against_full(photo: &DynamicImage, side: u32) -> f64 {
    let (width, height) = (photo.width() * 43 / 10, photo.height() * 43 / 10);
    let large = photo.resize_exact(width, height, image::imageops::FilterType::CatmullRom).into_rgb8();
    let (_dir, path) = saved(large, "a.jpg");
    let reader = BufReader::new(File::open(&path).unwrap());
    let Decoded { pixels: full, reduction, .. } = read(reader, width.max(height)).unwrap();
    assert_eq!(reduction, 1);
    let (_dir, lossless) = saved(full, "a.png");
    let (reduced, original) = decode(&path, side).unwrap();
    assert_eq!(original, Size::new(width, height));
    difference(&reduced, &decode(&lossless, side).unwrap().0)
}

#[test]
fn a_reduced_jpeg_is_near_the_full_one() {
    let waves = |x: u32, y: u32| {
        let (x, y) = (f64::from(x), f64::from(y));
        let wave = |a: f64, b: f64| (127.5 + 120.0 * (x / a).sin() * (y / b).cos()) as u8;
        Rgb([wave(9.0, 7.0), wave(4.0, 11.0), wave(17.0, 5.0)])
    };
    let drawn = DynamicImage::ImageRgb8(RgbImage::from_fn(149, 111, waves));
    for side in [320, 300, 160, 80] {
        let difference = reduced_against_full(&drawn, side);
        assert!(difference < 1.5, "waves at {side}: {difference}");
    }
    let Some(photos) =
        std::env::var_os("TRAINER_REAL_DATA").map(|data| Path::new(&data).join("coco-open/images/val2017"))
    else {
        return;
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(photos).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().take(6) {
        for side in [1024, 640, 320] {
            let difference = reduced_against_full(&image::open(file).unwrap(), side);
            eprintln!("{} at {side}: {difference:.3}", file.display());
            assert!(difference < 3.0, "{} at {side}: {difference}", file.display());
        }
    }
}

#[test]
fn a_reduced_image_keeps_its_place() {
    // red up to pixel 500 of 1003: the edge is at 500 / 1003 of any size
    let image = RgbImage::from_fn(1003, 517, |x, _| if x < 500 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) });
    let (_dir, path) = saved(image, "a.jpg");
    for side in [501, 250, 125, 100] {
        let (image, _) = decode(&path, side).unwrap();
        let row = image.size().height as usize / 2;
        let blue: f64 = (0..side as usize).map(|x| f64::from(pixel(&image, x, row)[2]) / 254.0).sum();
        let expected = f64::from(side) * 503.0 / 1003.0;
        assert!((blue - expected).abs() < 0.1, "{side}: {blue} blue pixels, expected {expected}");
    }
}

#[test]
fn jpegs_that_are_not_read() {
    let (_dir, path) = saved(two_halves(64, 64), "a.jpg");
    let whole = std::fs::read(&path).unwrap();
    let frame = whole.windows(2).position(|bytes| bytes == b"\xff\xc0").unwrap();
    let message = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[frame + at..frame + at + bytes.len()].copy_from_slice(bytes);
        std::fs::write(&path, changed).unwrap();
        let message = check(&path).unwrap_err().to_string();
        assert_eq!(decode(&path, 64).unwrap_err().to_string(), message);
        message
    };
    assert_eq!(message(1, b"\xc3"), "a lossless JPEG: only baseline and progressive ones are read");
    assert_eq!(message(1, b"\xc9"), "an arithmetic-coded JPEG: only baseline and progressive ones are read");
    assert_eq!(message(1, b"\xc5"), "a hierarchical JPEG: only baseline and progressive ones are read");
    assert_eq!(message(4, b"\x0c"), "a JPEG of 12 bits a sample: only those of 8 are read");
    let components = "a JPEG of 2 components: only those of 1 (grey), 3 (colour) and 4 (CMYK) are read";
    assert_eq!(message(9, b"\x02"), components);
    assert_eq!(message(2, &[0, 7]), "damaged: its frame header is too short");
    assert_eq!(message(5, &[0, 0]), "64x0 pixels: a side needs at least 10");
    assert_eq!(message(1, b"\xe5"), "damaged: the JPEG does not give its size");
    let large = "30000x30000 pixels are 2700000000 bytes: at most 536870912 are decoded";
    assert_eq!(message(5, &[0x75, 0x30, 0x75, 0x30]), large);
    // 10000 x 10000 pixels: 300 MB, but 1.2 GB with the coefficients of a progressive one
    let progressive = [0xc2, 0, 17, 8, 0x27, 0x10, 0x27, 0x10];
    let large = "10000x10000 pixels of this JPEG take 1200000000 bytes as they are decoded: at most 1073741824 may";
    assert_eq!(message(1, &progressive), large);

    let segment = whole[frame..frame + 19].to_vec();
    let two = [&whole[..frame], &segment, &whole[frame..]].concat();
    std::fs::write(&path, two).unwrap();
    assert_eq!(check(&path).unwrap(), Size::square(64), "only a decoder sees it");
    let message = decode(&path, 64).unwrap_err().to_string();
    assert!(message.starts_with("the JPEG cannot be decoded: "), "{message}");

    // a frame after a marker that stands alone, which the decoder takes for the start of a segment around that frame
    let mut small = segment;
    small[5..9].copy_from_slice(&[0, 16, 0, 16]);
    let hidden = [&whole[..2], b"\xff\x01\x00\x15", &small, &whole[2..]].concat();
    std::fs::write(&path, hidden).unwrap();
    assert_eq!(check(&path).unwrap(), Size::square(16));
    assert_eq!(decode(&path, 64).unwrap_err().to_string(), "damaged: two frames in one JPEG");
}

#[test]
fn damage_inside_a_jpeg_is_an_error_when_it_is_decoded() {
    let noise = RgbImage::from_fn(96, 96, |x, y| Rgb([(x * 7 + y * 13) as u8, (x * y) as u8, (x * x + y) as u8]));
    let (_dir, path) = saved(noise, "a.jpg");
    let whole = std::fs::read(&path).unwrap();
    let middle = whole.len() / 2;
    let write = |bytes: Vec<u8>| std::fs::write(&path, bytes).unwrap();
    let message = || {
        assert_eq!(check(&path).unwrap(), Size::square(96));
        decode(&path, 96).unwrap_err().to_string()
    };
    write([&whole[..middle], b"\xff\xd9"].concat());
    assert_eq!(message(), "the JPEG cannot be decoded: unexpected end of data");
    write([&whole[..middle], &[0xff, 0x00].repeat(20), &whole[middle + 40..]].concat());
    assert!(message().starts_with("the JPEG cannot be decoded: "), "{}", message());
    // as cameras write it: bytes between segments, or before the end
    let frame = whole.windows(2).position(|bytes| bytes == b"\xff\xc0").unwrap();
    let end = whole.len() - 2;
    write([&whole[..frame], b"\x01\x02\xff", &whole[frame..end], b"\0\0", &whole[end..]].concat());
    assert_eq!((check(&path).unwrap(), decode(&path, 96).unwrap().1), (Size::square(96), Size::square(96)));
}

#[test]
fn only_files_are_opened() {
    let dir = tempfile::tempdir().unwrap();
    let message = "not a file but a folder, pipe or device";
    assert_eq!(check(dir.path()).unwrap_err().to_string(), message);
    let pipe = dir.path().join("pipe.jpg");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(check(&pipe).unwrap_err().to_string(), message, "which would keep a reader waiting");
    assert_eq!(decode(&pipe, 64).unwrap_err().to_string(), message);
    let huge = dir.path().join("huge.jpg");
    File::create(&huge).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert_eq!(check(&huge).unwrap_err().to_string(), "the file has 536870913 bytes: at most 536870912 are read");
}
