//! Average precision as COCO defines it: detections and ground truth of each image in, AP per class and means out.
//!
//! Follows pycocotools' `COCOeval` for boxes (matching, crowd rule, 101 recall points, step lookup), so that the
//! figures equal its own. Precision and recall are read at the confidence with the best F1, as YOLO users expect.

mod curves;

use anyhow::{Result, ensure};
use trainer_image::{Bbox, Object};

use super::nms::Detection;
use curves::Curve;

/// How many IoU thresholds the mean goes over: .50, .55 … .95.
pub const NUM_IOUS: usize = 10;

/// Detections an image and class that COCO's own figures count.
pub const COCO_MAX_DET: usize = 100;

/// A rectangle in original pixels as COCO writes it, in f64: 32 bits would move IoUs that lie on a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width, not negative.
    pub width: f64,
    /// Height, not negative.
    pub height: f64,
}

impl From<Bbox> for Rect {
    fn from(bbox: Bbox) -> Self {
        let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(f64::from);
        Self { x: x1, y: y1, width: x2 - x1, height: y2 - y1 }
    }
}

/// A detection: what, where and how sure (0 to 1).
#[derive(Clone, Copy, Debug)]
pub struct Scored {
    pub class: u32,
    pub rect: Rect,
    pub score: f64,
}

impl From<&Detection> for Scored {
    fn from(detection: &Detection) -> Self {
        Self { class: detection.class, rect: detection.bbox.into(), score: f64::from(detection.score) }
    }
}

/// An object that is there. A crowd region counts neither as found nor as missed, and takes any number of detections.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    pub class: u32,
    pub rect: Rect,
    pub crowd: bool,
}

impl From<&Object> for Truth {
    /// A region in which nothing is scored is treated as a crowd.
    fn from(object: &Object) -> Self {
        Self { class: object.class, rect: object.bbox.into(), crowd: object.crowd || object.ignore }
    }
}

/// Collects images one by one; [`figures`](Self::figures) may be asked at any time.
///
/// Detections of equal score count in the order in which their images were added.
#[derive(Clone, Debug)]
pub struct Evaluator {
    classes: Vec<ClassRecord>,
    num_images: usize,
}

/// What is kept of one class over all images.
#[derive(Clone, Debug, Default)]
struct ClassRecord {
    outcomes: Vec<Outcome>,
    num_images: usize,
    num_instances: usize,
}

/// What became of one detection; bit t of the masks belongs to IoU threshold t.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    score: f64,
    /// Place among the detections of its image and class, best first.
    rank: u32,
    matched: u16,
    ignored: u16,
}

/// The result over all classes that have ground truth; 0 where nothing has.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Images added.
    pub images: usize,
    /// Objects, crowd regions left out.
    pub instances: usize,
    /// Mean precision over classes at `confidence`, IoU .5.
    pub precision: f64,
    /// Mean recall over classes at `confidence`, IoU .5.
    pub recall: f64,
    /// The confidence with the best smoothed mean F1, IoU .5.
    pub confidence: f64,
    /// Mean AP at IoU .50.
    pub map50: f64,
    /// Mean AP over IoU .50:.05:.95: COCO's AP.
    pub map50_95: f64,
    /// One for each class that has ground truth, by class.
    pub classes: Vec<ClassFigures>,
}

/// The result of one class.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassFigures {
    pub class: u32,
    /// Images with at least one object of the class.
    pub images: usize,
    /// Objects, crowd regions left out.
    pub instances: usize,
    /// At [`Figures::confidence`], IoU .5.
    pub precision: f64,
    /// At [`Figures::confidence`], IoU .5.
    pub recall: f64,
    /// AP at each IoU threshold .50, .55 … .95.
    pub ap: [f64; NUM_IOUS],
}

impl ClassFigures {
    /// Mean AP over the ten IoU thresholds.
    #[must_use]
    pub fn ap50_95(&self) -> f64 {
        mean(self.ap)
    }
}

impl Evaluator {
    /// An empty evaluator for classes 0..`num_classes`.
    #[must_use]
    pub fn new(num_classes: usize) -> Self {
        Self { classes: vec![ClassRecord::default(); num_classes], num_images: 0 }
    }

    /// Adds one image: all its detections (any order) and all its objects, in the same pixels.
    ///
    /// # Errors
    /// A class that is not below `num_classes`, a score that is not finite; the image is not added then.
    pub fn add(&mut self, detections: &[Scored], truths: &[Truth]) -> Result<()> {
        let num_classes = self.classes.len();
        for class in detections.iter().map(|d| d.class).chain(truths.iter().map(|t| t.class)) {
            ensure!((class as usize) < num_classes, "class {class} in an evaluation of {num_classes} classes");
        }
        ensure!(detections.iter().all(|d| d.score.is_finite()), "a detection's score is not a finite number");
        self.num_images += 1;

        let mut detections: Vec<&Scored> = detections.iter().collect();
        detections.sort_by(|a, b| a.class.cmp(&b.class).then(b.score.total_cmp(&a.score)));
        let mut truths: Vec<&Truth> = truths.iter().collect();
        truths.sort_by_key(|t| (t.class, t.crowd));

        for truths in truths.chunk_by(|a, b| a.class == b.class) {
            let num_instances = truths.iter().filter(|t| !t.crowd).count();
            let record = &mut self.classes[truths[0].class as usize];
            record.num_instances += num_instances;
            record.num_images += usize::from(num_instances > 0);
        }
        for detections in detections.chunk_by(|a, b| a.class == b.class) {
            let class = detections[0].class;
            let first = truths.partition_point(|t| t.class < class);
            let last = truths.partition_point(|t| t.class <= class);
            self.classes[class as usize].outcomes.extend(match_class(detections, &truths[first..last]));
        }
        Ok(())
    }

