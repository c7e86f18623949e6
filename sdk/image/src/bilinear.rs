//! Bilinear sampling of one picture along rows of the canvas, in 8-bit fixed point; beyond the edges it continues.

use std::ops::Range;

use crate::{Image, Matrix};

const CHANNELS: usize = Image::CHANNELS;
/// Weights count in 1/256.
const ONE: u32 = 256;

/// Two neighbours along an axis and the weight of the second.
#[derive(Clone, Copy)]
struct Tap {
    near: usize,
    far: usize,
    weight: u32,
}

impl Tap {
    /// The pixels about a continuous coordinate, out of `length`.
    fn new(position: f64, length: usize) -> Self {
        let fixed = ((position - 0.5) * f64::from(ONE) + 0.5) as i64;
        let fixed = fixed.max(0) as usize;
        let near = (fixed / ONE as usize).min(length - 1);
        Self { near, far: (near + 1).min(length - 1), weight: fixed as u32 % ONE }
    }
}

/// Draws rows of a picture.
pub(crate) enum Sampler<'a> {
    /// x and y stay apart: the picture is scaled, moved, mirrored.
    Upright(Upright<'a>),
    /// Any other map.
    Oblique { image: &'a Image, back: Matrix },
}

impl<'a> Sampler<'a> {
    /// Samples `image` where `back` leads from the canvas; rows will be asked for within `columns`.
    pub fn new(image: &'a Image, back: Matrix, columns: Range<usize>) -> Self {
        if back.is_affine() && back.0[0][1] == 0.0 && back.0[1][0] == 0.0 {
            Self::Upright(Upright::new(image, &back, columns))
        } else {
            Self::Oblique { image, back }
        }
    }

    /// Writes the pixels `columns` of row `y` to `out`.
    pub fn row(&mut self, y: usize, columns: Range<usize>, out: &mut [u8]) {
        match self {
            Self::Upright(upright) => upright.row(y, columns, out),
            Self::Oblique { image, back } => oblique_row(image, back, y, columns.start, out),
        }
    }
}

/// The separable case: source rows are resampled along x once, then blended along y.
pub(crate) struct Upright<'a> {
    image: &'a Image,
    first: usize,
    columns: Vec<Tap>,
    scale: f64,
    shift: f64,
    /// Resampled source rows, even ones first, odd ones second: neighbours never displace each other.
    rows: [(Option<usize>, Vec<u16>); 2],
}

impl<'a> Upright<'a> {
    fn new(image: &'a Image, back: &Matrix, columns: Range<usize>) -> Self {
        let [[x_scale, _, x_shift], [_, scale, shift], _] = back.0;
        let width = image.size().width as usize;
        let first = columns.start;
        let columns: Vec<Tap> = columns.map(|x| Tap::new(x_scale * (x as f64 + 0.5) + x_shift, width)).collect();
        let row = vec![0; columns.len() * CHANNELS];
        Self { image, first, columns, scale, shift, rows: [(None, row.clone()), (None, row)] }
    }

    fn row(&mut self, y: usize, columns: Range<usize>, out: &mut [u8]) {
        let tap = Tap::new(self.scale * (y as f64 + 0.5) + self.shift, self.image.size().height as usize);
        self.resample(tap.near);
        self.resample(tap.far);
        let part = (columns.start - self.first) * CHANNELS..(columns.end - self.first) * CHANNELS;
        let near = &self.rows[tap.near % 2].1[part.clone()];
        let far = &self.rows[tap.far % 2].1[part];
        for ((out, &a), &b) in out.iter_mut().zip(near).zip(far) {
            *out = ((u32::from(a) * (ONE - tap.weight) + u32::from(b) * tap.weight + ONE * ONE / 2) >> 16) as u8;
        }
    }

    /// Brings source row `y` along x into its place, as sums of 256 times a channel.
    fn resample(&mut self, y: usize) {
        let (held, row) = &mut self.rows[y % 2];
        if *held == Some(y) {
            return;
        }
        *held = Some(y);
        let (source, _) = self.image.row(y).as_chunks::<CHANNELS>();
        let (row, _) = row.as_chunks_mut::<CHANNELS>();
        for (out, tap) in row.iter_mut().zip(&self.columns) {
            let (near, far, weight) = (source[tap.near], source[tap.far], tap.weight);
            for c in 0..CHANNELS {
                out[c] = (u32::from(near[c]) * (ONE - weight) + u32::from(far[c]) * weight) as u16;
            }
        }
    }
}

/// Pixels from column `x` of row `y` on; homogeneous source coordinates grow by the same step from pixel to pixel.
fn oblique_row(image: &Image, back: &Matrix, y: usize, x: usize, out: &mut [u8]) {
    let (width, height) = (image.size().width as usize, image.size().height as usize);
    let (source, _) = image.pixels().as_chunks::<CHANNELS>();
    let (out, _) = out.as_chunks_mut::<CHANNELS>();
    let affine = back.is_affine();
    let start = back.0.map(|[a, b, c]| a * (x as f64 + 0.5) + b * (y as f64 + 0.5) + c);
    for (i, out) in out.iter_mut().enumerate() {
        let [u, v, w] = std::array::from_fn(|row| start[row] + i as f64 * back.0[row][0]);
        let [u, v] = if affine { [u, v] } else { [u / w, v / w] };
        let (u, v) = (Tap::new(u, width), Tap::new(v, height));
        let (above, below) = (v.near * width, v.far * width);
        let corners = [source[above + u.near], source[above + u.far], source[below + u.near], source[below + u.far]];
        for c in 0..CHANNELS {
            let [a, b, d, e] = corners.map(|corner| u32::from(corner[c]));
            let top = a * (ONE - u.weight) + b * u.weight;
            let bottom = d * (ONE - u.weight) + e * u.weight;
            out[c] = ((top * (ONE - v.weight) + bottom * v.weight + ONE * ONE / 2) >> 16) as u8;
        }
    }
}
