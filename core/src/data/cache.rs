//! Cache: decoded images in memory or in one file a split, so that later epochs read and decode no image files.
//!
//! What is kept is what [`decode`](super::decode::decode) gives, so the batches are the same with any cache.

mod disk;
mod free;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result};
use etcetera::BaseStrategy as _;
use serde::{Deserialize, Serialize};
use trainer_image::{Image, Size};

use super::{DataYaml, Dataset, decode};
use disk::Disk;

/// Where decoded images are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    /// Nowhere: each epoch decodes the image files.
    #[default]
    #[serde(alias = "false", alias = "False", alias = "None")]
    None,
    /// In memory, from the first use on.
    #[serde(alias = "true", alias = "True")]
    Ram,
    /// In a file in the user's cache folder, written before the first epoch and used again by later runs.
    Disk,
}

/// The decoded images of a data set, by their index.
#[derive(Clone, Default)]
pub(super) enum Cache {
    #[default]
    None,
    Ram(Arc<[OnceLock<(Arc<Image>, Size)>]>),
    Disk(Arc<Disk>),
}

impl Cache {
    /// Image `index` of the set, whose file is `path`, at a longer side of `side` pixels, and its upright full size.
    /// Called from several threads at once.
    ///
    /// # Errors
    /// As [`decode::decode`]; nothing is kept then.
    pub fn image(&self, index: usize, path: &Path, side: u32) -> Result<(Arc<Image>, Size)> {
        let decoded = || decode::decode(path, side).map(|(image, original)| (Arc::new(image), original));
        match self {
            Self::None => decoded(),
            Self::Ram(slots) => match slots.get(index) {
                Some(slot) if slot.get().is_none() => decoded().map(|image| slot.get_or_init(|| image).clone()),
                slot => slot.and_then(OnceLock::get).cloned().context("no such image"),
            },
            Self::Disk(disk) => match disk.image(index, path) {
                Some((image, original)) => Ok((Arc::new(image), original)),
                None => decoded(),
            },
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "no cache",
            Self::Ram(_) => "in memory",
            Self::Disk(_) => "on disk",
        })
    }
}

/// Gives the sets, splits of `yaml`, caches of this kind. On disk they lie in `dir`, or in the user's cache folder, and
/// are written now by `workers` threads as far as they are not there.
///
/// # Errors
/// If memory or disk have no room for them, or the folder cannot be written; the message says what to do.
pub fn attach(
    sets: &mut [Dataset],
    kind: CacheKind,
    dir: Option<&Path>,
    yaml: &DataYaml,
    workers: usize,
) -> Result<()> {
    match kind {
        CacheKind::None => {}
        CacheKind::Ram => {
            let (images, need) = sets.iter().fold((0, 0), |(n, bytes), set| (n + set.records.len(), bytes + need(set)));
            free::check_memory(need, images, free::memory())?;
            for set in sets {
                set.cache = Cache::Ram(set.records.iter().map(|_| OnceLock::new()).collect());
            }
        }
        CacheKind::Disk => {
            let users = || Some(etcetera::choose_base_strategy().ok()?.cache_dir().join("trainer/images"));
            let dir = dir.map(Path::to_path_buf).or_else(users);
            let dir = dir.context("cache=disk finds no cache folder: set HOME, or name a folder by cache_dir=")?;
            for set in sets {
                set.cache = Cache::Disk(Arc::new(disk::open(set, &dir, yaml, workers)?));
            }
        }
    }
    Ok(())
}

/// The bytes that caches in memory take once they are full.
#[must_use]
pub fn bytes_in_memory(sets: &[&Dataset]) -> u64 {
    sets.iter().filter(|set| matches!(set.cache, Cache::Ram(_))).map(|set| need(set)).sum()
}

/// The bytes of memory that this process may still take, as far as the system tells.
#[must_use]
pub fn free_memory() -> Option<u64> {
    free::memory()
}

/// The sizes of a set's images as they are kept.
fn sizes(set: &Dataset) -> impl Iterator<Item = Size> {
    set.records.iter().map(|record| decode::reduced(record.size, set.imgsz))
}

/// What a set's images take, in bytes.
fn need(set: &Dataset) -> u64 {
    sizes(set).map(num_bytes).sum()
}

fn num_bytes(size: Size) -> u64 {
    (size.area() * Image::CHANNELS) as u64
}
