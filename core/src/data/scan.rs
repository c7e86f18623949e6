//! The check of all images and label files before the first epoch, and what it found.

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread;

use serde::Serialize;
use trainer_image::Size;

use super::formats::{LabelFile, Labels};
use super::headers::{Headers, Stamp};
use super::yaml::Split;

/// So many unreadable images are named in a warning; all stand in the report.
const MAX_NAMED: usize = 10;

/// One image file, looked at.
pub(super) enum Scanned {
    /// Why it cannot be used.
    Unreadable(String),
    /// Its upright size, what the file was like when that was read, and what is said of it.
    Image { size: Size, stamp: Option<Stamp>, labels: Option<LabelFile> },
}

/// Looks at every file, in parallel; the result is in the order of `files`. Headers that are known are not read again.
pub(super) fn scan(files: &[PathBuf], labels: &dyn Labels, headers: &Headers) -> Vec<Scanned> {
    let num_threads = thread::available_parallelism().map_or(1, usize::from);
    let per_thread = files.len().div_ceil(num_threads).max(1);
    let mut scanned: Vec<Option<Scanned>> = files.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for (files, scanned) in files.chunks(per_thread).zip(scanned.chunks_mut(per_thread)) {
            scope.spawn(move || {
                for (file, scanned) in files.iter().zip(scanned) {
                    *scanned = Some(scan_one(file, labels, headers));
                }
            });
        }
    });
    scanned.into_iter().flatten().collect()
}

fn scan_one(file: &Path, labels: &dyn Labels, headers: &Headers) -> Scanned {
    let (size, stamp) = match headers.size(file) {
        Ok(found) => found,
        Err(error) => return Scanned::Unreadable(error.to_string().lines().next().unwrap_or_default().to_owned()),
    };
    match labels.of(file, size) {
        Ok(labels) => Scanned::Image { size, stamp, labels },
        Err(reason) => Scanned::Unreadable(reason),
    }
}

/// What the check of a split found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub split: Split,
    /// Image files found.
    pub files: usize,
    /// Objects that stay.
    pub objects: usize,
    /// Readable images without objects.
    pub backgrounds: usize,
    /// Readable images without a label file; they are backgrounds.
    pub no_label_file: usize,
    /// Labels left out because they repeat another.
    pub duplicates: usize,
    /// Labels left out because their box has no area.
    pub empty_boxes: usize,
    /// Labels that reached beyond their image and were cut.
    pub cut: usize,
    /// Image files left out.
    pub unreadable: Vec<Unreadable>,
}

/// An image file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    pub path: PathBuf,
    pub reason: String,
}

impl Report {
    pub(super) fn new(split: Split, files: usize) -> Self {
        let (objects, backgrounds, no_label_file, duplicates, empty_boxes, cut) = (0, 0, 0, 0, 0, 0);
        Self { split, files, objects, backgrounds, no_label_file, duplicates, empty_boxes, cut, unreadable: Vec::new() }
    }

    /// Counts one readable image and its label file.
    pub(super) fn count(&mut self, labels: Option<&LabelFile>) {
        self.no_label_file += usize::from(labels.is_none());
        self.backgrounds += usize::from(labels.is_none_or(|file| file.objects.is_empty()));
        if let Some(file) = labels {
            self.objects += file.objects.len();
            self.duplicates += file.num_duplicates;
            self.empty_boxes += file.num_empty;
            self.cut += file.num_cut;
        }
    }

    /// Readable images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.files - self.unreadable.len()
    }

    /// What the user should know, a line each; nothing where all is well.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let Self { split, duplicates, empty_boxes, no_label_file, cut, .. } = self;
        let mut warnings = Vec::new();
        if !self.unreadable.is_empty() {
            warnings.push(format!("{split}: {} of {} images left out: unreadable", self.unreadable.len(), self.files));
        }
        warnings.extend(self.unreadable.iter().take(MAX_NAMED).map(|u| format!("{}: {}", u.path.display(), u.reason)));
        if self.unreadable.len() > MAX_NAMED {
            warnings.push(format!("and {} more unreadable images", self.unreadable.len() - MAX_NAMED));
        }
        if self.images() > 0 && *no_label_file == self.images() {
            warnings
                .push(format!("{split}: none of the {no_label_file} images has a label file: its figures will be 0"));
        }
        if *duplicates > 0 {
            warnings.push(format!("{split}: {duplicates} labels left out: exact duplicates"));
        }
        if *empty_boxes > 0 {
            warnings.push(format!("{split}: {empty_boxes} labels left out: boxes without area"));
        }
        if *cut > 0 {
            warnings.push(format!("{split}: {cut} labels reach beyond their image: cut"));
        }
        warnings
    }
}

/// One line, for the log.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { split, objects, backgrounds, .. } = self;
        write!(f, "{split}: {} images, {objects} objects, {backgrounds} images without objects", self.images())
    }
}
