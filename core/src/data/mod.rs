//! The data set of one split: opened and checked as a whole, then read sample by sample.
//!
//! A refused label stops the opening; an image that cannot be read is left out, counted and named in the report.

pub mod decode;
pub mod demo;
mod files;
pub mod labels;
pub mod loader;
mod scan;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use trainer_image::{Sample, Size};

pub use scan::{Report, Unreadable};
pub use yaml::{DataYaml, Split};

use files::image_files;
use labels::{Label, label_path};
use loader::Source;
use scan::{Scanned, scan};

/// The readable images of a split with their labels, sorted by path.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Class names; [`Label::class`] counts them.
    pub names: Vec<String>,
    /// One for each image.
    pub records: Vec<Record>,
    /// What the check found.
    pub report: Report,
    imgsz: u32,
}

/// One image of the data set.
#[derive(Clone, Debug)]
pub struct Record {
    /// The image file.
    pub path: Arc<Path>,
    /// Its upright size.
    pub size: Size,
    /// Its objects.
    pub labels: Vec<Label>,
}

impl Dataset {
    /// Looks up the images of `split`, keeps the first `fraction` of them (above 0, at most 1; at least one image),
    /// and checks images and labels. Samples will have a longer side of `imgsz` pixels.
    ///
    /// # Errors
    /// No images, none that can be read, a label row that is refused, or training images without any label file.
    pub fn open(yaml: &DataYaml, split: Split, fraction: f64, imgsz: u32) -> Result<Self> {
        ensure!(fraction > 0.0 && fraction <= 1.0, "fraction {fraction} is not above 0 and at most 1");
        let mut files = image_files(yaml, split)?;
        let count = (files.len() as f64 * fraction).round() as usize;
        files.truncate(count.max(1));

        let mut report = Report::new(split, files.len());
        let mut records = Vec::with_capacity(files.len());
        let mut problems = Vec::new();
        for (path, scanned) in files.iter().zip(scan(&files, yaml.names.len())) {
            match scanned {
                Scanned::Unreadable(reason) => report.unreadable.push(Unreadable { path: path.clone(), reason }),
                Scanned::Image { size, labels } => {
                    report.count(labels.as_ref());
                    let file = labels.unwrap_or_default();
                    problems.extend(file.problems);
                    records.push(Record { path: path.as_path().into(), size, labels: file.labels });
                }
            }
        }
        if let Some(first) = problems.first() {
            let all =
                if problems.len() > 1 { format!(" ({} rows are refused)", problems.len()) } else { String::new() };
            bail!("{first}{all}");
        }
        let Some(first) = records.first() else {
            let [Unreadable { path, reason }, ..] = &report.unreadable[..] else { bail!("{split}: no images") };
            bail!("none of the {} {split} images can be read; {}: {reason}", files.len(), path.display());
        };
        if split == Split::Train && report.no_label_file == records.len() {
            let (file, line, count) = (yaml.file.display(), yaml.places(split)?.line, records.len());
            let example = label_path(&first.path);
            bail!("{file}:{line}: {split}: none of the {count} images has a label file such as {}", example.display());
        }
        Ok(Self { names: yaml.names.clone(), records, report, imgsz })
    }
}

impl Source for Dataset {
    fn len(&self) -> usize {
        self.records.len()
    }

    /// Decodes the image to a longer side of `imgsz` and scales its objects with it. An error says why this did not
    /// work, not for which file: that is [`path`](Source::path).
    fn load(&self, index: usize) -> Result<Sample> {
        let count = self.records.len();
        let record = self.records.get(index).with_context(|| format!("no image {index} in a data set of {count}"))?;
        let (image, original) = decode::decode(&record.path, self.imgsz)?;
        let mut sample = Sample::new(Arc::new(image), original);
        sample.id = index as u64;
        sample.path = Arc::clone(&record.path);
        sample.objects = record.labels.iter().map(|label| label.to_object(original)).collect();
        sample.fit(self.imgsz);
        Ok(sample)
    }

    fn num_classes(&self) -> Option<u32> {
        u32::try_from(self.names.len()).ok()
    }

    fn path(&self, index: usize) -> PathBuf {
        self.records.get(index).map(|record| record.path.to_path_buf()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
