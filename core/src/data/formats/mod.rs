//! Label formats: each turns what a data set says of an image into objects in pixels of the upright image.
//!
//! What cannot be meant is a problem that names the file and the place in it; nothing is dropped in silence.

mod coco;
mod coco_json;
mod outline;
mod place;
mod text;
mod visdrone;
mod voc;
mod yolo;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use trainer_image::{Object, Size};

pub(super) use coco::category_names;
pub(super) use text::{brief, short};
pub(super) use visdrone::CLASSES as VISDRONE_CLASSES;
pub(super) use voc::class_names as voc_names;

use super::files::image_files;
use super::yaml::{DataYaml, Split};
use place::Placed;

/// How a data set's labels are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Yolo,
    Coco,
    Voc,
    VisDrone,
}

impl Format {
    /// All of them, by the name that `format:` takes.
    pub const ALL: [(&str, Self); 4] =
        [("yolo", Self::Yolo), ("coco", Self::Coco), ("voc", Self::Voc), ("visdrone", Self::VisDrone)];

    /// Where the labels of an image are, for formats with a file an image.
    pub(super) fn label_path(self, image: &Path) -> PathBuf {
        match self {
            Self::Yolo => yolo::label_path(image),
            Self::Voc => voc::label_path(image),
            Self::VisDrone => visdrone::label_path(image),
            Self::Coco => PathBuf::new(),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// What is wrong with a label, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub file: PathBuf,
    /// Counted from 1; 0 where the file has no lines to speak of, or the whole file is meant.
    pub line: usize,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = if self.line > 0 { format!(":{}", self.line) } else { String::new() };
        write!(f, "{}{line}: {}", self.file.display(), self.message)
    }
}

/// What is said of one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelFile {
    /// In pixels of the upright image, within it.
    pub objects: Vec<Object>,
    /// Labels left out because they repeat an earlier one exactly.
    pub num_duplicates: usize,
    /// Labels left out because their box has no area.
    pub num_empty: usize,
    /// Labels that reached beyond the image and were cut.
    pub num_cut: usize,
    /// Labels that are refused.
    pub problems: Vec<Problem>,
    /// The keys of `objects`.
    seen: HashSet<Vec<u32>>,
}

impl LabelFile {
    /// A file that is refused as a whole, because of `line`.
    fn refused(file: &Path, line: usize, message: String) -> Self {
        let mut found = Self::default();
        found.add(file, line, Err(message));
        found
    }

    /// Takes in one label, or what is wrong with it.
    fn add(&mut self, file: &Path, line: usize, label: Result<Placed, String>) {
        match label {
            Err(message) => self.problems.push(Problem { file: file.to_path_buf(), line, message }),
            Ok(Placed::Empty) => self.num_empty += 1,
            Ok(Placed::Inside { object, was_cut }) => {
                if !self.seen.insert(key(&object)) {
                    self.num_duplicates += 1;
                    return;
                }
                self.num_cut += usize::from(was_cut);
                self.objects.push(object);
            }
        }
    }
}

/// Equal for exact duplicates, and only for them.
fn key(object: &Object) -> Vec<u32> {
    let b = object.bbox;
    let flags = u32::from(object.crowd) + 2 * u32::from(object.ignore);
    let head = [object.class, flags].into_iter().chain([b.x1, b.y1, b.x2, b.y2].map(f32::to_bits));
    head.chain(object.polygon.iter().flatten().map(|value| value.to_bits())).collect()
}

/// Where the labels of a split are looked up, from several threads at once.
pub(super) trait Labels: Sync {
    /// What is said of an image of a split, given its upright size; `None` where nobody says anything.
    ///
    /// # Errors
    /// Why the image has to be left out.
    fn of(&self, image: &Path, size: Size) -> Result<Option<LabelFile>, String>;

    /// What is wrong beyond single images.
    fn problems(&self) -> &[Problem] {
        &[]
    }
}

/// What `parse` makes of the bytes of the label file of an image; `None` where there is no such file.
///
/// # Errors
/// As `parse`.
fn label_file(
    file: &Path,
    parse: impl FnOnce(&[u8]) -> Result<LabelFile, String>,
) -> Result<Option<LabelFile>, String> {
    match text::read(file) {
        Ok(bytes) => bytes.as_deref().map(parse).transpose(),
        Err(message) => Ok(Some(LabelFile::refused(file, 0, message))),
    }
}

/// The images of a split, sorted by path, and their labels.
///
/// # Errors
/// Nothing there, or a file that cannot be read as a whole.
pub(super) fn open(yaml: &DataYaml, split: Split) -> Result<(Vec<PathBuf>, Box<dyn Labels + '_>)> {
    Ok(match yaml.format {
        Format::Coco => {
            let (files, labels) = coco::open(yaml, split)?;
            (files, Box::new(labels))
        }
        Format::Yolo => (image_files(yaml, split)?, Box::new(yolo::Yolo { num_classes: yaml.names.len() })),
        Format::Voc => (image_files(yaml, split)?, Box::new(voc::Voc::new(&yaml.names))),
        Format::VisDrone => (image_files(yaml, split)?, Box::new(visdrone::VisDrone)),
    })
}

/// The readers without files, for fuzzing.
#[cfg(test)]
pub(super) mod fuzzed {
    use std::path::Path;

    use super::*;

    const FILE: &str = "a";

    fn names() -> Vec<String> {
        ["cat", "dog", "a & b é"].map(str::to_owned).to_vec()
    }

    pub fn yolo(text: &[u8], size: Size) -> LabelFile {
        yolo::parse(Path::new(FILE), text, 3, size)
    }

    pub fn visdrone(text: &[u8], size: Size) -> LabelFile {
        visdrone::parse(Path::new(FILE), text, size)
    }

    pub fn voc(text: &[u8], size: Size) -> Result<LabelFile, String> {
        voc::Voc::new(&names()).parse(Path::new(FILE), text, size)
    }

    /// All images' labels together.
    pub fn coco(text: &[u8], size: Size) -> Result<LabelFile, String> {
        let mut coco = coco::Coco::default();
        let instances = coco::parse(text)?;
        coco.add(Path::new(FILE), Path::new("images"), instances, &names());
        let mut all = LabelFile { problems: coco.problems().to_vec(), ..LabelFile::default() };
        for image in coco.paths() {
            let found = coco.of(&image, size)?.unwrap_or_default();
            all.objects.extend(found.objects);
            all.problems.extend(found.problems);
        }
        Ok(all)
    }
}
