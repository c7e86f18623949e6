//! The upright sizes of images, kept from one run to the next, so that their headers are read once.
//!
//! A size is used again only for a file with the same path, device, inode, length, and times of change, the inode's own
//! time (which no program can set) among them. Labels are not kept: they are read and checked each time.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use trainer_image::Size;

use super::decode;
use super::yaml::{DataYaml, Split};

/// Changes with the form of the file, and with what [`decode::check`] lets pass.
const VERSION: u32 = 2;

/// A file that changed so short a time ago may change again within the same tick of the clock.
const TICK: Duration = Duration::from_millis(100);

/// Device, inode, length, and the times of change of content and inode in seconds and nanoseconds.
pub(super) type Stamp = [i64; 7];

/// The sizes that are known of a split's images.
#[derive(Default)]
pub(super) struct Headers {
    /// Where they are kept, if anywhere.
    file: Option<PathBuf>,
    known: HashMap<PathBuf, (Size, Stamp)>,
}

/// The file's content, after a line with its digest.
#[derive(Default, Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// Path, width, height, stamp.
    images: Vec<(PathBuf, u32, u32, Stamp)>,
}

impl Headers {
    /// What is kept in the folder `cache` for a split; a file that is damaged or somebody else's counts as none.
    pub fn open(cache: Option<&Path>, yaml: &DataYaml, split: Split) -> Self {
        let Some(cache) = cache else { return Self::default() };
        let data = fs::canonicalize(&yaml.file).unwrap_or_else(|_| yaml.file.clone());
        let name = digest(format!("{}\n{split}", data.display()).as_bytes());
        let file = cache.join(format!("{}.json", &name[..32]));
        let stored = fs::read(&file).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        let known = stored.images.into_iter().map(|(path, w, h, stamp)| (path, (Size::new(w, h), stamp))).collect();
        Self { file: Some(file), known }
    }

    /// The upright size of an image, and its stamp where both may be kept.
    ///
    /// # Errors
    /// As [`decode::check`].
    pub fn size(&self, image: &Path) -> Result<(Size, Option<Stamp>)> {
        let before = SystemTime::now();
        let Some(metadata) = self.file.as_ref().and_then(|_| fs::metadata(image).ok()) else {
            return decode::check(image).map(|size| (size, None));
        };
        let stamp = stamp(&metadata);
        if let Some((size, known)) = self.known.get(image)
            && *known == stamp
        {
            return Ok((*size, Some(stamp)));
        }
        let size = decode::check(image)?;
        Ok((size, is_settled(&metadata, before).then_some(stamp)))
    }

