//! Tests of the caches: the same batches with each, images that change, damage, processes that die, two at once.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use image::{Rgb, RgbImage};

use super::store::Store;
use super::*;
use crate::augment::{OnError, Pipeline, Stage, mosaic::Mosaic, perspective::Perspective};
use crate::data::loader::{Loader, LoaderOptions, RawBatch, Source as _};
use crate::data::{OpenOptions, Split};

const SIDE: u32 = 32;

/// A data set and a folder for its cache.
struct Folder {
    data: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Folder {
    /// Eight images of different sizes; d.png has a good header and end, and nothing that can be decoded between.
    fn new() -> Self {
        let folder = Self { data: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() };
        fs::create_dir_all(folder.data.path().join("images")).unwrap();
        fs::create_dir_all(folder.data.path().join("labels")).unwrap();
        ('a'..='h').for_each(|name| folder.put(name, u32::from(name)));
        let broken = folder.image('d');
        let mut bytes = fs::read(&broken).unwrap();
        bytes[60..80].fill(0);
        fs::write(broken, bytes).unwrap();
        fs::write(folder.data.path().join("data.yaml"), "train: images\nval: images\nnames: [x]\n").unwrap();
        folder
    }

    fn image(&self, name: char) -> PathBuf {
        self.data.path().join(format!("images/{name}.png"))
    }

    /// An image, its content and size being those of `seed`, with one object.
    fn put(&self, name: char, seed: u32) {
        let noise = |x: u32, y: u32| Rgb([(x * seed) as u8, (y * 7 + seed) as u8, (x * y) as u8]);
        RgbImage::from_fn(40 + seed % 9, 30, noise).save(self.image(name)).unwrap();
        fs::write(self.data.path().join(format!("labels/{name}.txt")), "0 0.5 0.5 0.4 0.4\n").unwrap();
    }

    fn open(&self, kind: CacheKind) -> Result<Dataset> {
        let yaml = DataYaml::read(&self.data.path().join("data.yaml")).unwrap();
        let options = OpenOptions { cache: None, ..OpenOptions::new(SIDE) };
        let mut sets = [Dataset::open(&yaml, Split::Train, &options).unwrap()];
        attach(&mut sets, kind, Some(self.cache.path()), &yaml, 2)?;
        let [set] = sets;
        Ok(set)
    }

    fn disk(&self) -> Dataset {
        self.open(CacheKind::Disk).unwrap()
    }

    /// The files of the cache with this suffix.
    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.cache.path()).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_str().unwrap().ends_with(suffix)).collect()
    }

    fn file(&self) -> PathBuf {
        let [file] = self.files(".images").try_into().unwrap();
        file
    }

    /// Paints the pixels in the cache file black, so that what comes from there can be told.
    fn blacken(&self) {
        let file = fs::File::options().write(true).read(true).open(self.file()).unwrap();
        let mut place = [0; 8];
        file.read_exact_at(&mut place, 16).unwrap();
        file.write_all_at(&vec![0; u64::from_le_bytes(place) as usize - 64], 64).unwrap();
    }
}

/// The images that the set can load, by the letter of their name, and whether they are black.
fn loaded(set: &Dataset) -> String {
    let of = |index: usize| {
        let pixels = set.load(index).ok()?.render();
        let name = set.path(index).file_stem()?.to_str()?.to_owned();
        Some(if pixels.iter().all(|&byte| byte == 0) { name.to_uppercase() } else { name })
    };
    (0..set.len()).filter_map(of).collect()
}

fn batches(set: Dataset) -> Vec<RawBatch> {
    let stages = vec![
        Stage::new("mosaic", Box::new(Mosaic { p: 0.5, close: 0 }), OnError::Fail),
        Stage::new("perspective", Box::<Perspective>::default(), OnError::Fail),
    ];
    let options =
        LoaderOptions { batch: 3, imgsz: SIDE, epochs: 2, seed: 1, shuffle: true, rect: None, workers: 2, prefetch: 2 };
    let loader = Loader::new(Arc::new(set), Pipeline { stages }, options);
    [0, 1, 1].into_iter().flat_map(|epoch| loader.epoch(epoch)).collect::<Result<_>>().unwrap()
}

#[test]
fn batches_are_the_same_with_any_cache() {
    let folder = Folder::new();
    let plain = batches(folder.open(CacheKind::None).unwrap());
    assert_eq!(plain.iter().map(|batch| batch.samples.len()).sum::<usize>(), 3 * 7);
    let skipped: Vec<_> = plain.iter().flat_map(|batch| &batch.skipped).collect();
    assert!(skipped.len() == 3 && skipped[0].0 == folder.image('d') && skipped[0].1.contains("Png"), "{skipped:?}");
    assert!(batches(folder.open(CacheKind::Ram).unwrap()) == plain, "in memory");
    assert!(batches(folder.disk()) == plain, "on disk, written");
    assert!(batches(folder.disk()) == plain, "on disk, found");
}

