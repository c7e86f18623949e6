//! The data set of one split: opened and checked as a whole, then read sample by sample.
//!
//! A refused label stops the opening; an image that cannot be read is left out, counted and named in the report.

pub mod cache;
pub mod check;
pub mod decode;
pub mod demo;
mod files;
pub mod formats;
#[cfg(test)]
mod fuzz;
mod headers;
mod layout;
pub mod loader;
mod scan;
pub mod stats;
mod yaml;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use etcetera::BaseStrategy;
use trainer_image::{Object, Sample, Size};

pub use formats::{Format, Problem};
pub use scan::{Report, Unreadable};
pub use yaml::{DataYaml, Split};

use cache::Cache;
use headers::Headers;
use loader::Source;
use scan::{Scanned, scan};

/// The readable images of a split with their labels, sorted by path.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Class names; [`Object::class`] counts them.
    pub names: Vec<String>,
    /// One for each image.
    pub records: Vec<Record>,
    /// What the check found.
    pub report: Report,
    imgsz: u32,
    cache: Cache,
}

/// One image of the data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The image file.
    pub path: Arc<Path>,
    /// Its upright size.
    pub size: Size,
    /// Its objects, in pixels of that size.
    pub objects: Vec<Object>,
}

/// How a [`Dataset`] is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The share of the images that is used, the first ones: above 0 to 1; at least one image.
    pub fraction: f64,
    /// Samples have a longer side of so many pixels.
    pub imgsz: u32,
    /// Whether all classes count as one.
    pub single_cls: bool,
    /// Where the sizes of images are kept from one time to the next; nowhere without it.
    pub cache: Option<PathBuf>,
}

impl OpenOptions {
    /// All images, all classes, and the user's cache folder.
    #[must_use]
    pub fn new(imgsz: u32) -> Self {
        let cache = etcetera::choose_base_strategy().ok().map(|base| base.cache_dir().join("trainer/headers"));
        Self { fraction: 1.0, imgsz, single_cls: false, cache }
    }
}

/// A split as it is found, with what stands against using it.
pub(crate) struct Survey {
    pub records: Vec<Record>,
    pub report: Report,
    pub problems: Vec<Problem>,
}

impl Survey {
    /// Looks up images and labels.
    ///
    /// # Errors
    /// No images, or a file that names them and cannot be read.
    pub fn of(yaml: &DataYaml, split: Split, options: &OpenOptions) -> Result<Self> {
        let fraction = options.fraction;
        ensure!(fraction > 0.0 && fraction <= 1.0, "fraction {fraction} is not above 0 and at most 1");
        let (mut files, labels) = formats::open(yaml, split)?;
        let count = (files.len() as f64 * fraction).round() as usize;
        files.truncate(count.max(1));

        let headers = Headers::open(options.cache.as_deref(), yaml, split);
        let scanned = scan(&files, &*labels, &headers);
        let sizes = files.iter().zip(&scanned).filter_map(|(file, scanned)| match scanned {
            Scanned::Image { size, stamp, .. } => Some((file.as_path(), *size, (*stamp)?)),
            Scanned::Unreadable(_) => None,
        });
        headers.save(sizes, fraction < 1.0);

        let mut report = Report::new(split, files.len());
        let mut records = Vec::with_capacity(files.len());
        let mut problems = labels.problems().to_vec();
        for (path, scanned) in files.into_iter().zip(scanned) {
            match scanned {
                Scanned::Unreadable(reason) => report.unreadable.push(Unreadable { path, reason }),
                Scanned::Image { size, labels, .. } => {
                    report.count(labels.as_ref());
                    let mut file = labels.unwrap_or_default();
                    problems.append(&mut file.problems);
                    if options.single_cls {
                        file.objects.iter_mut().for_each(|object| object.class = 0);
                    }
                    records.push(Record { path: path.into(), size, objects: file.objects });
                }
            }
        }
        Ok(Self { records, report, problems })
    }

    /// Why the split as a whole cannot be used.
    pub fn refuse(&self, yaml: &DataYaml) -> Result<()> {
        let Report { split, files, unreadable, no_label_file, .. } = &self.report;
        let Some(first) = self.records.first() else {
            let [Unreadable { path, reason }, ..] = &unreadable[..] else { bail!("{split}: no images") };
            bail!("none of the {files} {split} images can be read; {}: {reason}", path.display());
        };
        let count = self.records.len();
        if *split == Split::Train && *no_label_file == count {
            let (key, example) = (files::split_key(yaml, *split), yaml.format.label_path(&first.path));
            bail!("{key}: none of the {count} images has a label file such as {}", example.display());
        }
        Ok(())
    }
}

impl Dataset {
    /// Looks up the images of `split` and checks images and labels.
    ///
    /// # Errors
    /// No images, none that can be read, a label that is refused, or training images without any label file.
    pub fn open(yaml: &DataYaml, split: Split, options: &OpenOptions) -> Result<Self> {
        let survey = Survey::of(yaml, split, options)?;
        if let Some(first) = survey.problems.first() {
            let count = survey.problems.len();
            let all = if count > 1 { format!(" ({count} labels are refused)") } else { String::new() };
            bail!("{first}{all}");
        }
        survey.refuse(yaml)?;
        let Survey { records, report, .. } = survey;
        Ok(Self {
            names: yaml.class_names(options.single_cls),
            records,
            report,
            imgsz: options.imgsz,
            cache: Cache::None,
        })
    }
}

impl Source for Dataset {
    fn len(&self) -> usize {
        self.records.len()
    }

    /// Decodes the image, unless it is in the cache, to a longer side of `imgsz` and scales its objects with it. An error says why this did not
    /// work, not for which file: that is [`path`](Source::path).
    fn load(&self, index: usize) -> Result<Sample> {
        let count = self.records.len();
        let record = self.records.get(index).with_context(|| format!("no image {index} in a data set of {count}"))?;
        let (image, original) = self.cache.image(index, &record.path, self.imgsz)?;
        let mut sample = Sample::new(image, original);
        sample.id = index as u64;
        sample.path = Arc::clone(&record.path);
        sample.objects.clone_from(&record.objects);
        sample.fit(self.imgsz);
        Ok(sample)
    }

    fn num_classes(&self) -> Option<u32> {
        u32::try_from(self.names.len()).ok()
    }

    fn size(&self, index: usize) -> Option<Size> {
        self.records.get(index).map(|record| record.size)
    }

    fn path(&self, index: usize) -> PathBuf {
        self.records.get(index).map(|record| record.path.to_path_buf()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
