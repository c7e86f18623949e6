//! COCO json: one file a split, read once; its annotations are handed out image by image.
//!
//! Classes go by the categories' names: gaps between ids do not matter, and two categories of one name are one class.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use trainer_image::Size;

use super::coco_json::{Annotation, Categories, Category, Id, Image, Instances};
use super::outline;
use super::place::{Placed, place};
use super::text::{brief, short};
use super::{LabelFile, Labels, Problem};
use crate::data::files::{locate, split_key};
use crate::data::yaml::{DataYaml, Split};
use crate::near::near;

/// The names of the categories of a COCO json, by rising id; a name that stands twice counts once.
///
/// # Errors
/// A file that is none, or has no categories.
pub fn category_names(file: &Path) -> Result<Vec<String>> {
    let Categories { mut categories } = read(file)?;
    categories.sort_by(|a, b| a.id.cmp(&b.id));
    let mut names = Vec::with_capacity(categories.len());
    for Category { name, .. } in categories {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        bail!("{}: no categories: `categories` is empty", file.display());
    }
    Ok(names)
}

/// The images of a split as its json files list them, sorted by path, and their labels.
///
/// # Errors
/// A file that cannot be read, without images, or whose images cannot be found.
pub(super) fn open(yaml: &DataYaml, split: Split) -> Result<(Vec<PathBuf>, Coco)> {
    let mut coco = Coco::default();
    for place in &yaml.places(split)?.paths {
        let file = locate(&yaml.root, place);
        let instances: Instances = read(&file).with_context(|| split_key(yaml, split))?;
        let folder = match yaml.images(split) {
            Some(folder) => yaml.root.join(folder),
            None => {
                let Some(image) = instances.images.first() else {
                    bail!("{}: no images: `images` is empty", file.display())
                };
                image_folder(&file, &image.file_name).with_context(|| split_key(yaml, split))?
            }
        };
        coco.add(&file, &folder, instances, &yaml.names);
    }
    let files = coco.paths();
    if files.is_empty() {
        bail!("{}: no images in {}", split_key(yaml, split), yaml.places(split)?.paths.join(", "));
    }
    Ok((files, coco))
}

/// Reads as much of the file as `T` asks for, without holding its text.
fn read<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let name = file.display();
    let opened = File::open(file).with_context(|| format!("cannot read {name}"))?;
    if opened.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        bail!("{name} is a folder, expected a COCO json");
    }
    parse(BufReader::with_capacity(1 << 20, opened)).map_err(|error| anyhow!("{name}: {error}"))
}

/// Reads a COCO json; an error says where in the text.
pub(super) fn parse<T: DeserializeOwned>(mut reader: impl BufRead) -> Result<T, String> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    if reader.fill_buf().is_ok_and(|bytes| bytes.starts_with(BYTE_ORDER_MARK)) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    serde_json::from_reader(reader).map_err(|error| {
        let (message, place) = (error.to_string(), format!(" at line {} column {}", error.line(), error.column()));
        match message.strip_suffix(&place) {
            Some(message) => brief(message) + &place,
            None => brief(&message),
        }
    })
}

/// Where the images of the json `file` lie, going by the name of one of them.
///
/// # Errors
/// In none of the usual places.
pub fn image_folder(file: &Path, image: &str) -> Result<PathBuf> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let above = folder.parent().unwrap_or(folder);
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let split = stem.strip_prefix("instances_").unwrap_or(&stem);
    let places = [
        folder.to_path_buf(),
        above.join("images").join(split),
        above.join(split),
        folder.join("images"),
        above.join("images"),
        folder.join(split),
        above.to_path_buf(),
    ];
    let found = places.iter().find(|place| place.join(image).is_file()).cloned();
    found.with_context(|| {
        let tried: Vec<_> = places[..5].iter().map(|place| place.display().to_string()).collect();
        format!(
            "{}: its image {} is in none of {}: write their folder into the data.yaml, e.g. `images: photos`, or \
             `images: {{train: a, val: b}}`",
            file.display(),
            short(image),
            tried.join(", ")
        )
    })
}

/// The annotations of a split by the path of their image; each image is asked for once.
#[derive(Default)]
pub(super) struct Coco {
    images: Mutex<HashMap<PathBuf, Labelled>>,
    problems: Vec<Problem>,
}