#[test]
fn memory_and_disk_are_what_is_read() {
    let folder = Folder::new();
    let ram = folder.open(CacheKind::Ram).unwrap();
    assert_eq!(loaded(&ram), "abcefgh");
    ('a'..='h').for_each(|name| fs::remove_file(folder.image(name)).unwrap());
    assert_eq!(loaded(&ram), "abcefgh");

    let folder = Folder::new();
    folder.disk();
    folder.blacken();
    assert_eq!(loaded(&folder.disk()), "ABCEFGH");
    assert_eq!(format!("{:?} {:?}", ram.cache, folder.disk().cache), "in memory on disk");
}

#[test]
fn an_image_that_changed_is_never_served_as_it_was() {
    let folder = Folder::new();
    let set = folder.disk();
    folder.blacken();
    folder.put('b', u32::from('b')); // the same content once more
    assert_eq!(loaded(&set), "AbCEFGH", "changed while it is in use");
    folder.put('b', 77);
    fs::remove_file(folder.image('e')).unwrap();
    folder.put('i', 1);
    assert_eq!(loaded(&folder.disk()), "AbCFGHi", "what has not changed is copied");
    folder.blacken();
    assert_eq!(loaded(&folder.disk()), "ABCFGHI", "and nothing is written again");
    folder.put('d', 4);
    assert_eq!(loaded(&folder.disk()), "ABCdFGHI", "an image that was mended");
}

#[test]
fn a_damaged_file_counts_as_none() {
    let folder = Folder::new();
    folder.disk();
    let whole = fs::read(folder.file()).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cut = |length: usize| whole[..length].to_vec();
    let longer = [&whole[..], b"]"].concat();
    let damaged =
        [flipped(0), flipped(9), flipped(13), flipped(17), flipped(25), flipped(40), flipped(whole.len() - 9)];
    for bytes in damaged.into_iter().chain([cut(0), cut(63), cut(64), cut(whole.len() - 1), longer]) {
        fs::write(folder.file(), bytes).unwrap();
        assert!(Store::open(&folder.file(), SIDE).is_none());
        assert_eq!(loaded(&folder.disk()), "abcefgh");
        assert!(fs::read(folder.file()).unwrap() == whole, "written anew");
    }
    assert!(Store::open(&folder.file(), SIDE).is_some() && Store::open(&folder.file(), SIDE + 32).is_none());
    let set = folder.disk();
    fs::File::options().write(true).open(folder.file()).unwrap().set_len(2000).unwrap();
    assert_eq!(loaded(&set), "abcefgh", "cut off while in use: what cannot be read is decoded");
}

#[test]
fn what_a_dead_process_left_is_removed() {
    let folder = Folder::new();
    folder.disk();
    folder.blacken();
    let name = folder.file().file_stem().unwrap().to_str().unwrap().to_owned();
    let put = |name: &str| fs::write(folder.cache.path().join(name), "half an ima").unwrap();
    put(&format!("{name}.Xy12.part"));
    put("of_another_set.part");
    assert_eq!(loaded(&folder.disk()), "ABCEFGH", "the old file is there as before");
    assert_eq!(folder.files(".part"), [folder.cache.path().join("of_another_set.part")]);
    put(&format!("{name}.Xy12.part"));
    fs::remove_file(folder.file()).unwrap();
    assert_eq!(loaded(&folder.disk()), "abcefgh");
    assert_eq!((folder.files(".part").len(), folder.files(".lock").len(), folder.files("").len()), (1, 1, 3));
}

#[test]
fn processes_at_once_do_not_hurt_each_other() {
    let folder = Folder::new();
    std::thread::scope(|scope| {
        let sets: Vec<_> = (0..4).map(|_| scope.spawn(|| loaded(&folder.disk()))).collect();
        sets.into_iter().for_each(|set| assert_eq!(set.join().unwrap(), "abcefgh"));
    });
    let held = folder.disk();
    fs::remove_file(folder.file()).unwrap();
    folder.disk();
    folder.blacken();
    assert_eq!(loaded(&held), "abcefgh", "the file that was opened stays as it was");
    assert_eq!((folder.files(".part").len(), loaded(&folder.disk())), (0, "ABCEFGH".to_owned()));
}

#[test]
fn a_cache_that_cannot_be_written_is_refused() {
    let folder = Folder::new();
    let yaml = DataYaml::read(&folder.data.path().join("data.yaml")).unwrap();
    let mut sets = [folder.open(CacheKind::None).unwrap()];
    let below_a_file = folder.image('a').join("cache");
    let error = attach(&mut sets, CacheKind::Disk, Some(&below_a_file), &yaml, 1).unwrap_err();
    let (start, end) = (format!("cannot write the cache {}/", below_a_file.display()), "or take cache=none");
    assert!(error.to_string().starts_with(&start) && error.to_string().ends_with(end), "{error:#}");
}

#[test]
fn kinds_are_named_as_people_name_them() {
    let read = |text: &str| serde_json::from_str::<CacheKind>(text);
    let names = [r#""none""#, r#""False""#, r#""None""#, r#""ram""#, r#""True""#, r#""true""#, r#""disk""#];
    let kinds = names.map(|name| read(name).unwrap());
    assert_eq!(kinds[..3], [CacheKind::None; 3]);
    assert_eq!(kinds[3..], [CacheKind::Ram, CacheKind::Ram, CacheKind::Ram, CacheKind::Disk]);
    assert!(read(r#""gpu""#).unwrap_err().to_string().starts_with("unknown variant `gpu`"));
}
