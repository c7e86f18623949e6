//! Masks: outlines within which a layer shows, turned into runs of pixels when a row is drawn.

use std::ops::Range;

use crate::Matrix;

/// The points inside at least one closed outline (even-odd, for one that crosses itself).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mask(Vec<Vec<[f64; 2]>>);

impl Mask {
    /// Outlines in pixels of the canvas; those with fewer than three points hold nothing.
    pub fn new(outlines: &[Vec<[f32; 2]>]) -> Self {
        let outlines = outlines.iter().filter(|outline| outline.len() > 2);
        Self(outlines.map(|outline| outline.iter().map(|point| point.map(f64::from)).collect()).collect())
    }

    /// Moves the outlines.
    pub fn warp(&mut self, matrix: &Matrix) {
        self.0.iter_mut().for_each(|outline| *outline = matrix.apply_polygon(outline.iter().copied()));
    }

    /// The parts of `span` in row `y` whose pixel centres lie inside, from left to right.
    pub fn cut(&self, y: usize, span: &Range<usize>) -> Vec<Range<usize>> {
        let mut runs: Vec<_> = self.0.iter().flat_map(|outline| runs(outline, y as f64 + 0.5)).collect();
        runs.sort_unstable_by_key(|run| run.start);
        let mut joined: Vec<Range<usize>> = Vec::with_capacity(runs.len());
        for run in runs {
            let run = run.start.max(span.start)..run.end.min(span.end);
            match joined.last_mut() {
                Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
                _ if run.is_empty() => {}
                _ => joined.push(run),
            }
        }
        joined
    }
}

/// The pixels of the row with centres at `y` that lie inside one outline.
fn runs(outline: &[[f64; 2]], y: f64) -> Vec<Range<usize>> {
    let mut crossings = Vec::new();
    let Some(mut from) = outline.last() else { return Vec::new() };
    for to in outline {
        if (from[1] <= y) != (to[1] <= y) {
            crossings.push(from[0] + (y - from[1]) / (to[1] - from[1]) * (to[0] - from[0]));
        }
        from = to;
    }
    crossings.sort_unstable_by(f64::total_cmp);
    let pixel = |x: f64| (x - 0.5).ceil().max(0.0) as usize;
    crossings.as_chunks::<2>().0.iter().map(|&[start, end]| pixel(start)..pixel(end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIAMOND: [[f32; 2]; 4] = [[4.0, -0.1], [8.1, 4.0], [4.0, 8.1], [-0.1, 4.0]];

    #[test]
    fn centres_inside_are_cut_out() {
        let mask = Mask::new(&[DIAMOND.to_vec()]);
        assert_eq!(mask.cut(0, &(0..20)), [Range { start: 3, end: 5 }]);
        assert_eq!(mask.cut(3, &(2..20)), [Range { start: 2, end: 8 }]);
        assert!(mask.cut(9, &(0..20)).is_empty());
    }

    #[test]
    fn outlines_join_and_move() {
        let right = DIAMOND.map(|[x, y]| [x + 6.0, y]).to_vec();
        let far = DIAMOND.map(|[x, y]| [x + 20.0, y]).to_vec();
        let mut mask = Mask::new(&[far, right, DIAMOND.to_vec(), vec![[0.0, 0.0], [9.0, 9.0]]]);
        assert_eq!(mask.cut(3, &(0..25)), [0..14, 20..25]);
        mask.warp(&Matrix::translate(0.0, 2.0));
        assert_eq!(mask.cut(2, &(0..30)), [3..5, 9..11, 23..25]);
    }

    #[test]
    fn a_star_is_even_odd() {
        let bow_tie = vec![[0.0, 0.0], [8.0, 7.9], [8.0, 0.0], [0.0, 7.9]];
        assert_eq!(Mask::new(&[bow_tie]).cut(1, &(0..10)), [0..2, 6..8]);
    }
}
