//! The form of a cache file: a header of 64 bytes, pixels, and at the end the index that tells where they are.
//!
//! Header: magic, version, side of the images (u32), place and length of the index (u64, all little-endian), SHA-256 of
//! these and of the index. A file is written whole beside its place and renamed, and is never changed afterwards.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use sha2::{Digest as _, Sha256};
use trainer_image::{Image, Size};

use super::num_bytes;
use crate::data::headers::Stamp;

const MAGIC: &[u8; 8] = b"TRAINIMG";

/// Changes with the form of the file, and with the pixels that [`decode`](crate::data::decode::decode) gives.
const VERSION: u32 = 1;

/// Where the pixels begin.
pub const PIXELS: u64 = 64;

/// One image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// What its file was like.
    pub stamp: Stamp,
    /// Its upright full size.
    pub original: Size,
    /// Its size here.
    pub size: Size,
    /// Where its pixels begin; nowhere if it cannot be decoded.
    pub offset: Option<u64>,
}

/// An entry as the index has it: path, stamp, original and own width and height, offset.
type Row = (PathBuf, Stamp, [u32; 2], [u32; 2], Option<u64>);

/// A whole cache file, opened.
pub struct Store {
    file: File,
    /// Its images by their paths.
    pub entries: HashMap<PathBuf, Entry>,
}

impl Store {
    /// Opens a file of images with a longer side of `side`. One that is damaged, cut off, of another version or somebody
    /// else's counts as none.
    pub fn open(path: &Path, side: u32) -> Option<Self> {
        let file = File::open(path).ok()?;
        let length = file.metadata().ok()?.len();
        let mut header = [0; PIXELS as usize];
        file.read_exact_at(&mut header, 0).ok()?;
        let place = u64::from_le_bytes(header[16..24].try_into().ok()?);
        let size = length.checked_sub(place)?;
        if header[..32] != fields(side, place, size) || place < PIXELS {
            return None;
        }
        let mut index = vec![0; usize::try_from(size).ok()?];
        file.read_exact_at(&mut index, place).ok()?;
        if header[32..] != *sum(&header[..32], &index) {
            return None;
        }
        let rows: Vec<Row> = serde_json::from_slice(&index).ok()?;
        let entry = |(path, stamp, [w, h], [width, height], offset): Row| {
            (path, Entry { stamp, original: Size::new(w, h), size: Size::new(width, height), offset })
        };
        Some(Self { file, entries: rows.into_iter().map(entry).collect() })
    }

    /// The pixels of an entry, unless they cannot be read.
    pub fn image(&self, entry: &Entry) -> Option<Image> {
        let mut pixels = vec![0; usize::try_from(num_bytes(entry.size)).ok()?];
        self.file.read_exact_at(&mut pixels, entry.offset?).ok()?;
        Image::rgb(entry.size, pixels).ok()
    }
}

/// Writes index and header behind and before pixels that are there, up to `place`, and lets all reach the disk.
pub fn finish<'a>(file: &File, side: u32, place: u64, entries: impl Iterator<Item = (&'a Path, Entry)>) -> Result<()> {
    let pair = |size: Size| [size.width, size.height];
    let row =
        |(path, entry): (&'a Path, Entry)| (path, entry.stamp, pair(entry.original), pair(entry.size), entry.offset);
    let index = serde_json::to_vec(&entries.map(row).collect::<Vec<_>>())?;
    file.write_all_at(&index, place)?;
    file.set_len(place + index.len() as u64)?;
    let fields = fields(side, place, index.len() as u64);
    file.write_all_at(&[&fields[..], &sum(&fields, &index)].concat(), 0)?;
    Ok(file.sync_all()?)
}

fn fields(side: u32, place: u64, size: u64) -> [u8; 32] {
    let mut fields = [0; 32];
    fields[..8].copy_from_slice(MAGIC);
    fields[8..12].copy_from_slice(&VERSION.to_le_bytes());
    fields[12..16].copy_from_slice(&side.to_le_bytes());
    fields[16..24].copy_from_slice(&place.to_le_bytes());
    fields[24..].copy_from_slice(&size.to_le_bytes());
    fields
}

fn sum(fields: &[u8], index: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(fields).chain_update(index).finalize().to_vec()
}
