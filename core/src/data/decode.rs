//! Image files: their size from the header alone, and their pixels as upright RGB at the size the network wants.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, ensure};
use fast_image_resize::images::{Image as Pixels, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use trainer_image::{Image, Size};

/// Smaller sides are refused, as YOLO loaders do.
const MIN_SIDE: u32 = 10;

/// What an image may take as it is decoded: 178 million RGB pixels.
const MAX_BYTES: u64 = 512 << 20;

/// The header is looked for in so many bytes before the whole file is read.
const HEAD_BYTES: u64 = 64 << 10;

/// Reads an image file as RGB, its longer side scaled to `side` pixels, up or down; returns its upright full size too.
///
/// Grey, palette and 16-bit images become 8-bit RGB, alpha is dropped, EXIF orientation is applied. The shorter side
/// is rounded up. Bilinear; where it reduces, the filter widens with the factor, so that nothing aliases.
///
/// # Errors
/// A file that cannot be read or decoded, is too large for memory, or has a side under 10 px.
pub fn decode(path: &Path, side: u32) -> Result<(Image, Size)> {
    let rgb = upright(path)?.into_rgb8();
    let original = Size::new(rgb.width(), rgb.height());
    let size = fitted(original, side);
    if size == original {
        return Ok((Image::rgb(size, rgb.into_raw())?, original));
    }
    let source = ImageRef::new(original.width, original.height, rgb.as_raw(), PixelType::U8x3)?;
    let mut scaled = Pixels::new(size.width, size.height, PixelType::U8x3);
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut scaled, &bilinear)?;
    Ok((Image::rgb(size, scaled.into_vec())?, original))
}

/// The upright size of an image file from its header, after a look at whether its end is there.
///
/// # Errors
/// As [`decode`], as far as header and end tell.
pub fn check(path: &Path) -> Result<Size> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    ensure!(!head.is_empty(), "the file is empty");
    let size = header(Cursor::new(&head)).or_else(|_| header(BufReader::new(File::open(path)?)))?;
    ensure!(has_end(&mut file, &head)?, "the file is cut off: the end of its image data is missing");
    Ok(size)
}

/// Whether a JPEG or PNG has its end marker: a decoder may fill what is missing with grey and say nothing.
fn has_end(file: &mut File, head: &[u8]) -> Result<bool> {
    let format = image::guess_format(head)?;
    let end: &[u8] = match format {
        ImageFormat::Jpeg => b"\xff\xd9",
        ImageFormat::Png => b"IEND\xae\x42\x60\x82",
        _ => return Ok(true),
    };
    let mut tail = vec![0; end.len()];
    file.seek(SeekFrom::End(-(end.len() as i64)))?;
    file.read_exact(&mut tail)?;
    if tail == end {
        return Ok(true);
    }
    // something may follow the image: padding, a film
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let data = if format == ImageFormat::Jpeg { jpeg_scans(&bytes) } else { &bytes };
    Ok(data.windows(end.len()).any(|window| window == end))
}

/// The JPEG from its first scan on, past the header segments, whose preview image has an end marker of its own.
fn jpeg_scans(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let [0xff, marker, high, low, ..] = *rest {
        if marker == 0xda {
            return rest;
        }
        let length = 2 + usize::from(u16::from_be_bytes([high, low]));
        rest = rest.get(length..).unwrap_or_default();
    }
    &[]
}

/// The image as it is meant to be seen.
fn upright(path: &Path) -> Result<DynamicImage> {
    let (decoder, _, orientation) = open(BufReader::new(File::open(path)?))?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The reason alone: its text holds the text of its cause.
fn undecodable(reason: image::ImageError) -> Error {
    anyhow!("{reason}")
}

fn header(reader: impl BufRead + Seek) -> Result<Size> {
    open(reader).map(|(_, size, _)| size)
}

/// A decoder, the upright size, and how to turn the pixels to get it.
fn open<'a>(reader: impl BufRead + Seek + 'a) -> Result<(impl ImageDecoder + 'a, Size, Orientation)> {
    let mut reader = ImageReader::new(reader).with_guessed_format()?;
    reader.format().context("not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)")?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms); // broken EXIF turns nothing
    let (width, height) = decoder.dimensions();
    let side = width.min(height);
    ensure!(side >= MIN_SIDE, "{width}x{height} pixels: a side needs at least {MIN_SIDE}");
    let bytes = decoder.total_bytes();
    ensure!(bytes <= MAX_BYTES, "{width}x{height} pixels are {bytes} bytes: at most {MAX_BYTES} are decoded");
    let size = match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 => Size::new(height, width),
        Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => Size::new(height, width),
        _ => Size::new(width, height),
    };
    Ok((decoder, size, orientation))
}

/// The size with a longer side of `side`, the other rounded up: the canvas that `Sample::fit` makes.
pub(super) fn fitted(size: Size, side: u32) -> Size {
    let ratio = f64::from(side) / f64::from(size.width.max(size.height));
    let fit = |length: u32| ((f64::from(length) * ratio).ceil() as u32).clamp(1, side.max(1));
    Size::new(fit(size.width), fit(size.height))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
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
    fn scales_up_and_down_and_keeps_the_aspect() {
        let (_dir, path) = saved(two_halves(40, 21), "a.png");
        for (side, height) in [(40, 21), (80, 42), (20, 11), (13, 7)] {
            let (image, original) = decode(&path, side).unwrap();
            assert_eq!((image.size(), original), (Size::new(side, height), Size::new(40, 21)));
            assert_eq!(pixel(&image, 0, 0), [255, 0, 0]);
            assert_eq!(pixel(&image, side as usize - 1, height as usize - 1), [0, 0, 255]);
        }
        assert_eq!(check(&path).unwrap(), Size::new(40, 21));
    }

    #[test]
    fn the_size_is_that_of_a_fitted_canvas() {
        for (width, height, side) in [(500, 375, 640), (375, 500, 640), (333, 500, 416), (1001, 7, 64), (640, 640, 320)]
        {
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
        assert!(pixel(&image, 10, 2)[0] > 200 && pixel(&image, 10, 37)[2] > 200, "left has become top");
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
        assert!(message(&whole[..100]).starts_with("Format error decoding Jpeg"));
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
}
