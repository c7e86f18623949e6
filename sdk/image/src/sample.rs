//! A sample: a canvas on which pictures lie, the objects on it, and where it came from.

use std::path::Path;
use std::sync::Arc;

use crate::half_plane::HalfPlane;
use crate::layer::{Blend, Content, Layer};
use crate::mask::Mask;
use crate::{HsvGains, Image, Matrix, Object, Size};

/// One picture of the data set with its objects, on its way to the network.
///
/// Warps move the objects at once and only note what happens to the pixels: the canvas is a stack of layers (source
/// picture, matrix, clip, colour changes), drawn in one pass by [`render_into`](Self::render_into).
#[derive(Clone, Debug)]
pub struct Sample {
    /// Number of the picture in its data set.
    pub id: u64,
    /// The picture's file.
    pub path: Arc<Path>,
    /// The objects, in pixels of the canvas.
    pub objects: Vec<Object>,
    original: Size,
    from_original: Matrix,
    pub(crate) size: Size,
    pub(crate) fill: [u8; Image::CHANNELS],
    pub(crate) layers: Vec<Layer>,
}

/// Where no layer lies the canvas is this grey.
pub(crate) const FILL: u8 = 114;

impl Sample {
    /// A canvas covered by `image`, which may be a reduced copy of a picture of `original` size: one pixel of the
    /// canvas is one of the original, and so are the units of the objects to be added.
    #[must_use]
    pub fn new(image: Arc<Image>, original: Size) -> Self {
        let Size { width, height } = image.size();
        let to_canvas =
            Matrix::scale(f64::from(original.width) / f64::from(width), f64::from(original.height) / f64::from(height));
        let layer = Layer::new(Content::Picture { image, to_canvas });
        Self { original, size: original, layers: vec![layer], ..Self::default() }
    }

    /// Width and height of the canvas.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Width and height of the picture as the file has it, turned upright.
    #[must_use]
    pub const fn original(&self) -> Size {
        self.original
    }

    /// Where pixels of the original lie on the canvas now.
    #[must_use]
    pub const fn from_original(&self) -> &Matrix {
        &self.from_original
    }

    /// Moves everything by `matrix` onto a canvas of `size`. What leaves the old or the new canvas is cut off; of an
    /// object outside, a box without area remains (see [`remove_empty_objects`](Self::remove_empty_objects)).
    /// A singular matrix leaves an empty canvas.
    pub fn warp(&mut self, matrix: &Matrix, size: Size) {
        if let Some(back) = matrix.inverse() {
            let sides = HalfPlane::sides(self.size);
            self.layers.iter_mut().for_each(|layer| layer.warp(matrix, &back, &sides));
            self.objects.iter_mut().for_each(|object| object.warp(matrix, size));
        } else {
            self.layers.clear();
            self.objects.clear();
        }
        self.from_original = self.from_original.then(matrix);
        self.size = size;
    }

    /// Mirrors left and right.
    pub fn flip_horizontal(&mut self) {
        let matrix = Matrix::scale(-1.0, 1.0).then(&Matrix::translate(f64::from(self.size.width), 0.0));
        self.warp(&matrix, self.size);
    }

    /// Mirrors top and bottom.
    pub fn flip_vertical(&mut self) {
        let matrix = Matrix::scale(1.0, -1.0).then(&Matrix::translate(0.0, f64::from(self.size.height)));
        self.warp(&matrix, self.size);
    }

    /// Scales the canvas until its longer side has `side` pixels; the shorter one is rounded up, as YOLO loaders do.
    pub fn fit(&mut self, side: u32) {
        let Size { width, height } = self.size;
        let ratio = f64::from(side) / f64::from(width.max(height).max(1));
        let fitted = |length: u32| ((f64::from(length) * ratio).ceil() as u32).clamp(1, side.max(1));
        self.resize(Size::new(fitted(width), fitted(height)));
    }

    /// Stretches the canvas to `size`.
    pub fn resize(&mut self, size: Size) {
        if size != self.size {
            let factor = |new: u32, old: u32| f64::from(new) / f64::from(old.max(1));
            let matrix = Matrix::scale(factor(size.width, self.size.width), factor(size.height, self.size.height));
            self.warp(&matrix, size);
        }
    }

    /// Puts the pictures and objects of `other` on top, upper left corners together. Its bare canvas stays
    /// transparent, and objects that it covers stay in the list.
    pub fn paste(&mut self, mut other: Self) {
        other.warp(&Matrix::IDENTITY, self.size);
        self.layers.append(&mut other.layers);
        self.objects.append(&mut other.objects);
    }

