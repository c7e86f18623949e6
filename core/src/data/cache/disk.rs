//! The cache of a split on disk: opened where it is whole and up to date, otherwise written anew beside the old one and
//! renamed over it. A process that dies while writing leaves the old file, and a part that the next one removes.
//!
//! Pixels are read at their places, not mapped: what has become unreadable is an error then, and decoded again.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use trainer_image::{Image, Size};

use super::store::{self, Entry, PIXELS, Store};
use super::{free, num_bytes, sizes};
use crate::data::headers::{digest, settled, stamp_of};
use crate::data::{DataYaml, Dataset, Record, decode};

/// The images of a data set in a file.
pub struct Disk {
    store: Store,
    /// Where each is, by its index in the set.
    entries: Vec<Option<Entry>>,
}

impl Disk {
    /// Image `index` and its upright full size, unless its file has changed since or it is not here.
    pub fn image(&self, index: usize, path: &Path) -> Option<(Image, Size)> {
        let entry = self.entries.get(index)?.as_ref()?;
        entry.offset?;
        (stamp_of(path)? == entry.stamp).then_some(())?;
        Some((self.store.image(entry)?, entry.original))
    }

    /// The set's images in this file if it has all of them as they are now.
    fn whole(store: Option<Store>, set: &Dataset, workers: usize) -> Option<Self> {
        let store = store?;
        let up_to_date = |record: &Record| {
            let entry = store.entries.get(&*record.path).filter(|entry| stamp_of(&record.path) == Some(entry.stamp));
            let may_miss = record.path.to_str().is_none(); // the index holds no such path
            (entry.is_some() || may_miss).then(|| entry.copied()).context("not as it is now")
        };
        let entries = each(&set.records, workers, up_to_date).ok()?;
        Some(Self { store, entries })
    }
}

/// Opens the cache of `set` in `folder`, after `workers` threads have written it where it is not up to date.
pub fn open(set: &Dataset, folder: &Path, yaml: &DataYaml, workers: usize) -> Result<Disk> {
    let (split, side) = (set.report.split, set.imgsz);
    let data = fs::canonicalize(&yaml.file).unwrap_or_else(|_| yaml.file.clone());
    let name = digest(format!("{}\n{split}\n{side}", data.display()).as_bytes())[..32].to_owned();
    let path = folder.join(format!("{name}.images"));

    if let Some(disk) = Disk::whole(Store::open(&path, side), set, workers) {
        if let Ok(lock) = File::create(folder.join(format!("{name}.lock")))
            && lock.try_lock().is_ok()
        {
            remove_parts(folder, &name);
        }
        return Ok(disk);
    }
    let cannot = || format!("cannot write the cache {}: make it possible, or take cache=none", path.display());
    fs::create_dir_all(folder).with_context(cannot)?;
    let lock = File::create(folder.join(format!("{name}.lock"))).with_context(cannot)?;
    let is_mine = match lock.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => {
            tracing::info!("waiting for another process that writes the cache {}", path.display());
            lock.lock().is_ok()
        }
        Err(TryLockError::Error(_)) => false, // a file system without locks: each process writes a part of its own
    };
    if is_mine {
        remove_parts(folder, &name);
    }
    if let Some(disk) = Disk::whole(Store::open(&path, side), set, workers) {
        return Ok(disk);
    }
    write(set, folder, &name, &path, Store::open(&path, side).as_ref(), workers)?;
    let store = Store::open(&path, side).with_context(cannot)?;
    let entries = set.records.iter().map(|record| store.entries.get(&*record.path).copied()).collect();
    Ok(Disk { store, entries })
}

