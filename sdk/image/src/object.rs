//! What is to be found in a picture: a class and where it is.

use crate::half_plane::HalfPlane;
use crate::{Matrix, Size};

/// An upright box by its left, top, right and bottom edges, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bbox {
    /// The left edge.
    pub x1: f32,
    /// The top edge.
    pub y1: f32,
    /// The right edge.
    pub x2: f32,
    /// The bottom edge.
    pub y2: f32,
}

impl Bbox {
    /// A box by its edges.
    #[must_use]
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// Right minus left, at least 0.
    #[must_use]
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Bottom minus top, at least 0.
    #[must_use]
    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    /// Width times height, in square pixels.
    #[must_use]
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    /// The part within the canvas; it has no area where they do not meet.
    #[must_use]
    pub fn clip(&self, canvas: Size) -> Self {
        self.within(&Self::of_canvas(canvas))
    }

    /// The part within `area`; it has no area where they do not meet.
    #[must_use]
    pub fn within(&self, area: &Self) -> Self {
        let (x, y) = (|x: f32| x.max(area.x1).min(area.x2), |y: f32| y.max(area.y1).min(area.y2));
        Self { x1: x(self.x1), y1: y(self.y1), x2: x(self.x2), y2: y(self.y2) }
    }

    fn of_canvas(canvas: Size) -> Self {
        Self { x1: 0.0, y1: 0.0, x2: canvas.width as f32, y2: canvas.height as f32 }
    }

    /// The smallest box around the points; without points a box of no area.
    fn around(points: &[[f64; 2]]) -> Self {
        let Some(&first) = points.first() else { return Self::default() };
        let (mut low, mut high) = (first, first);
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        Self { x1: low[0] as f32, y1: low[1] as f32, x2: high[0] as f32, y2: high[1] as f32 }
    }
}

/// One labelled object, in pixels of the sample's canvas.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Index into the data set's class names.
    pub class: u32,
    /// Where it is.
    pub bbox: Bbox,
    /// Its outline where the data has one, else empty. With an outline the box follows it through warps.
    pub polygon: Vec<[f32; 2]>,
    /// One label for many objects (COCO's `iscrowd`): no target, and no mistake where it is found.
    pub crowd: bool,
    /// A region in which nothing is scored or learnt.
    pub ignore: bool,
    /// Its share in the loss; 1 unless somebody says otherwise.
    pub weight: f32,
}

impl Object {
    /// An object of weight 1 without outline or flags.
    #[must_use]
    pub const fn new(class: u32, bbox: Bbox) -> Self {
        Self { class, bbox, polygon: Vec::new(), crowd: false, ignore: false, weight: 1.0 }
    }

    /// Moves it: the box becomes the bounds of the moved outline, or else of the box's four moved corners, each
    /// clipped to the canvas. Outside the canvas a box without area remains.
    pub(crate) fn warp(&mut self, matrix: &Matrix, canvas: Size) {
        if self.polygon.is_empty() {
            let Bbox { x1, y1, x2, y2 } = self.bbox;
            let corners = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]].map(|p| p.map(f64::from));
            self.bbox = Bbox::around(&matrix.apply_polygon(corners.into_iter())).clip(canvas);
        } else {
            let outline = matrix.apply_polygon(self.polygon.iter().map(|p| p.map(f64::from)));
            self.set_outline(outline, &Bbox::of_canvas(canvas));
        }
    }

    /// Keeps the part within `area`, of an outline too; elsewhere a box without area remains.
    pub fn keep_within(&mut self, area: &Bbox) {
        if self.polygon.is_empty() {
            self.bbox = self.bbox.within(area);
        } else {
            self.set_outline(self.polygon.iter().map(|p| p.map(f64::from)).collect(), area);
        }
    }

    fn set_outline(&mut self, outline: Vec<[f64; 2]>, area: &Bbox) {
        let sides = HalfPlane::around([area.x1, area.y1, area.x2, area.y2].map(f64::from));
        let outline = sides.iter().fold(outline, |outline, side| side.cut(&outline));
        self.bbox = Bbox::around(&outline).within(area);
        self.polygon = outline.iter().map(|p| p.map(|value| value as f32)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANVAS: Size = Size::square(10);

    #[test]
    fn a_box_becomes_the_bounds_of_its_corners() {
        let mut object = Object::new(0, Bbox::new(1.0, 2.0, 3.0, 8.0));
        object.warp(&Matrix::rotate(90.0).then(&Matrix::translate(0.0, 5.0)), CANVAS); // (x, y) to (y, 5 - x)
        let Bbox { x1, y1, x2, y2 } = object.bbox;
        assert_eq!([x1, y1, x2, y2].map(f32::round), [2.0, 2.0, 8.0, 4.0]);
    }

    #[test]
    fn an_outline_gives_the_tighter_box() {
        let mut object = Object::new(0, Bbox::new(0.0, 0.0, 8.0, 8.0));
        object.polygon = vec![[4.0, 0.0], [8.0, 4.0], [4.0, 8.0], [0.0, 4.0]];
        object.warp(&Matrix::translate(-6.0, 0.0), CANVAS); // of the diamond, the tip from y 2 to y 6 is left
        assert_eq!(object.bbox, Bbox::new(0.0, 2.0, 2.0, 6.0));
        object.warp(&Matrix::translate(-6.0, 0.0), CANVAS);
        assert_eq!((object.bbox.area(), object.polygon.len()), (0.0, 0));
    }

    #[test]
    fn the_part_within_an_area_is_kept() {
        let mut object = Object::new(0, Bbox::new(0.0, 0.0, 8.0, 8.0));
        object.keep_within(&Bbox::new(6.0, 1.0, 20.0, 5.0));
        assert_eq!(object.bbox, Bbox::new(6.0, 1.0, 8.0, 5.0));
        object.polygon = vec![[4.0, 0.0], [8.0, 4.0], [4.0, 8.0], [0.0, 4.0]];
        object.keep_within(&Bbox::new(6.0, 1.0, 20.0, 8.0));
        assert_eq!(object.bbox, Bbox::new(6.0, 2.0, 8.0, 6.0));
        object.keep_within(&Bbox::new(10.0, 10.0, 20.0, 20.0));
        assert_eq!((object.bbox.area(), object.polygon.len()), (0.0, 0));
    }

    #[test]
    fn outside_the_canvas_no_area_remains() {
        let mut object = Object::new(0, Bbox::new(1.0, 1.0, 3.0, 3.0));
        object.warp(&Matrix::translate(20.0, 0.0), CANVAS);
        assert_eq!(object.bbox, Bbox::new(10.0, 1.0, 10.0, 3.0));
    }
}