    /// Draws on top what of the canvas of `other`, moved by `matrix`, lies inside one of the outlines (in pixels of
    /// this canvas), bare parts included. Objects stay as they are.
    pub fn paste_inside(&mut self, other: &Self, matrix: &Matrix, outlines: &[Vec<[f32; 2]>]) {
        let mut part = Self { size: other.size, layers: other.opaque(), ..Self::default() };
        part.warp(matrix, self.size);
        let mask = Mask::new(outlines);
        part.layers.iter_mut().for_each(|layer| layer.masks.push(mask.clone()));
        self.layers.append(&mut part.layers);
    }

    /// Lets the canvas of `other` shine through, upper left corners together: of each value `share` (0 to 1) stays,
    /// the rest is the other's, rounded down. The objects of `other` are added.
    pub fn blend(&mut self, mut other: Self, share: f32) {
        other.layers = other.opaque();
        let mut second = other;
        second.warp(&Matrix::IDENTITY, self.size);
        let blend = Blend { first: self.opaque(), second: second.opaque(), share };
        self.layers = vec![Layer::within(self.size, Content::Blend(Box::new(blend)))];
        self.objects.append(&mut second.objects);
    }

    /// The layers above one of the bare canvas' colour.
    fn opaque(&self) -> Vec<Layer> {
        let bare = Layer::within(self.size, Content::Plain(self.fill));
        std::iter::once(bare).chain(self.layers.iter().cloned()).collect()
    }

    /// Changes the colours of the canvas as it stands, bare parts included.
    pub fn recolor(&mut self, gains: HsvGains) {
        gains.apply(&mut self.fill);
        self.layers.iter_mut().for_each(|layer| layer.colors.push(gains));
    }

    /// Drops the objects whose box has no area.
    pub fn remove_empty_objects(&mut self) {
        self.objects.retain(|object| object.bbox.area() > 0.0);
    }
}

/// An empty canvas without pixels.
impl Default for Sample {
    fn default() -> Self {
        Self {
            id: 0,
            path: Arc::from(Path::new("")),
            objects: Vec::new(),
            original: Size::default(),
            from_original: Matrix::IDENTITY,
            size: Size::default(),
            fill: [FILL; Image::CHANNELS],
            layers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bbox;

    fn sample(width: u32, height: u32) -> Sample {
        let size = Size::new(width, height);
        let image = Image::rgb(size, vec![0; size.area() * 3]).unwrap();
        let mut sample = Sample::new(Arc::new(image), size);
        sample.objects.push(Object::new(3, Bbox::new(0.0, 0.0, 10.0, 10.0)));
        sample
    }

    #[test]
    fn fit_rounds_the_shorter_side_up() {
        let mut tall = sample(427, 640);
        tall.fit(320); // 213.5 wide
        assert_eq!(tall.size(), Size::new(214, 320));
        assert_eq!(tall.original(), Size::new(427, 640));
        assert_eq!(tall.objects[0].bbox, Bbox::new(0.0, 0.0, 10.0 * 214.0 / 427.0, 5.0));
        let mut small = sample(20, 10);
        small.fit(320);
        assert_eq!(small.size(), Size::new(320, 160));
        let mut line = sample(1000, 1);
        line.fit(32);
        assert_eq!(line.size(), Size::new(32, 1));
    }

    #[test]
    fn the_way_from_the_original_is_kept() {
        let mut sample = sample(40, 20);
        sample.fit(20);
        sample.warp(&Matrix::translate(0.0, 5.0), Size::square(20));
        sample.flip_horizontal();
        assert_eq!(sample.from_original().apply([40.0, 20.0]), [0.0, 15.0]);
    }

    #[test]
    fn objects_are_pasted_and_clipped() {
        let mut base = sample(20, 20);
        let mut other = sample(20, 20);
        other.warp(&Matrix::translate(15.0, 0.0), Size::square(40));
        base.paste(other);
        assert_eq!(base.objects[1].bbox, Bbox::new(15.0, 0.0, 20.0, 10.0));
        base.warp(&Matrix::translate(-12.0, 0.0), Size::square(20));
        base.remove_empty_objects();
        assert_eq!(base.objects.len(), 1);
    }

    #[test]
    fn a_singular_matrix_leaves_an_empty_canvas() {
        let mut sample = sample(4, 4);
        sample.warp(&Matrix::scale(0.0, 1.0), Size::square(1));
        assert!(sample.objects.is_empty());
        assert_eq!(sample.render(), [FILL; 3]);
    }
}
