//! Non-maximum suppression of one image: decoded predictions in, the detections that remain out, best first.
//!
//! As the reference validates and predicts, without its time limit, which silently drops images.

use std::cmp::Ordering;

use anyhow::{Result, ensure};
use trainer_image::Bbox;

/// Candidates that enter suppression, best first; more only cost time.
const MAX_CANDIDATES: usize = 30_000;

/// How to suppress.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NmsOptions {
    /// Only scores above this make a candidate (0 to 1).
    pub conf: f32,
    /// A candidate that overlaps a better one of its class by more than this IoU (0 to 1) is dropped.
    pub iou: f32,
    /// At most this many detections remain.
    pub max_det: usize,
    /// Only the best class of an anchor makes a candidate (predict); else every class above `conf` does (val).
    pub single_label: bool,
}

impl NmsOptions {
    /// The reference's setting for validation: confidence .001, IoU .7, 300 detections, multi-label.
    #[must_use]
    pub fn val() -> Self {
        Self { conf: 0.001, iou: 0.7, max_det: 300, single_label: false }
    }

    /// The reference's setting for prediction: confidence .25, IoU .7, 300 detections, best class only.
    #[must_use]
    pub fn predict() -> Self {
        Self { conf: 0.25, single_label: true, ..Self::val() }
    }
}

/// One found object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// In the pixels of the predictions.
    pub bbox: Bbox,
    /// The class probability, 0 to 1.
    pub score: f32,
    /// Index into the class names.
    pub class: u32,
}

#[derive(Clone, Copy)]
struct Candidate {
    score: f32,
    anchor: u32,
    class: u32,
}

impl Candidate {
    /// Best score first, then by anchor and class, so that the order never depends on the sorting algorithm.
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then((self.anchor, self.class).cmp(&(other.anchor, other.class)))
    }
}

/// Suppresses the predictions of one image.
///
/// `prediction` is (4 + C, A), channel-major, for A anchors and C = `num_classes`: the rows x1, y1, x2, y2 in input
/// pixels, then a row of probabilities for each class. Boxes that are not finite never remain.
///
/// # Errors
/// A slice whose length is no multiple of 4 + C.
pub fn nms(prediction: &[f32], num_classes: usize, options: &NmsOptions) -> Result<Vec<Detection>> {
    let (num_values, num_rows) = (prediction.len(), 4 + num_classes);
    ensure!(num_values.is_multiple_of(num_rows), "{num_values} values are no (4 + {num_classes}, A) prediction");
    let num_anchors = num_values / num_rows;
    let (boxes, scores) = prediction.split_at(4 * num_anchors);
    let bbox = |anchor: usize| {
        let [x1, y1, x2, y2] = std::array::from_fn(|row| boxes[row * num_anchors + anchor]);
        Bbox { x1, y1, x2, y2 }
    };

    let candidates = if options.single_label {
        best_classes(scores, num_anchors, options.conf)
    } else {
        all_classes(scores, num_anchors, options.conf)
    };
    let mut kept: Vec<Detection> = Vec::new();
    let mut kept_of_class = vec![Vec::new(); num_classes];
    for candidate in best_first(candidates) {
        if kept.len() == options.max_det {
            break;
        }
        let (bbox, class) = (bbox(candidate.anchor as usize), candidate.class);
        let rivals: &mut Vec<Bbox> = &mut kept_of_class[class as usize];
        if is_finite(&bbox) && rivals.iter().all(|rival| iou(rival, &bbox) <= options.iou) {
            rivals.push(bbox);
            kept.push(Detection { bbox, score: candidate.score, class });
        }
    }
    Ok(kept)
}

/// Every (anchor, class) whose score is above `conf`.
fn all_classes(scores: &[f32], num_anchors: usize, conf: f32) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (class, row) in scores.chunks_exact(num_anchors.max(1)).enumerate() {
        let above = row.iter().enumerate().filter(|&(_, &score)| score > conf);
        candidates.extend(above.map(|(anchor, &score)| Candidate {
            score,
            anchor: anchor as u32,
            class: class as u32,
        }));
    }
    candidates
}

/// The best class of every anchor, the first of equals, where its score is above `conf`.
fn best_classes(scores: &[f32], num_anchors: usize, conf: f32) -> Vec<Candidate> {
    let mut best: Vec<Candidate> =
        (0..num_anchors).map(|anchor| Candidate { score: conf, anchor: anchor as u32, class: u32::MAX }).collect();
    for (class, row) in scores.chunks_exact(num_anchors.max(1)).enumerate() {
        for (best, &score) in best.iter_mut().zip(row) {
            if score > best.score {
                (best.score, best.class) = (score, class as u32);
            }
        }
    }
    best.retain(|candidate| candidate.class != u32::MAX);
    best
}

/// The best [`MAX_CANDIDATES`], in order.
fn best_first(mut candidates: Vec<Candidate>) -> Vec<Candidate> {
    if candidates.len() > MAX_CANDIDATES {
        candidates.select_nth_unstable_by(MAX_CANDIDATES, Candidate::order);
        candidates.truncate(MAX_CANDIDATES);
    }
    candidates.sort_unstable_by(Candidate::order);
    candidates
}