/// Removes what processes that died have left of this cache.
fn remove_parts(folder: &Path, name: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name();
        if file.to_str().is_some_and(|file| file.starts_with(name) && file.ends_with(".part")) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes all images of the set; those that have not changed are copied from the `old` file.
fn write(set: &Dataset, folder: &Path, name: &str, path: &Path, old: Option<&Store>, workers: usize) -> Result<()> {
    let cannot = || format!("cannot write the cache {}: make it possible, or take cache=none", path.display());
    let mut end = PIXELS;
    let mut place = |size: Size| {
        end += num_bytes(size);
        end - num_bytes(size)
    };
    let places: Vec<(Size, u64)> = sizes(set).map(|size| (size, place(size))).collect();
    let count = places.len();
    free::check_disk(end, count, free::disk(folder).with_context(cannot)?, folder)?;
    let part = tempfile::Builder::new().prefix(&format!("{name}.")).suffix(".part").tempfile_in(folder);
    let part = part.with_context(cannot)?;
    match rustix::fs::fallocate(part.as_file(), FallocateFlags::empty(), 0, end) {
        Err(Errno::NOSPC | Errno::DQUOT) => free::check_disk(end, count, 0, folder)?,
        _ => part.as_file().set_len(end).with_context(cannot)?, // not every file system has it
    }

    let (split, start) = (set.report.split, Instant::now());
    tracing::info!("{split}: writing the cache {} ({count} images, {})", path.display(), free::text(end));
    let done = AtomicUsize::new(0);
    let numbered: Vec<(&Record, (Size, u64))> = set.records.iter().zip(places).collect();
    let entries = each(&numbered, workers, |(record, (size, offset))| {
        let entry = match old.and_then(|old| old.entries.get(&*record.path).map(|entry| (old, entry))) {
            Some((old, entry)) if stamp_of(&record.path) == Some(entry.stamp) => {
                keep(old, entry, *size, *offset, &part)
            }
            _ => None,
        };
        let entry = match entry {
            Some(kept) => Some(kept?),
            None => add(record, set.imgsz, *size, *offset, part.as_file()).with_context(cannot)?,
        };
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        if done < count && done * 10 / count > (done - 1) * 10 / count {
            let rate = done as f64 / start.elapsed().as_secs_f64().max(1e-9);
            tracing::info!("{split}: {} % of the cache written, {rate:.0} images/s", done * 100 / count);
        }
        Ok(entry)
    })?;

    let known = set.records.iter().zip(entries).filter(|(record, _)| record.path.to_str().is_some());
    let known = known.filter_map(|(record, entry)| Some((&*record.path, entry?)));
    store::finish(part.as_file(), set.imgsz, end, known).with_context(cannot)?;
    part.persist(path).with_context(cannot)?;
    let _ = File::open(folder).and_then(|folder| folder.sync_all()); // the name, too, where folders can be synced
    tracing::info!("{split}: the cache is written, in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Copies an image from the old file; `None` if it cannot be read there.
fn keep(old: &Store, entry: &Entry, size: Size, offset: u64, part: &tempfile::NamedTempFile) -> Option<Result<Entry>> {
    if entry.offset.is_none() {
        return Some(Ok(*entry));
    }
    let image = old.image(entry).filter(|image| image.size() == size)?;
    let written = part.as_file().write_all_at(image.pixels(), offset);
    Some(written.context("the cache cannot be written").map(|()| Entry { offset: Some(offset), ..*entry }))
}

/// Decodes an image and writes it. Nothing is known of one that changes meanwhile.
fn add(record: &Record, side: u32, size: Size, offset: u64, part: &File) -> Result<Option<Entry>> {
    let Some(stamp) = settled(&record.path) else { return Ok(None) };
    let (offset, original) = match decode::decode(&record.path, side) {
        Ok((image, original)) if image.size() == size => {
            part.write_all_at(image.pixels(), offset)?;
            (Some(offset), original)
        }
        _ => (None, record.size), // the loader meets it again, and says what is wrong
    };
    let is_same = stamp_of(&record.path) == Some(stamp);
    Ok(is_same.then_some(Entry { stamp, original, size, offset }))
}

/// Applies `f` to each item on several threads, in about their order, until the first error.
fn each<I: Sync, T: Send>(items: &[I], threads: usize, f: impl Fn(&I) -> Result<T> + Sync) -> Result<Vec<T>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut made = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { break };
            made.push((i, f(item).inspect_err(|_| failed.store(true, Ordering::Relaxed))?));
        }
        Ok(made)
    };
    let results = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<_>>| {
            thread.join().unwrap_or_else(|_| Err(anyhow!("a thread of the cache panicked")))
        };
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    let mut made: Vec<(usize, T)> = results.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
    made.sort_by_key(|(i, _)| *i);
    Ok(made.into_iter().map(|(_, made)| made).collect())
}