    /// Keeps these sizes, where they are not yet; the others only if the images are `a_part` of the split. What cannot
    /// be written is no harm: it will be read again.
    pub fn save<'a>(&'a self, images: impl Iterator<Item = (&'a Path, Size, Stamp)>, a_part: bool) {
        let Some(file) = &self.file else { return };
        let mut images: Vec<_> = images.collect();
        if a_part {
            let own: HashSet<&Path> = images.iter().map(|(path, ..)| *path).collect();
            let others = self.known.iter().filter(|(path, _)| !own.contains(path.as_path()));
            let others: Vec<_> = others.map(|(path, (size, stamp))| (path.as_path(), *size, *stamp)).collect();
            images.extend(others);
        }
        let is_known = |(path, size, stamp): &(&Path, Size, Stamp)| self.known.get(*path) == Some(&(*size, *stamp));
        if images.len() == self.known.len() && images.iter().all(is_known) {
            return;
        }
        let own = |(path, size, stamp): (&Path, Size, Stamp)| {
            path.to_str().map(|_| (path.to_path_buf(), size.width, size.height, stamp)) // JSON holds no other paths
        };
        let stored = Stored { version: VERSION, images: images.into_iter().filter_map(own).collect() };
        if let Err(error) = write(file, &stored) {
            tracing::debug!("image sizes are not kept in {}: {error:#}", file.display());
        }
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    let (content, inode) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    let [device, number, length] = [metadata.dev(), metadata.ino(), metadata.len()].map(u64::cast_signed);
    [device, number, length, content.0, content.1, inode.0, inode.1]
}

/// What a file is like now, unless it is not there.
pub(super) fn stamp_of(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().map(|metadata| stamp(&metadata))
}

/// The same for a file that is not changing: one that has just changed is looked at again a tick later.
pub(super) fn settled(file: &Path) -> Option<Stamp> {
    let look = || {
        let before = SystemTime::now();
        fs::metadata(file).ok().filter(|metadata| is_settled(metadata, before)).map(|metadata| stamp(&metadata))
    };
    look().or_else(|| {
        std::thread::sleep(TICK);
        look()
    })
}

/// Whether a file last changed so long before `now` that a later change would show in its stamp.
fn is_settled(metadata: &Metadata, now: SystemTime) -> bool {
    let changed = u64::try_from(metadata.ctime()).unwrap_or(u64::MAX);
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let changed = Duration::new(changed, metadata.ctime_nsec().clamp(0, 999_999_999) as u32);
    changed.checked_add(TICK).is_some_and(|settled| settled < since)
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(bytes: &[u8]) -> Option<Stored> {
    let (sum, json) = bytes.split_at_checked(64)?;
    if digest(json).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(json).ok().filter(|stored: &Stored| stored.version == VERSION)
}

/// Beside the file first, then renamed over it: a reader sees the old content or the new.
fn write(file: &Path, stored: &Stored) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let json = serde_json::to_vec(stored)?;
    let mut scratch = tempfile::NamedTempFile::new_in(folder)?;
    scratch.write_all(digest(&json).as_bytes())?;
    scratch.write_all(&json)?;
    scratch.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(40, 30);

    /// A folder with an image a.png and a data.yaml, and another for the cache.
    struct Folder {
        data: tempfile::TempDir,
        cache: tempfile::TempDir,
        yaml: DataYaml,
    }

    impl Folder {
        fn new() -> Self {
            let (data, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            image::RgbImage::new(40, 30).save(data.path().join("a.png")).unwrap();
            fs::write(data.path().join("data.yaml"), "train: .\nval: .\nnames: [x]").unwrap();
            let yaml = DataYaml::read(&data.path().join("data.yaml")).unwrap();
            Self { data, cache, yaml }
        }

        fn image(&self) -> PathBuf {
            self.data.path().join("a.png")
        }

        fn open(&self) -> Headers {
            Headers::open(Some(self.cache.path()), &self.yaml, Split::Train)
        }

        /// Keeps `size` for the image as it is now.
        fn keep(&self, size: Size) {
            let stamp = stamp(&fs::metadata(self.image()).unwrap());
            self.open().save([(self.image().as_path(), size, stamp)].into_iter(), false);
        }
    }

    #[test]
    fn a_kept_size_is_used_until_the_file_changes() {
        let folder = Folder::new();
        let planted = Size::new(1, 2); // shows that the header is not read
        folder.keep(planted);
        assert_eq!(folder.open().size(&folder.image()).unwrap().0, planted);

        let other_split = Headers::open(Some(folder.cache.path()), &folder.yaml, Split::Val);
        assert_eq!(other_split.size(&folder.image()).unwrap().0, SIZE);
        assert_eq!(Headers::default().size(&folder.image()).unwrap(), (SIZE, None), "without a cache");

        let (old, times) =
            (fs::read(folder.image()).unwrap(), fs::metadata(folder.image()).unwrap().modified().unwrap());
        fs::write(folder.image(), old).unwrap();
        fs::File::open(folder.image()).unwrap().set_modified(times).unwrap();
        let (size, _) = folder.open().size(&folder.image()).unwrap();
        assert_eq!(size, SIZE, "rewritten with the same content, length and time of change");
        fs::remove_file(folder.image()).unwrap();
        assert!(folder.open().size(&folder.image()).is_err());
    }

    #[test]
    fn a_part_of_the_images_leaves_the_others_kept() {
        let folder = Folder::new();
        folder.keep(SIZE);
        let other = [(Path::new("/b.png"), SIZE, Stamp::default())];
        folder.open().save(other.into_iter(), true);
        assert_eq!(folder.open().known.len(), 2);
        folder.open().save(other.into_iter(), false);
        assert_eq!(folder.open().known.len(), 1);
    }

    #[test]
    fn sizes_that_are_kept_already_are_not_written_again() {
        let folder = Folder::new();
        folder.keep(SIZE);
        let inode = || fs::metadata(folder.open().file.unwrap()).unwrap().ino();
        let first = inode();
        folder.keep(SIZE);
        assert_eq!(inode(), first);
        folder.keep(Size::new(1, 2));
        assert_ne!(inode(), first, "another size takes the place of the file");
    }

    #[test]
    fn a_damaged_file_counts_as_none_and_is_replaced() {
        let folder = Folder::new();
        folder.keep(SIZE);
        let file = folder.open().file.unwrap();
        let whole = fs::read(&file).unwrap();
        let mut flipped = whole.clone();
        let digit = whole.iter().rposition(|byte| *byte == b'4').unwrap();
        flipped[digit] = b'5';
        let json = serde_json::to_vec(&Stored { version: VERSION + 1, images: Vec::new() }).unwrap();
        let newer = [digest(&json).as_bytes(), &json].concat();
        for bytes in [&b""[..], b"{}", &[0xff; 200], &whole[..whole.len() - 1], &flipped, &newer] {
            fs::write(&file, bytes).unwrap();
            assert!(folder.open().known.is_empty());
            folder.keep(SIZE);
            assert_eq!(fs::read(&file).unwrap(), whole);
        }
        assert_eq!(fs::read_dir(folder.cache.path()).unwrap().count(), 1, "no scratch files stay");
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_harm() {
        let folder = Folder::new();
        let headers = Headers::open(Some(&folder.image()), &folder.yaml, Split::Train);
        headers.save([(folder.image().as_path(), SIZE, Stamp::default())].into_iter(), false);
        assert_eq!(headers.size(&folder.image()).unwrap().0, SIZE);
    }

    #[test]
    fn a_file_that_has_just_changed_is_not_kept() {
        let folder = Folder::new();
        let metadata = fs::metadata(folder.image()).unwrap();
        let changed = SystemTime::UNIX_EPOCH + Duration::new(metadata.ctime() as u64, metadata.ctime_nsec() as u32);
        assert!(!is_settled(&metadata, changed + TICK));
        assert!(is_settled(&metadata, changed + TICK + Duration::from_nanos(1)));
    }
}