struct Labelled {
    file: Arc<Path>,
    /// Width and height as the json says.
    size: Option<[f64; 2]>,
    annotations: Vec<Numbered>,
}

/// An annotation, its place in the list, and its class.
struct Numbered {
    at: usize,
    class: u32,
    annotation: Annotation,
}

impl Coco {
    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Labelled>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner) // a map is whole between two calls
    }

    /// The images, sorted.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> = self.lock().keys().cloned().collect();
        paths.sort_unstable_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
        paths
    }

    /// Takes in a json whose images lie in `folder`.
    pub(super) fn add(&mut self, file: &Path, folder: &Path, instances: Instances, names: &[String]) {
        let Self { images, problems } = self;
        let images = images.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut refuse = |message| problems.push(Problem { file: file.to_path_buf(), line: 0, message });
        let shared: Arc<Path> = file.into();
        let mut paths: HashMap<Id, PathBuf> = HashMap::with_capacity(instances.images.len());
        for (at, Image { id, file_name, width, height }) in instances.images.into_iter().enumerate() {
            let path = folder.join(&file_name);
            if paths.contains_key(&id) || images.contains_key(&path) {
                refuse(format!("images[{at}]: image {id} ({}) is listed twice", short(&file_name)));
                continue;
            }
            let size = width.zip(height).map(|(width, height)| [width, height]);
            images.insert(path.clone(), Labelled { file: shared.clone(), size, annotations: Vec::new() });
            paths.insert(id, path);
        }
        let classes: HashMap<&str, u32> = (0..).zip(names).map(|(class, name)| (name.as_str(), class)).collect();
        let categories: BTreeMap<&Id, &str> =
            instances.categories.iter().map(|it| (&it.id, it.name.as_str())).collect();
        for (at, annotation) in instances.annotations.into_iter().enumerate() {
            let Some(labelled) = paths.get(&annotation.image_id).and_then(|path| images.get_mut(path)) else {
                refuse(format!("annotations[{at}]: image_id {} is not among the images", annotation.image_id));
                continue;
            };
            let Some(name) = categories.get(&annotation.category_id) else {
                refuse(format!(
                    "annotations[{at}]: category_id {} is not among the categories",
                    annotation.category_id
                ));
                continue;
            };
            match classes.get(name) {
                Some(&class) => labelled.annotations.push(Numbered { at, class, annotation }),
                None => refuse(format!(
                    "annotations[{at}]: category `{}` is not among the names{}",
                    short(name),
                    near(name, classes.keys().copied())
                )),
            }
        }
    }
}

impl Labels for Coco {
    fn of(&self, image: &Path, size: Size) -> Result<Option<LabelFile>, String> {
        let Some(labelled) = self.lock().remove(image) else { return Ok(None) };
        let Labelled { file, size: stated, annotations } = labelled;
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        if let Some([w, h]) = stated.filter(|stated| *stated != [width, height]) {
            return Err(format!("{} says {w}x{h} pixels, the image has {width}x{height}", file.display()));
        }
        let mut found = LabelFile::default();
        for Numbered { at, class, annotation } in annotations {
            let label = object(class, annotation, size).map_err(|reason| format!("annotations[{at}]: {reason}"));
            found.add(&file, 0, label);
        }
        Ok(Some(found))
    }

    fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

fn object(class: u32, annotation: Annotation, size: Size) -> Result<Placed, String> {
    let [left, top, width, height] = annotation.bbox;
    if width < 0.0 || height < 0.0 {
        return Err(format!("the bbox is {width} wide and {height} high, neither may be negative"));
    }
    let is_crowd = annotation.iscrowd.0 || annotation.ignore.0;
    let polygons = if is_crowd { Vec::new() } else { annotation.segmentation.0 };
    let mut parts = Vec::with_capacity(polygons.len());
    for (at, polygon) in polygons.iter().enumerate() {
        let count = polygon.len();
        if count < 6 || count % 2 != 0 {
            return Err(format!("segmentation[{at}] has {count} numbers, expected x y of 3 points or more"));
        }
        parts.push(polygon.chunks_exact(2).map(|point| [point[0], point[1]]).collect());
    }
    let placed = place(class, [left, top, left + width, top + height], outline::join(parts), size)?;
    Ok(placed.with(|object| object.crowd = is_crowd))
}

#[cfg(test)]
mod tests;
