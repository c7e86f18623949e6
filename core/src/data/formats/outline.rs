//! Objects of several parts as one outline: the parts are joined by seams of no width.

/// Parts with more points than this together are joined at their first points: looking for the nearest would take long.
const MAX_SEARCHED: usize = 4096;

/// One outline around all `parts`, each of at least one point.
///
/// A seam runs there and back between the two nearest points, so that it bounds no area and strays little.
pub(super) fn join(parts: Vec<Vec<[f32; 2]>>) -> Vec<[f32; 2]> {
    let is_searched = parts.iter().map(Vec::len).sum::<usize>() <= MAX_SEARCHED;
    let mut parts = parts.into_iter().filter(|part| !part.is_empty());
    let mut whole = parts.next().unwrap_or_default();
    for part in parts {
        let (at, start) = if is_searched { nearest(&whole, &part) } else { (0, 0) };
        let around = part[start..].iter().chain(&part[..=start]).copied();
        let seam: Vec<[f32; 2]> = around.chain([whole[at]]).collect();
        whole.splice(at + 1..at + 1, seam);
    }
    whole
}

/// The indices of the nearest two points.
fn nearest(a: &[[f32; 2]], b: &[[f32; 2]]) -> (usize, usize) {
    let distance = |[x1, y1]: [f32; 2], [x2, y2]: [f32; 2]| (x1 - x2).powi(2) + (y1 - y2).powi(2);
    let pairs =
        a.iter().enumerate().flat_map(|(i, &p)| b.iter().enumerate().map(move |(j, &q)| (distance(p, q), i, j)));
    pairs.min_by(|x, y| x.0.total_cmp(&y.0)).map_or((0, 0), |(_, i, j)| (i, j))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(outline: &[[f32; 2]]) -> f32 {
        let next = outline.iter().cycle().skip(1);
        outline.iter().zip(next).map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f32>() / 2.0
    }

    fn square(x: f32) -> Vec<[f32; 2]> {
        vec![[x, 0.0], [x + 2.0, 0.0], [x + 2.0, 2.0], [x, 2.0]]
    }

    #[test]
    fn parts_keep_their_area_and_the_seam_is_short() {
        let joined = join(vec![square(0.0), square(10.0), square(5.0)]);
        assert_eq!((joined.len(), area(&joined)), (4 + 6 + 6, 12.0));
        assert_eq!(joined[1..4], [[2.0, 0.0], [5.0, 0.0], [7.0, 0.0]], "from the first to the nearest, its neighbour");
        assert_eq!(join(vec![square(1.0)]), square(1.0));
        assert_eq!(join(Vec::new()), Vec::<[f32; 2]>::new());
    }

    #[test]
    fn huge_outlines_take_no_time() {
        let huge: Vec<_> = (0..500_000).map(|i| [i as f32, (i % 7) as f32]).collect();
        assert_eq!(join(vec![huge.clone(), huge]).len(), 1_000_002);
    }
}
