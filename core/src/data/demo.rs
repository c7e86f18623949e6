//! The demo data set: drawn shapes on textured backgrounds, always the same, made once and kept in the user's cache.
//!
//! 256 training and 64 validation images of 320 x 240 with four classes, as YOLO polygons and a `data.yaml`.

mod drawing;

use std::fmt::Write as _;
use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, ensure};
use etcetera::BaseStrategy;
use image::codecs::jpeg::JpegEncoder;
use trainer_sdk::Rng;

use drawing::{Drawing, HEIGHT, SHAPES, WIDTH};

/// Folder below `images` and `labels`, and how many images it holds.
const SPLITS: [(&str, usize); 2] = [("train", 256), ("val", 64)];

/// Changes with anything that changes the images, so that an older set in a cache is not mistaken for this one.
const VERSION: u64 = 1;

const JPEG_QUALITY: u8 = 92;

/// The `data.yaml` of the demo set in the user's cache folder; makes the set first where it is not there or damaged.
///
/// # Errors
/// No home folder, or a cache folder that cannot be written.
pub fn cached() -> Result<PathBuf> {
    let cache = etcetera::choose_base_strategy().context("no home folder for the demo data: set XDG_CACHE_HOME")?;
    let folder = cache.cache_dir().join("trainer").join(format!("demo-{VERSION}"));
    if folder.exists() && !is_complete(&folder) {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot renew the demo data in {}", folder.display()))?;
    }
    generate(&folder)
}

/// The `data.yaml` of the demo set in `folder`, which is made where it does not exist, all at once or not at all.
///
/// # Errors
/// A folder that holds anything else, or cannot be written.
pub fn generate(folder: &Path) -> Result<PathBuf> {
    let shown = folder.display();
    if !is_complete(folder) {
        let is_free = !folder.exists() || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        ensure!(is_free, "{shown} exists and is not a complete demo data set: remove it, or name another folder");
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        write_at_once(folder, parent).with_context(|| format!("cannot write the demo data to {shown}"))?;
    }
    Ok(folder.join("data.yaml"))
}

/// Writes beside `folder`, then renames: another process sees the whole set or none.
fn write_at_once(folder: &Path, parent: &Path) -> Result<()> {
    fs::create_dir_all(parent)?;
    let scratch = tempfile::Builder::new().prefix(".demo-").tempdir_in(parent)?;
    let made = scratch.path().join("demo");
    write_set(&made)?;
    match fs::rename(&made, folder) {
        Err(_) if is_complete(folder) => Ok(()), // another process was faster
        renamed => Ok(renamed?),
    }
}

/// Whether every file is there and holds something.
fn is_complete(folder: &Path) -> bool {
    let holds = |name: &Path| fs::metadata(folder.join(name)).is_ok_and(|file| file.len() > 0);
    holds(Path::new("data.yaml")) && pictures().all(|p| holds(&p.image()) && holds(&p.label()))
}

/// One image of the set.
#[derive(Clone, Copy)]
struct Picture {
    split: usize,
    index: usize,
}

fn pictures() -> impl Iterator<Item = Picture> {
    let of_split = |(split, (_, count))| (0..count).map(move |index| Picture { split, index });
    SPLITS.into_iter().enumerate().flat_map(of_split)
}

impl Picture {
    fn image(self) -> PathBuf {
        Path::new("images").join(SPLITS[self.split].0).join(format!("{:03}.jpg", self.index))
    }

    fn label(self) -> PathBuf {
        Path::new("labels").join(SPLITS[self.split].0).join(format!("{:03}.txt", self.index))
    }

    fn write(self, folder: &Path) -> Result<()> {
        let drawing = Drawing::new(&mut Rng::from_key(&[VERSION, self.split as u64, self.index as u64]));
        let file = BufWriter::new(fs::File::create(folder.join(self.image()))?);
        JpegEncoder::new_with_quality(file, JPEG_QUALITY).encode_image(&drawing.image)?;
        fs::write(folder.join(self.label()), label_rows(&drawing)?)?;
        Ok(())
    }
}

/// The shapes as YOLO polygons: class, then x y in fractions of the image.
fn label_rows(drawing: &Drawing) -> Result<String> {
    let mut rows = String::new();
    for shape in &drawing.shapes {
        write!(rows, "{}", shape.class)?;
        for [x, y] in &shape.outline {
            write!(rows, " {:.6} {:.6}", x / WIDTH as f32, y / HEIGHT as f32)?;
        }
        rows.push('\n');
    }
    Ok(rows)
}

fn write_set(folder: &Path) -> Result<()> {
    for (kind, (split, _)) in ["images", "labels"].iter().flat_map(|kind| SPLITS.map(|split| (kind, split))) {
        fs::create_dir_all(folder.join(kind).join(split))?;
    }
    let pictures: Vec<Picture> = pictures().collect();
    let num_threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let draw = |part: &[Picture]| part.iter().try_for_each(|picture| picture.write(folder));
        let parts = pictures.chunks(pictures.len().div_ceil(num_threads));
        let threads: Vec<_> = parts.map(|part| scope.spawn(move || draw(part))).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    let names: String = SHAPES.iter().enumerate().map(|(class, name)| format!("  {class}: {name}\n")).collect();
    let text = format!("# Drawn by `trainer demo`\npath: .\ntrain: images/train\nval: images/val\nnames:\n{names}");
    Ok(fs::write(folder.join("data.yaml"), text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::loader::Source;
    use crate::data::{DataYaml, Dataset, OpenOptions, Split};

    #[test]
    fn the_set_is_complete_and_sound() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a b").join("demo");
        let yaml = DataYaml::read(&generate(&folder).unwrap()).unwrap();
        assert_eq!(yaml.names, SHAPES);
        let mut count = [0; SHAPES.len()];
        for (split, images) in [(Split::Train, 256), (Split::Val, 64)] {
            let data =
                Dataset::open(&yaml, split, &OpenOptions { cache: None, ..OpenOptions::new(WIDTH as u32) }).unwrap();
            assert_eq!((data.len(), data.report.backgrounds), (images, 0));
            assert!(data.report.warnings().is_empty(), "{:?}", data.report.warnings());
            for object in data.load(7).unwrap().objects {
                let (width, height) = (object.bbox.width(), object.bbox.height());
                assert!((20.0..=112.0).contains(&width) && (20.0..=112.0).contains(&height), "{width} x {height}");
            }
            data.records.iter().flat_map(|record| &record.objects).for_each(|object| count[object.class as usize] += 1);
        }
        assert!(count.iter().all(|&count| count > 200), "{count:?}");
        let parents: Vec<_> = fs::read_dir(dir.path().join("a b")).unwrap().collect();
        assert_eq!(parents.len(), 1, "nothing is left beside it");

        let modified = || fs::metadata(folder.join("data.yaml")).unwrap().modified().unwrap();
        let before = modified();
        generate(&folder).unwrap();
        assert_eq!(modified(), before, "a complete set is used again");

        fs::remove_file(folder.join("labels/val/063.txt")).unwrap();
        let message = generate(&folder).unwrap_err().to_string();
        assert!(
            message.ends_with("demo exists and is not a complete demo data set: remove it, or name another folder")
        );
    }

    #[test]
    fn a_picture_is_always_the_same() {
        let draw = |index| Drawing::new(&mut Rng::from_key(&[VERSION, 0, index]));
        let first = draw(5);
        assert!(first.image == draw(5).image && first.image != draw(6).image);
        assert_eq!(label_rows(&first).unwrap(), label_rows(&draw(5)).unwrap());
    }
}
