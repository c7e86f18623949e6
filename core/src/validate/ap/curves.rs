//! Precision and recall along the confidence, and the confidence with the best F1.

use super::{Point, mean};

/// The confidences at which curves are read: 0/999, 1/999 … 999/999.
const NUM_CONFIDENCES: usize = 1000;

/// Values averaged before the best F1 is looked for: about a tenth of the curve, odd.
const SMOOTHING: usize = 101;

/// Precision and recall of one class at each confidence.
pub(super) struct Curve {
    precision: Vec<f64>,
    recall: Vec<f64>,
}

impl Curve {
    /// Linear between the scores of `points` (best first); above the best of them precision is 1 and recall 0.
    pub(super) fn new(points: &[Point]) -> Self {
        let (mut precision, mut recall) = (vec![0.0; NUM_CONFIDENCES], vec![0.0; NUM_CONFIDENCES]);
        let mut next = 0;
        for i in (0..NUM_CONFIDENCES).rev() {
            let confidence = confidence(i);
            next += points[next..].partition_point(|point| point.score >= confidence);
            let last = next.checked_sub(1).map(|last| &points[last]);
            (precision[i], recall[i]) = match (last, points.get(next)) {
                (None, None) => (0.0, 0.0),
                (None, Some(_)) => (1.0, 0.0),
                (Some(last), None) => (last.precision, last.recall),
                (Some(last), Some(next)) => {
                    let part = (last.score - confidence) / (last.score - next.score);
                    let between = |a: f64, b: f64| a + (b - a) * part;
                    (between(last.precision, next.precision), between(last.recall, next.recall))
                }
            };
        }
        Self { precision, recall }
    }

    /// Precision and recall at the i-th confidence.
    pub(super) fn at(&self, i: usize) -> (f64, f64) {
        (self.precision[i], self.recall[i])
    }

    fn f1(&self, i: usize) -> f64 {
        let (precision, recall) = self.at(i);
        2.0 * precision * recall / (precision + recall + 1e-16)
    }
}

/// The i-th confidence, from 0 to 1.
pub(super) fn confidence(i: usize) -> f64 {
    i as f64 / (NUM_CONFIDENCES - 1) as f64
}

/// Where the mean F1 of the classes, smoothed, is highest; the lowest such confidence.
pub(super) fn best_f1(curves: &[Curve]) -> usize {
    let f1: Vec<f64> = (0..NUM_CONFIDENCES).map(|i| mean(curves.iter().map(|curve| curve.f1(i)))).collect();
    let smoothed = smooth(&f1);
    (0..NUM_CONFIDENCES).fold(0, |best, i| if smoothed[i] > smoothed[best] { i } else { best })
}

/// Moving average of [`SMOOTHING`] values; beyond the ends the border values go on.
fn smooth(values: &[f64]) -> Vec<f64> {
    let half = (SMOOTHING / 2) as isize;
    let at = |i: isize| values[i.clamp(0, values.len() as isize - 1) as usize];
    (0..values.len() as isize).map(|i| mean((i - half..=i + half).map(at))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(score: f64, precision: f64, recall: f64) -> Point {
        Point { score, precision, recall }
    }

    #[test]
    fn a_curve_is_linear_between_scores() {
        let curve = Curve::new(&[point(0.8, 1.0, 0.5), point(0.4, 0.5, 1.0)]);
        let at = |score: f64| curve.at((score * 999.0).round() as usize);
        assert_eq!((at(0.9), at(0.2)), ((1.0, 0.0), (0.5, 1.0)));
        let (precision, recall) = at(0.6);
        assert!((precision - 0.75).abs() < 2e-3 && (recall - 0.75).abs() < 2e-3, "{precision} {recall}");
        assert_eq!(Curve::new(&[]).at(500), (0.0, 0.0));
    }

    #[test]
    fn the_best_f1_is_that_of_the_mean_curve() {
        // F1 2/3, 1, 2/3 at confidence .9, .6, .3; the other class has nothing to say
        let curves = [
            Curve::new(&[point(0.9, 1.0, 0.5), point(0.6, 1.0, 1.0), point(0.3, 0.5, 1.0)]),
            Curve::new(&[point(0.9, 0.0, 0.0), point(0.1, 0.0, 0.0)]),
        ];
        let best = confidence(best_f1(&curves));
        assert!((best - 0.6).abs() < 0.03, "{best}");
        assert_eq!(best_f1(&[]), 0);
    }

    #[test]
    fn smoothing_goes_on_with_the_border() {
        let mut values = vec![1.0; 200];
        values[199] = 102.0;
        let smoothed = smooth(&values);
        assert_eq!((smoothed[0], smoothed[100], smoothed[149]), (1.0, 1.0, 2.0));
        assert!((smoothed[199] - 52.0).abs() < 1e-9, "the last value counts 51 times");
    }
}