fn is_finite(b: &Bbox) -> bool {
    [b.x1, b.y1, b.x2, b.y2].iter().all(|value| value.is_finite())
}

/// Intersection over union; 0 where either box is empty.
fn iou(a: &Bbox, b: &Bbox) -> f32 {
    let width = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let height = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    let inner = width * height;
    if inner <= 0.0 {
        return 0.0;
    }
    inner / ((a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of one anchor (x1, y1, x2, y2, then class scores) into the channel-major layout.
    fn channel_major<const N: usize>(anchors: &[[f32; N]]) -> Vec<f32> {
        (0..N).flat_map(|row| anchors.iter().map(move |anchor| anchor[row])).collect()
    }

    fn found(detections: &[Detection]) -> Vec<(u32, f32)> {
        detections.iter().map(|d| (d.class, d.score)).collect()
    }

    #[test]
    fn suppresses_within_a_class_only() {
        // 1 overlaps 0 by IoU 0.8; 2 lies apart; 3 equals 0 in another class
        let prediction = channel_major(&[
            [0.0, 0.0, 10.0, 10.0, 0.9, 0.0],
            [0.0, 0.0, 10.0, 8.0, 0.8, 0.0],
            [50.0, 0.0, 60.0, 10.0, 0.7, 0.0],
            [0.0, 0.0, 10.0, 10.0, 0.0, 0.6],
        ]);
        let detections = nms(&prediction, 2, &NmsOptions::val()).unwrap();
        assert_eq!(found(&detections), [(0, 0.9), (0, 0.7), (1, 0.6)]);
        assert_eq!(detections[1].bbox, Bbox { x1: 50.0, y1: 0.0, x2: 60.0, y2: 10.0 });

        let loose = NmsOptions { iou: 0.8, ..NmsOptions::val() };
        assert_eq!(nms(&prediction, 2, &loose).unwrap().len(), 4, "suppression needs more than the threshold");
        let two = NmsOptions { max_det: 2, ..NmsOptions::val() };
        assert_eq!(found(&nms(&prediction, 2, &two).unwrap()), [(0, 0.9), (0, 0.7)]);
    }

    #[test]
    fn multi_label_keeps_every_class_and_single_label_the_best() {
        let prediction = channel_major(&[[0.0, 0.0, 4.0, 4.0, 0.3, 0.5, 0.5, 0.2]]);
        let multi = NmsOptions { conf: 0.25, ..NmsOptions::val() };
        assert_eq!(found(&nms(&prediction, 4, &multi).unwrap()), [(1, 0.5), (2, 0.5), (0, 0.3)]);
        assert_eq!(found(&nms(&prediction, 4, &NmsOptions::predict()).unwrap()), [(1, 0.5)]);
        let strict = NmsOptions { conf: 0.5, ..NmsOptions::predict() };
        assert!(nms(&prediction, 4, &strict).unwrap().is_empty(), "a candidate needs more than conf");
    }

    #[test]
    fn ties_go_by_anchor() {
        let same: Vec<[f32; 5]> = (0..50).map(|i| [i as f32 * 20.0, 0.0, i as f32 * 20.0 + 10.0, 10.0, 0.5]).collect();
        let detections = nms(&channel_major(&same), 1, &NmsOptions::val()).unwrap();
        let lefts: Vec<f32> = detections.iter().map(|d| d.bbox.x1).collect();
        assert_eq!(lefts, (0..50).map(|i| i as f32 * 20.0).collect::<Vec<_>>());
    }

    #[test]
    fn only_the_best_candidates_enter() {
        let num = MAX_CANDIDATES as u32 + 5;
        let rising = (0..num).map(|anchor| Candidate { score: anchor as f32, anchor, class: 0 }).collect();
        let best = best_first(rising);
        assert_eq!(best.len(), MAX_CANDIDATES);
        assert_eq!((best[0].anchor, best[MAX_CANDIDATES - 1].anchor), (num - 1, 5), "the five worst are left out");
    }

    #[test]
    fn survives_strange_input() {
        let nan = channel_major(&[[f32::NAN, 0.0, 1.0, 1.0, 0.9], [0.0, 0.0, 1.0, 1.0, f32::NAN]]);
        assert!(nms(&nan, 1, &NmsOptions::val()).unwrap().is_empty());
        assert!(nms(&[], 3, &NmsOptions::val()).unwrap().is_empty());
        let empty_box = channel_major(&[[5.0, 5.0, 5.0, 5.0, 0.9], [5.0, 5.0, 5.0, 5.0, 0.8]]);
        assert_eq!(nms(&empty_box, 1, &NmsOptions::val()).unwrap().len(), 2);
        let text = nms(&[0.0; 7], 1, &NmsOptions::val()).unwrap_err().to_string();
        assert_eq!(text, "7 values are no (4 + 1, A) prediction");
    }
}
