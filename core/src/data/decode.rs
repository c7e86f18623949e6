//! Image files: their size from the header alone, and their pixels as upright RGB at the size the network wants.
//!
//! JPEGs of one or three components are decoded by libjpeg-turbo-rs (`jpeg`), all else by `image`.

mod guard;
mod jpeg;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, ensure};
use fast_image_resize::images::{Image as Pixels, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use trainer_image::{Image, Size};

pub use guard::{is_decoding, panic_text};

use guard::guarded;

/// Smaller sides are refused, as YOLO loaders do.
const MIN_SIDE: u32 = 10;

/// What an image may take as it is decoded: 178 million RGB pixels. A file may be as long.
const MAX_BYTES: u64 = 512 << 20;

/// The header is looked for in so many bytes before the whole file is read.
const HEAD_BYTES: u64 = 64 << 10;

/// What the header of an image file says.
#[derive(Clone, Copy)]
struct Header {
    /// As the pixels are stored.
    size: Size,
    /// How to turn them to see the image upright.
    orientation: Orientation,
}

/// Pixels as they are stored, perhaps fewer than the header says: by 1, 2, 4 or 8 to one each way.
struct Decoded {
    header: Header,
    pixels: RgbImage,
    reduction: u32,
}

/// Reads an image file as RGB, its longer side scaled down to `side` pixels where it has more; returns its upright full
/// size too. What is smaller stays as it is: the renderer scales it up when it draws.
///
/// Grey, palette, CMYK and 16-bit images become 8-bit RGB, alpha is dropped, EXIF orientation is applied, of an animation
/// the first frame is taken. The shorter side is rounded up. Bilinear; where it reduces, the filter widens with the
/// factor, so that nothing aliases. A JPEG of 2, 4 or 8 times `side` or more is decoded at a half, quarter or eighth.
///
/// # Errors
/// A file that cannot be read or decoded, is too large for memory, or has a side under 10 px.
pub fn decode(path: &Path, side: u32) -> Result<(Image, Size)> {
    guarded(|| decode_from(BufReader::new(open(path)?), side))
}

/// [`decode`] of the content of a file.
fn decode_from(reader: impl BufRead + Seek, side: u32) -> Result<(Image, Size)> {
    let Decoded { header, pixels, reduction } = read(reader, side)?;
    let wanted = reduced(header.size, side);
    let pixels = if wanted == header.size { pixels } else { resized(&pixels, header.size, reduction, wanted)? };
    let mut image = DynamicImage::ImageRgb8(pixels);
    image.apply_orientation(header.orientation);
    let size = Size::new(image.width(), image.height());
    Ok((Image::rgb(size, image.into_rgb8().into_raw())?, header.upright()))
}

/// The upright size of an image file from its header, after a look at whether its end is there.
///
/// # Errors
/// As [`decode`], as far as header and end tell.
pub fn check(path: &Path) -> Result<Size> {
    guarded(|| {
        let mut file = open(path)?;
        let mut head = Vec::new();
        file.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
        ensure!(!head.is_empty(), "the file is empty");
        let header = header(Cursor::new(&head)).or_else(|_| header(BufReader::new(open(path)?)))?;
        ensure!(has_end(&mut file, &head)?, "the file is cut off: the end of its image data is missing");
        Ok(header.upright())
    })
}

/// Opens a file, and nothing else: a pipe would keep us waiting, and a device has no end.
fn open(path: &Path) -> Result<File> {
    let metadata = fs::metadata(path)?;
    ensure!(metadata.is_file(), "not a file but a folder, pipe or device");
    let length = metadata.len();
    ensure!(length <= MAX_BYTES, "the file has {length} bytes: at most {MAX_BYTES} are read");
    Ok(File::open(path)?)
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
    let data = if format == ImageFormat::Jpeg { jpeg::scans(&bytes) } else { &bytes };
    Ok(data.windows(end.len()).any(|window| window == end))
}

fn header(mut reader: impl BufRead + Seek) -> Result<Header> {
    if !jpeg::is_jpeg(reader.fill_buf()?) {
        return decoder(reader).map(|(_, header)| header);
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    jpeg::Frame::of(&bytes).map(|frame| frame.header)
}

/// The pixels of a file, at least as many each way as [`reduced`] to `side`.
fn read(mut reader: impl BufRead + Seek, side: u32) -> Result<Decoded> {
    if !jpeg::is_jpeg(reader.fill_buf()?) {
        return read_any(reader);
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    let frame = jpeg::Frame::of(&bytes)?;
    if frame.is_cmyk() { read_any(Cursor::new(&bytes)) } else { frame.decode(&bytes, side) }
}

/// The pixels of a file by `image`.
fn read_any(reader: impl BufRead + Seek) -> Result<Decoded> {
    let (decoder, header) = decoder(reader)?;
    let pixels = DynamicImage::from_decoder(decoder).map_err(undecodable)?.into_rgb8();
    Ok(Decoded { header, pixels, reduction: 1 })
}

/// The reason alone: its text holds the text of its cause.
fn undecodable(reason: image::ImageError) -> Error {
    anyhow!("{reason}")
}

fn decoder<'a>(reader: impl BufRead + Seek + 'a) -> Result<(impl ImageDecoder + 'a, Header)> {
    let mut reader = ImageReader::new(reader).with_guessed_format()?;
    reader.format().context("not an image in a known format (JPEG, PNG, WebP, TIFF, BMP, GIF)")?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms); // broken EXIF turns nothing
    let (width, height) = decoder.dimensions();
    let header = Header::new(width, height, orientation, decoder.total_bytes())?;
    Ok((decoder, header))
}

impl Header {
    /// # Errors
    /// A side that is too short, or pixels of more bytes than may be decoded.
    fn new(width: u32, height: u32, orientation: Orientation, bytes: u64) -> Result<Self> {
        let side = width.min(height);
        ensure!(side >= MIN_SIDE, "{width}x{height} pixels: a side needs at least {MIN_SIDE}");
        ensure!(bytes <= MAX_BYTES, "{width}x{height} pixels are {bytes} bytes: at most {MAX_BYTES} are decoded");
        Ok(Self { size: Size::new(width, height), orientation })
    }

    /// The size of the image as it is meant to be seen.
    fn upright(&self) -> Size {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        let Size { width, height } = self.size;
        let is_turned = matches!(self.orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
        if is_turned { Size::new(height, width) } else { self.size }
    }
}

/// The size with a longer side of `side`, the other rounded up: the canvas that `Sample::fit` makes.
pub(super) fn fitted(size: Size, side: u32) -> Size {
    let ratio = f64::from(side) / f64::from(size.width.max(size.height));
    let fit = |length: u32| ((f64::from(length) * ratio).ceil() as u32).clamp(1, side.max(1));
    Size::new(fit(size.width), fit(size.height))
}

/// The size that [`decode`] gives: [`fitted`] where that is smaller.
pub fn reduced(size: Size, side: u32) -> Size {
    if size.width.max(size.height) > side { fitted(size, side) } else { size }
}

/// Scales pixels that stand for an image of the size `full`, one for `reduction` of its own each way. Where these do not
/// divide the size, the last pixels stand for less; the filter ends where the image does.
fn resized(pixels: &RgbImage, full: Size, reduction: u32, wanted: Size) -> Result<RgbImage> {
    let source = ImageRef::new(pixels.width(), pixels.height(), pixels.as_raw(), PixelType::U8x3)?;
    let mut scaled = Pixels::new(wanted.width, wanted.height, PixelType::U8x3);
    let [width, height] = [full.width, full.height].map(|side| f64::from(side) / f64::from(reduction));
    let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut scaled, &bilinear.crop(0.0, 0.0, width, height))?;
    RgbImage::from_raw(wanted.width, wanted.height, scaled.into_vec()).context("the scaled image has another size")
}

/// The readers of this file, for content that no file holds.
#[cfg(test)]
pub(super) mod fuzzed {
    use super::*;

    pub fn header(content: &[u8]) -> Result<Size> {
        guarded(|| super::header(Cursor::new(content)).map(|header| header.upright()))
    }

    pub fn decode(content: &[u8], side: u32) -> Result<(Image, Size)> {
        guarded(|| decode_from(Cursor::new(content), side))
    }
}

#[cfg(test)]
mod tests;
