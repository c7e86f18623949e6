//! A data set in figures: images, objects, classes, box sizes, and images that are the same.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::formats::Format;
use super::scan::Report;
use super::yaml::{DataYaml, Split};
use super::{OpenOptions, Record, Survey};

/// COCO's borders between small, medium and large, as areas in pixels of the file.
const AREAS: [f32; 2] = [32.0 * 32.0, 96.0 * 96.0];

/// A data set in figures.
#[derive(Debug, Serialize)]
pub struct Stats {
    pub format: Format,
    /// The longer side that images are scaled to for `box_side`.
    pub imgsz: u32,
    pub names: Vec<String>,
    pub splits: Vec<SplitStats>,
    /// Groups of images with the same bytes, within a split or across.
    pub identical: Vec<Vec<PathBuf>>,
}

/// A split in figures.
#[derive(Debug, Serialize)]
pub struct SplitStats {
    pub split: Split,
    pub images: usize,
    /// Images that cannot be used.
    pub left_out: usize,
    /// Images without objects, those without any label file among them.
    pub without_objects: usize,
    pub without_labels: usize,
    /// Objects that are learnt and scored.
    pub objects: usize,
    /// Regions with many objects, and such in which nothing is scored.
    pub crowds: usize,
    pub ignored: usize,
    /// Labels left out: repeated, or without area; cut at the image's border; refused.
    pub duplicates: usize,
    pub empty_boxes: usize,
    pub cut: usize,
    pub refused: usize,
    /// Objects of each class.
    pub classes: Vec<usize>,
    /// Small, medium and large objects by COCO's areas.
    pub small_medium_large: [usize; 3],
    /// The root of the boxes' areas in pixels, with images scaled to `imgsz`.
    pub box_side: Spread,
    pub objects_an_image: Spread,
}

/// How values are spread; zeros where there are none.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    pub mean: f64,
    pub min: f64,
    pub p5: f64,
    pub p25: f64,
    pub median: f64,
    pub p75: f64,
    pub p95: f64,
    pub max: f64,
}

impl Spread {
    /// Percentiles by the nearest rank.
    fn of(mut values: Vec<f64>) -> Self {
        let Some(last) = values.len().checked_sub(1) else { return Self::default() };
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[(last as f64 * share).round() as usize];
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let [min, p5, p25, median, p75, p95, max] = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0].map(at);
        Self { mean, min, p5, p25, median, p75, p95, max }
    }
}

/// The figures of all splits.
///
/// # Errors
/// A split that names no images.
pub fn stats(yaml: &DataYaml, options: &OpenOptions) -> Result<Stats> {
    let mut splits = Vec::new();
    let mut paths = Vec::new();
    for split in yaml.splits() {
        let survey = Survey::of(yaml, split, options)?;
        splits.push(split_stats(&survey, yaml.names.len(), options.imgsz));
        paths.extend(survey.records.into_iter().map(|record| record.path));
    }
    let identical = identical(paths.iter().map(|path| &**path));
    Ok(Stats { format: yaml.format, imgsz: options.imgsz, names: yaml.names.clone(), splits, identical })
}

fn split_stats(survey: &Survey, num_classes: usize, imgsz: u32) -> SplitStats {
    let Survey { records, report, problems } = survey;
    let Report { split, unreadable, backgrounds, no_label_file, duplicates, empty_boxes, cut, .. } = report;
    let mut classes = vec![0; num_classes];
    let (mut crowds, mut ignored, mut sizes) = (0, 0, [0; 3]);
    let (mut sides, mut counts) = (Vec::new(), Vec::new());
    for Record { size, objects, .. } in records {
        let scale = f64::from(imgsz) / f64::from(size.width.max(size.height).max(1));
        let mut count = 0;
        for object in objects {
            crowds += usize::from(object.crowd);
            ignored += usize::from(object.ignore);
            if object.crowd || object.ignore {
                continue;
            }
            count += 1;
            let area = object.bbox.area();
            sizes[AREAS.iter().filter(|border| area >= **border).count()] += 1;
            sides.push(f64::from(area).sqrt() * scale);
            if let Some(class) = classes.get_mut(object.class as usize) {
                *class += 1;
            }
        }
        counts.push(f64::from(count));
    }
    SplitStats {
        split: *split,
        images: records.len(),
        left_out: unreadable.len(),
        without_objects: *backgrounds,
        without_labels: *no_label_file,
        objects: sides.len(),
        crowds,
        ignored,
        duplicates: *duplicates,
        empty_boxes: *empty_boxes,
        cut: *cut,
        refused: problems.len(),
        classes,
        small_medium_large: sizes,
        box_side: Spread::of(sides),
        objects_an_image: Spread::of(counts),
    }
}

/// Groups of different paths with the same bytes; only files of equal length are read.
fn identical<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<Vec<PathBuf>> {
    let mut by_length: HashMap<u64, Vec<&Path>> = HashMap::new();
    for path in paths {
        if let Ok(metadata) = fs::metadata(path) {
            by_length.entry(metadata.len()).or_default().push(path);
        }
    }
    let mut by_digest: BTreeMap<Vec<u8>, Vec<PathBuf>> = BTreeMap::new();
    for path in by_length.into_values().filter(|paths| paths.len() > 1).flatten() {
        if let Ok(digest) = digest(path) {
            by_digest.entry(digest).or_default().push(path.to_path_buf());
        }
    }
    let mut groups: Vec<_> = by_digest.into_values().collect();
    for group in &mut groups {
        group.sort_unstable();
        group.dedup();
    }
    groups.retain(|group| group.len() > 1);
    groups.sort_unstable();
    groups
}

fn digest(path: &Path) -> io::Result<Vec<u8>> {
    let (mut reader, mut hasher) = (BufReader::with_capacity(1 << 16, File::open(path)?), Sha256::new());
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hasher.finalize().to_vec());
        }
        hasher.update(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        assert_eq!(Spread::of(Vec::new()), Spread::default());
        let spread = Spread::of((0..=100).rev().map(f64::from).collect());
        let expected =
            Spread { mean: 50.0, min: 0.0, p5: 5.0, p25: 25.0, median: 50.0, p75: 75.0, p95: 95.0, max: 100.0 };
        assert_eq!(spread, expected);
    }

    #[test]
    fn identical_files_are_grouped() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [("a", "one"), ("b", "two"), ("c", "one"), ("d", "three")].map(|(name, text)| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            path
        });
        let twice = paths.iter().chain(&paths).map(PathBuf::as_path);
        assert_eq!(identical(twice), [vec![paths[0].clone(), paths[2].clone()]]);
    }
}
