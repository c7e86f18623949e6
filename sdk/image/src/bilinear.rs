//! Bilinear sampling of one picture along rows of the canvas, in fixed point; beyond the edges it continues.

use std::ops::Range;

use multiversion::multiversion;

use crate::interpolate::{Place, Tap, Taps, sample_picture};
use crate::{Image, Matrix, Size, row};

const CHANNELS: usize = Image::CHANNELS;

/// Draws rows of a picture.
pub(crate) enum Sampler<'a> {
    /// x and y stay apart: the picture is scaled, moved, mirrored.
    Upright(Upright<'a>),
    /// Any other map.
    Oblique(Oblique<'a>),
}

impl<'a> Sampler<'a> {
    /// Samples `image` where `back` leads from a canvas of `width`.
    pub fn new(image: &'a Image, back: Matrix, width: usize) -> Self {
        if back.is_affine() && back.0[0][1] == 0.0 && back.0[1][0] == 0.0 {
            Self::Upright(Upright::new(image, &back, width))
        } else {
            Self::Oblique(Oblique { image, back, places: vec![Place::default(); width] })
        }
    }

    /// Writes the pixels `columns` of row `y` to `out`.
    pub fn row(&mut self, y: usize, columns: Range<usize>, out: &mut [u32]) {
        match self {
            Self::Upright(upright) => upright.row(y, columns, out),
            Self::Oblique(oblique) => oblique.row(y, columns, out),
        }
    }
}

/// The separable case: two source rows are blended, and the blend is sampled.
pub(crate) struct Upright<'a> {
    image: &'a Image,
    taps: Taps,
    scale: f64,
    shift: f64,
    /// One row, and two pixels more.
    blended: Vec<u8>,
}

impl<'a> Upright<'a> {
    fn new(image: &'a Image, back: &Matrix, width: usize) -> Self {
        let [[x_scale, _, x_shift], [_, scale, shift], _] = back.0;
        let length = image.size().width as usize;
        let taps = (0..width).map(|x| Tap::new(x_scale * (x as f64 + 0.5) + x_shift, length)).collect();
        Self { image, taps, scale, shift, blended: vec![0; (length + 2) * CHANNELS] }
    }

    fn row(&mut self, y: usize, columns: Range<usize>, out: &mut [u32]) {
        let tap = Tap::new(self.scale * (y as f64 + 0.5) + self.shift, self.image.size().height as usize);
        let [above, below] = [tap.near, tap.far()].map(|y| self.image.row(y as usize));

        let mut bytes = self.taps.bytes(&columns);
        bytes.end = bytes.end.min(above.len());
        row::blend(&above[bytes.clone()], &below[bytes.clone()], tap.weights, &mut self.blended[bytes]);
        self.taps.sample(&self.blended, columns, out);
    }
}

/// The general case: each pixel has a place of its own.
pub(crate) struct Oblique<'a> {
    image: &'a Image,
    back: Matrix,
    places: Vec<Place>,
}

impl Oblique<'_> {
    fn row(&mut self, y: usize, columns: Range<usize>, out: &mut [u32]) {
        let places = &mut self.places[columns.clone()];
        find_places(&self.back, self.image.size(), [columns.start as f64, y as f64], places);
        sample_picture(self.image.pixels(), places, out);
    }
}

/// The places of a row's pixels from canvas pixel `from` on; homogeneous source coordinates grow by the same step from
/// pixel to pixel.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2"))]
fn find_places(back: &Matrix, size: Size, from: [f64; 2], places: &mut [Place]) {
    let (width, height) = (size.width as usize, size.height as usize);
    let is_affine = back.is_affine();
    let start = back.0.map(|[a, b, c]| a * (from[0] + 0.5) + b * (from[1] + 0.5) + c);
    for (i, place) in places.iter_mut().enumerate() {
        let [u, v, w] = std::array::from_fn(|row| start[row] + i as f64 * back.0[row][0]);
        let [u, v] = if is_affine { [u, v] } else { [u / w, v / w] };
        let (x, y) = (Tap::new(u, width), Tap::new(v, height));
        let starts = [y.near, y.far()].map(|y| (y * size.width + x.near) * CHANNELS as u32);
        *place = Place { starts, across: x.weights, down: y.weights };
    }
}