    /// The figures when the best `max_det` detections of each image and class count ([`COCO_MAX_DET`] for COCO's).
    #[must_use]
    pub fn figures(&self, max_det: usize) -> Figures {
        let with_truth = self.classes.iter().enumerate().filter(|(_, record)| record.num_instances > 0);
        let (mut classes, curves): (Vec<ClassFigures>, Vec<Curve>) =
            with_truth.map(|(class, record)| class_figures(class as u32, record, max_det)).unzip();
        let best = curves::best_f1(&curves);
        for (class, curve) in classes.iter_mut().zip(&curves) {
            (class.precision, class.recall) = curve.at(best);
        }
        Figures {
            images: self.num_images,
            instances: classes.iter().map(|c| c.instances).sum(),
            precision: mean(classes.iter().map(|c| c.precision)),
            recall: mean(classes.iter().map(|c| c.recall)),
            confidence: curves::confidence(best),
            map50: mean(classes.iter().map(|c| c.ap[0])),
            map50_95: mean(classes.iter().flat_map(|c| c.ap)),
            classes,
        }
    }
}

/// The IoU a match needs at threshold `t`: numpy's linspace(.5, .95, 10), to the bit.
fn iou_threshold(t: usize) -> f64 {
    if t + 1 == NUM_IOUS { 0.95 } else { (0.95 - 0.5) / 9.0 * t as f64 + 0.5 }
}

/// Assigns the detections (best first) to the objects (crowd last) of one image and class, at every threshold.
///
/// Each detection takes the free object it overlaps most; only where no object is left may it fall on a crowd.
fn match_class(detections: &[&Scored], truths: &[&Truth]) -> Vec<Outcome> {
    let mut taken = vec![0u16; truths.len()];
    let mut outcomes = Vec::with_capacity(detections.len());
    for (rank, detection) in detections.iter().enumerate() {
        let ious: Vec<f64> = truths.iter().map(|truth| overlap(&detection.rect, truth)).collect();
        let mut outcome = Outcome { score: detection.score, rank: rank as u32, matched: 0, ignored: 0 };
        for t in 0..NUM_IOUS {
            let bit = 1 << t;
            let mut best = None;
            let mut best_iou = iou_threshold(t);
            for (g, truth) in truths.iter().enumerate() {
                if truth.crowd && best.is_some() {
                    break;
                }
                let free = truth.crowd || taken[g] & bit == 0;
                // on equal IoU the later object wins, as in pycocotools
                if free && ious[g] >= best_iou {
                    best_iou = ious[g];
                    best = Some(g);
                }
            }
            if let Some(g) = best {
                taken[g] |= bit;
                outcome.matched |= bit;
                outcome.ignored |= if truths[g].crowd { bit } else { 0 };
            }
        }
        outcomes.push(outcome);
    }
    outcomes
}

/// IoU, or for a crowd the share of the detection that lies in it; 0 where they do not touch.
fn overlap(found: &Rect, truth: &Truth) -> f64 {
    let there = &truth.rect;
    let width = (found.x + found.width).min(there.x + there.width) - found.x.max(there.x);
    let height = (found.y + found.height).min(there.y + there.height) - found.y.max(there.y);
    if !(width > 0.0 && height > 0.0) {
        return 0.0;
    }
    let (inner, area) = (width * height, found.width * found.height);
    inner / if truth.crowd { area } else { area + there.width * there.height - inner }
}

/// The figures of a class, precision and recall still open, and its curve at IoU .5.
fn class_figures(class: u32, record: &ClassRecord, max_det: usize) -> (ClassFigures, Curve) {
    let mut outcomes: Vec<&Outcome> = record.outcomes.iter().filter(|o| (o.rank as usize) < max_det).collect();
    outcomes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let points: [Vec<Point>; NUM_IOUS] = std::array::from_fn(|t| precision_recall(&outcomes, t, record.num_instances));
    let ap = std::array::from_fn(|t| average_precision(&points[t]));
    let (images, instances) = (record.num_images, record.num_instances);
    (ClassFigures { class, images, instances, precision: 0.0, recall: 0.0, ap }, Curve::new(&points[0]))
}

/// Precision and recall once all detections down to `score` are accepted.
struct Point {
    score: f64,
    precision: f64,
    recall: f64,
}

/// A point for each detection that counts at threshold `t`, best score first.
fn precision_recall(outcomes: &[&Outcome], t: usize, num_instances: usize) -> Vec<Point> {
    let bit = 1 << t;
    let (mut tp, mut fp) = (0.0, 0.0);
    let counted = outcomes.iter().filter(|o| o.ignored & bit == 0);
    counted
        .map(|outcome| {
            let found = outcome.matched & bit != 0;
            tp += f64::from(u8::from(found));
            fp += f64::from(u8::from(!found));
            Point { score: outcome.score, precision: tp / (fp + tp), recall: tp / num_instances as f64 }
        })
        .collect()
}

/// Mean over 101 recalls r of the best precision reached at recall r or beyond; 0 where r is never reached.
fn average_precision(points: &[Point]) -> f64 {
    let mut envelope = vec![0.0; points.len()];
    let mut best = 0.0f64;
    for (e, point) in envelope.iter_mut().zip(points).rev() {
        best = best.max(point.precision);
        *e = best;
    }
    let mut i = 0;
    mean((0..=100).map(|r| {
        i += points[i..].partition_point(|point| point.recall < f64::from(r) * 0.01);
        envelope.get(i).copied().unwrap_or(0.0)
    }))
}

/// The mean, 0 of nothing.
fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests;
