//! Half planes: what a clip is made of. A convex clip is the meeting of a few of them, and stays one under every warp.

use std::ops::Range;

use crate::{Matrix, Size};

/// The points with a * x + b * y + c >= 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HalfPlane(pub [f64; 3]);

/// Points this near to an edge, in pixels, count as inside: sums of warps leave rounding errors far below it.
const TOLERANCE: f64 = 1e-6;
/// Below this slope an edge runs along x.
const FLAT: f64 = 1e-12;

impl HalfPlane {
    /// The four sides of a canvas.
    pub fn sides(size: Size) -> [Self; 4] {
        Self::around([0.0, 0.0, f64::from(size.width), f64::from(size.height)])
    }

    /// The four sides of a box: left, right, top, bottom.
    pub fn around([x1, y1, x2, y2]: [f64; 4]) -> [Self; 4] {
        [Self([1.0, 0.0, -x1]), Self([-1.0, 0.0, x2]), Self([0.0, 1.0, -y1]), Self([0.0, -1.0, y2])]
    }

    /// The same half plane after the points moved; `back` leads from their new place to the old one.
    pub fn warp(&self, back: &Matrix) -> Self {
        let Self(old) = self;
        Self(std::array::from_fn(|c| (0..3).map(|k| old[k] * back.0[k][c]).sum()))
    }

    /// Scaled so that a * x + b * y + c is the distance from the edge in pixels.
    pub fn normalized(&self) -> Self {
        let length = self.0[0].hypot(self.0[1]);
        if length > 0.0 { Self(self.0.map(|value| value / length)) } else { *self }
    }

    /// The part of a closed polygon inside (Sutherland and Hodgman 1974).
    pub fn cut(&self, polygon: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let distance = |p: [f64; 2]| self.0[0] * p[0] + self.0[1] * p[1] + self.0[2];
        let mut inside = Vec::with_capacity(polygon.len() + 1);
        let Some(&last) = polygon.last() else { return inside };
        let (mut from, mut d_from) = (last, distance(last));
        for &to in polygon {
            let d_to = distance(to);
            if (d_from >= 0.0) != (d_to >= 0.0) {
                let t = d_from / (d_from - d_to);
                inside.push([from[0] + t * (to[0] - from[0]), from[1] + t * (to[1] - from[1])]);
            }
            if d_to >= 0.0 {
                inside.push(to);
            }
            (from, d_from) = (to, d_to);
        }
        inside
    }
}

/// The pixels of row `y` whose centres lie in every (normalized) half plane, out of `width`.
pub(crate) fn span(planes: &[HalfPlane], y: usize, width: usize) -> Range<usize> {
    let y = y as f64 + 0.5;
    let (mut low, mut high) = (0.0_f64, width as f64);
    for &HalfPlane([a, b, c]) in planes {
        let rest = b * y + c + TOLERANCE;
        if a > FLAT {
            low = low.max(-rest / a);
        } else if a < -FLAT {
            high = high.min(-rest / a);
        } else if rest < 0.0 {
            return 0..0;
        }
    }
    let first = (low - 0.5).ceil().max(0.0) as usize;
    let end = ((high - 0.5).floor() + 1.0).max(0.0) as usize;
    first.min(end)..end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_holds_the_centres_inside() {
        let sides = HalfPlane::sides(Size::new(4, 2));
        assert_eq!(span(&sides, 1, 10), 0..4);
        assert!(span(&sides, 2, 10).is_empty());
        let back = Matrix::translate(2.5, 0.0).inverse().unwrap(); // now x is in [2.5, 6.5], centre 2.5 on the edge
        let moved: Vec<_> = sides.iter().map(|side| side.warp(&back)).collect();
        assert_eq!(span(&moved, 0, 10), 2..7);
        assert_eq!(span(&moved, 0, 5), 2..5);
        assert!(span(&moved, 0, 1).is_empty());
    }

    #[test]
    fn a_cut_keeps_the_inner_part() {
        let triangle = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]];
        let mut kept = HalfPlane([1.0, 0.0, -2.0]).cut(&triangle); // x >= 2
        kept.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(kept, [[2.0, 0.0], [2.0, 2.0], [4.0, 0.0]]);
        assert!(HalfPlane([1.0, 0.0, -5.0]).cut(&triangle).is_empty());
        assert!(HalfPlane([1.0, 0.0, 0.0]).cut(&[]).is_empty());
    }
}
