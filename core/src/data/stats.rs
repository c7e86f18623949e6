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
    let labels = LabelStats::of(records, num_classes, imgsz);
    SplitStats {
        split: *split,
        images: records.len(),
        left_out: unreadable.len(),
        without_objects: *backgrounds,
        without_labels: *no_label_file,
        objects: labels.sides.len(),
        crowds: labels.crowds,
        ignored: labels.ignored,
        duplicates: *duplicates,
        empty_boxes: *empty_boxes,
        cut: *cut,
        refused: problems.len(),
        classes: labels.classes,
        small_medium_large: labels.small_medium_large,
        box_side: Spread::of(labels.sides),
        objects_an_image: Spread::of(labels.counts.into_iter().map(|count| count as f64).collect()),
    }
}

/// The objects of a split, one value each. Only those that are learnt and scored count, except in `crowds` and `ignored`.
#[derive(Debug, Default, PartialEq)]
pub struct LabelStats {
    /// Objects of each class.
    pub classes: Vec<usize>,
    /// Regions with many objects, and such in which nothing is scored.
    pub crowds: usize,
    pub ignored: usize,
    /// Small, medium and large objects by COCO's areas.
    pub small_medium_large: [usize; 3],
    /// The root of each box's area in pixels, with images scaled to `imgsz`.
    pub sides: Vec<f64>,
    /// Centre x and y, width and height of each box in shares of its image.
    pub boxes: Vec<[f32; 4]>,
    /// Objects of each image.
    pub counts: Vec<usize>,
}

impl LabelStats {
    /// Looks at all objects once.
    #[must_use]
    pub fn of(records: &[Record], num_classes: usize, imgsz: u32) -> Self {
        let mut stats = Self { classes: vec![0; num_classes], ..Self::default() };
        for Record { size, objects, .. } in records {
            let (width, height) = (size.width.max(1) as f32, size.height.max(1) as f32);
            let scale = f64::from(imgsz) / f64::from(width.max(height));
            let before = stats.sides.len();
            for object in objects {
                stats.crowds += usize::from(object.crowd);
                stats.ignored += usize::from(object.ignore);
                if object.crowd || object.ignore {
                    continue;
                }
                let (bbox, area) = (&object.bbox, object.bbox.area());
                stats.small_medium_large[AREAS.iter().filter(|border| area >= **border).count()] += 1;
                stats.sides.push(f64::from(area).sqrt() * scale);
                let (x, y) = ((bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0);
                stats.boxes.push([x / width, y / height, bbox.width() / width, bbox.height() / height]);
                if let Some(class) = stats.classes.get_mut(object.class as usize) {
                    *class += 1;
                }
            }
            stats.counts.push(stats.sides.len() - before);
        }
        stats
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
    use trainer_image::{Bbox, Object, Size};

    #[test]
    fn spreads() {
        assert_eq!(Spread::of(Vec::new()), Spread::default());
        let spread = Spread::of((0..=100).rev().map(f64::from).collect());
        let expected =
            Spread { mean: 50.0, min: 0.0, p5: 5.0, p25: 25.0, median: 50.0, p75: 75.0, p95: 95.0, max: 100.0 };
        assert_eq!(spread, expected);
    }

    #[test]
    fn labels_are_counted_once() {
        let object = |class, x1| Object::new(class, Bbox::new(x1, 10.0, x1 + 40.0, 50.0));
        let (mut crowd, mut ignored) = (object(0, 0.0), object(0, 0.0));
        (crowd.crowd, ignored.ignore) = (true, true);
        let record = |objects| Record { path: Path::new("a.png").into(), size: Size::new(200, 100), objects };
        let records = [record(vec![object(1, 0.0), crowd, ignored, object(1, 100.0)]), record(Vec::new())];
        let expected = LabelStats {
            classes: vec![0, 2, 0],
            crowds: 1,
            ignored: 1,
            small_medium_large: [0, 2, 0],
            sides: vec![20.0, 20.0],
            boxes: vec![[0.1, 0.3, 0.2, 0.4], [0.6, 0.3, 0.2, 0.4]],
            counts: vec![2, 0],
        };
        assert_eq!(LabelStats::of(&records, 3, 100), expected);
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
