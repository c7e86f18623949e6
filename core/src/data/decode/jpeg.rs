//! JPEG: headers, and the pixels of grey and colour images, at a half, a quarter or an eighth of their size if that does.
//!
//! Markers as in ITU-T T.81, annex B. Data that ends early or breaks the code is an error: libjpeg would warn and fill
//! the rest with grey. Bytes between segments, and after the last block, are passed over as libjpeg does.

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use image::RgbImage;
use image::metadata::Orientation;
use libjpeg_turbo_rs::{DecodeLimits, Decoder, JpegError, PixelFormat, ScalingFactor};
use trainer_image::Size;

use super::{Decoded, Header, MAX_BYTES};

/// What decoding may take: pixels, planes, and the coefficients that a progressive JPEG has to keep.
const MAX_MEMORY: u64 = 2 * MAX_BYTES;

/// Encoders write about 10 scans; each of them goes over all blocks.
const MAX_SCANS: usize = 100;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP1: u8 = 0xe1;

/// Whether a file of this content is a JPEG.
pub fn is_jpeg(head: &[u8]) -> bool {
    head.starts_with(&[0xff, SOI, 0xff])
}

/// The JPEG from its first scan on, past the header segments, whose preview image has an end marker of its own.
pub fn scans(bytes: &[u8]) -> &[u8] {
    let first = Segments::of(bytes).find(|(marker, _)| *marker == SOS);
    first.map_or(&[], |(_, rest)| rest)
}

/// The segments of a header: marker and content. The last one is the start of scan, with all that follows it.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes.get(2..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let marker = loop {
            let start = self.rest.iter().position(|&byte| byte == 0xff)?;
            let padded = &self.rest[start..];
            let end = padded.iter().position(|&byte| byte != 0xff)?;
            self.rest = &padded[end + 1..];
            match padded[end] {
                0x00 | 0x01 | 0xd0..=SOI => {} // no marker, or one without a segment
                EOI => return None,
                marker => break marker,
            }
        };
        if marker == SOS {
            return Some((marker, std::mem::take(&mut self.rest)));
        }
        let &[high, low, ..] = self.rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low])); // counts its own two bytes
        let (segment, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some((marker, segment.get(2..)?))
    }
}

/// What the header says.
pub struct Frame {
    pub header: Header,
    components: u8,
}

impl Frame {
    /// Reads a header, which may end after the first start of scan.
    ///
    /// # Errors
    /// A header that is damaged or cut off, a kind of JPEG that is not read, a size that is too small or too large.
    pub fn of(bytes: &[u8]) -> Result<Self> {
        let (mut frame, mut orientation) = (None, None);
        for (marker, content) in Segments::of(bytes) {
            match marker {
                0xc4 | 0xc8 | 0xcc => {} // tables, not frames
                0xc0..=0xcf if frame.is_none() => frame = Some((marker, content)),
                APP1 if orientation.is_none() => {
                    orientation = content.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk);
                }
                SOS => {
                    let (marker, content) = frame.context("damaged: the JPEG does not give its size")?;
                    return Self::read(marker, content, orientation.unwrap_or(Orientation::NoTransforms));
                }
                _ => {}
            }
        }
        bail!("the file is cut off or damaged: the end of its header is missing")
    }

    fn read(marker: u8, content: &[u8], orientation: Orientation) -> Result<Self> {
        let what = match marker {
            0xc0..=0xc2 => None, // baseline, extended, progressive
            0xc3 => Some("a lossless"),
            0xc9..=0xcb => Some("an arithmetic-coded"),
            _ => Some("a hierarchical"),
        };
        if let Some(what) = what {
            bail!("{what} JPEG: only baseline and progressive ones are read");
        }
        let &[bits, h1, h0, w1, w0, components, ..] = content else { bail!("damaged: its frame header is too short") };
        ensure!(bits == 8, "a JPEG of {bits} bits a sample: only those of 8 are read");
        ensure!(
            matches!(components, 1 | 3 | 4),
            "a JPEG of {components} components: only those of 1 (grey), 3 (colour) and 4 (CMYK) are read"
        );
        let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
        let pixels = u64::from(width) * u64::from(height);
        let header = Header::new(width.into(), height.into(), orientation, pixels * 3)?;
        let planes = u64::from(components);
        let coefficients = if marker == 0xc2 { 2 * planes } else { 0 };
        let memory = pixels * (3 + planes + coefficients);
        ensure!(
            memory <= MAX_MEMORY,
            "{width}x{height} pixels of this JPEG take {memory} bytes as they are decoded: at most {MAX_MEMORY} may"
        );
        Ok(Self { header, components })
    }

    /// Whether it has four components: CMYK, or YCCK.
    pub fn is_cmyk(&self) -> bool {
        self.components == 4
    }

    /// The pixels of a grey or colour JPEG, reduced as far as its longer side stays `side` pixels or more.
    ///
    /// # Errors
    /// Data that are damaged or end early.
    pub fn decode(&self, bytes: &[u8], side: u32) -> Result<Decoded> {
        let Size { width, height } = self.header.size;
        let is_enough = |reduction: &u32| width.max(height) / reduction >= side;
        let reduction = [8, 4, 2].into_iter().find(is_enough).unwrap_or(1);
        let limits = DecodeLimits {
            max_width: u16::MAX.into(),
            max_height: u16::MAX.into(),
            max_scans: MAX_SCANS,
            ..DecodeLimits::default()
        };
        let decoder = Decoder::new_with_limits(bytes, limits).map_err(undecodable)?;
        let found = decoder.header();
        let is_same = (u32::from(found.width), u32::from(found.height)) == (width, height);
        ensure!(is_same && found.components.len() == usize::from(self.components), "damaged: two frames in one JPEG");
        let scale = ScalingFactor::try_new(1, reduction).map_err(undecodable)?;
        let image =
            decoder.with_output_format(PixelFormat::Rgb).with_scale(scale).decode_image().map_err(undecodable)?;
        let pixels = RgbImage::from_raw(image.width as u32, image.height as u32, image.data);
        Ok(Decoded { header: self.header, pixels: pixels.context("the JPEG decoder gave another size")?, reduction })
    }
}

fn undecodable(reason: JpegError) -> Error {
    anyhow!("the JPEG cannot be decoded: {reason}")
}
