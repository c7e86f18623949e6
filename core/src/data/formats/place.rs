//! Boxes and outlines in pixels, cut to the image.

use trainer_image::{Bbox, Object, Size};

/// A label reaching further than so many pixels beyond the image counts as cut.
const SLACK: f64 = 1.0;

/// What becomes of a label that is well formed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Placed {
    /// It has no area.
    Empty,
    /// It lies in the image, or the part that is left does.
    Inside { object: Object, was_cut: bool },
}

impl Placed {
    /// The same after `change` of the object, where there is one.
    pub fn with(mut self, change: impl FnOnce(&mut Object)) -> Self {
        if let Self::Inside { object, .. } = &mut self {
            change(object);
        }
        self
    }
}

/// The object of `class` with the box `edges` (left, top, right, bottom) and `outline`, cut to an image of `size`.
///
/// # Errors
/// A box that misses the image.
pub(super) fn place(class: u32, edges: [f64; 4], outline: Vec<[f32; 2]>, size: Size) -> Result<Placed, String> {
    let [x1, y1, x2, y2] = edges;
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    if x2 <= x1 || y2 <= y1 {
        return Ok(Placed::Empty);
    }
    if x1 >= width || y1 >= height || x2 <= 0.0 || y2 <= 0.0 {
        let Size { width, height } = size;
        return Err(format!(
            "the box from ({x1}, {y1}) to ({x2}, {y2}) lies outside the image of {width}x{height} pixels"
        ));
    }
    let was_cut = x1 < -SLACK || y1 < -SLACK || x2 > width + SLACK || y2 > height + SLACK;
    let (limit_x, limit_y) = (size.width as f32, size.height as f32);
    let [x1, y1, x2, y2] = edges.map(|edge| edge as f32);
    let bbox = Bbox::new(x1, y1, x2, y2).clip(size);
    if bbox.area() <= 0.0 {
        return Ok(Placed::Empty);
    }
    let mut object = Object::new(class, bbox);
    object.polygon = outline;
    for [x, y] in &mut object.polygon {
        (*x, *y) = (x.clamp(0.0, limit_x), y.clamp(0.0, limit_y));
    }
    Ok(Placed::Inside { object, was_cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(40, 30);

    fn placed(edges: [f64; 4]) -> (Bbox, bool) {
        match place(1, edges, Vec::new(), SIZE).unwrap() {
            Placed::Inside { object, was_cut } => (object.bbox, was_cut),
            Placed::Empty => panic!("{edges:?} is empty"),
        }
    }

    #[test]
    fn what_leaves_the_image_is_cut() {
        assert_eq!(placed([1.0, 2.0, 40.0, 30.0]), (Bbox::new(1.0, 2.0, 40.0, 30.0), false));
        assert_eq!(placed([-1.0, 2.0, 9.0, 30.9]), (Bbox::new(0.0, 2.0, 9.0, 30.0), false), "rounding");
        assert_eq!(placed([-3.0, 2.0, 90.0, 9.0]), (Bbox::new(0.0, 2.0, 40.0, 9.0), true));
    }

    #[test]
    fn what_has_no_area_is_empty_and_what_misses_the_image_is_refused() {
        for empty in [[5.0, 5.0, 5.0, 9.0], [5.0, 5.0, 9.0, 5.0], [9.0, 5.0, 5.0, 9.0]] {
            assert_eq!(place(0, empty, Vec::new(), SIZE), Ok(Placed::Empty));
        }
        let hair = [5.0, 5.0, 5.000_000_001, 9.0];
        assert_eq!(place(0, hair, Vec::new(), SIZE), Ok(Placed::Empty), "without area in 32 bits");
        for (edges, from_to) in [
            ([40.0, 1.0, 50.0, 9.0], "from (40, 1) to (50, 9)"),
            ([1.0, 30.0, 5.0, 31.0], "from (1, 30) to (5, 31)"),
            ([-9.0, 1.0, 0.0, 9.0], "from (-9, 1) to (0, 9)"),
            ([1.0, -9.0, 5.0, 0.0], "from (1, -9) to (5, 0)"),
        ] {
            let message = format!("the box {from_to} lies outside the image of 40x30 pixels");
            assert_eq!(place(0, edges, Vec::new(), SIZE), Err(message));
        }
    }
}
