//! CLAHE: contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of the lightness.

use std::sync::LazyLock;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Sample, Size};

use super::pixels::{change, reflect};

/// Evens out the lightness (L of CIE L*a*b*) within tiles; hue and chroma stay.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clahe {
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// The contrast limit is drawn from 1 to this: how many times the mean a bin of a tile's histogram may hold.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub limit: f64,
    /// Tiles along x and along y.
    #[schemars(range(min = 1, max = 64))]
    pub tiles: usize,
}

impl Default for Clahe {
    fn default() -> Self {
        Self { p: 0.01, limit: 4.0, tiles: 8 }
    }
}

impl Augmentation for Clahe {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if !cx.rng.chance(self.p) {
            return Ok(());
        }
        let limit = cx.rng.uniform(1.0, self.limit);
        change(sample, |size, pixels| equalise_color(pixels, size, limit, self.tiles))
    }
}

fn equalise_color(pixels: &mut [u8], size: Size, limit: f64, tiles: usize) {
    let pixels = pixels.as_chunks_mut::<3>().0;
    let lab: Vec<_> = pixels.iter().map(|pixel| cube_roots(*pixel)).collect();
    let mut light: Vec<u8> = lab.iter().map(|[_, y, _]| (lightness(*y) * 2.55).round() as u8).collect();
    equalise(&mut light, size, limit, tiles);
    for ((pixel, roots), light) in pixels.iter_mut().zip(lab).zip(light) {
        let shift = (f32::from(light) / 2.55 + 16.0) / 116.0 - roots[1];
        *pixel = from_cube_roots(roots.map(|root| root + shift)); // a and b are differences of roots
    }
}

/// One channel: every tile has its curve, and between the centres of tiles curves are blended.
pub(super) fn equalise(values: &mut [u8], Size { width, height }: Size, limit: f64, tiles: usize) {
    let (width, height) = (width as usize, height as usize);
    let is_even = width.is_multiple_of(tiles) && height.is_multiple_of(tiles);
    let padded = |length: usize| if is_even { length } else { length + tiles - length % tiles };
    let (tile_width, tile_height) = (padded(width) / tiles, padded(height) / tiles);
    let curve = |tile: usize| {
        let (top, left) = (tile / tiles * tile_height, tile % tiles * tile_width);
        let mut histogram = [0_u32; 256];
        for y in top..top + tile_height {
            let row = reflect(y as isize, height) * width;
            (left..left + tile_width)
                .for_each(|x| histogram[usize::from(values[row + reflect(x as isize, width)])] += 1);
        }
        curve(histogram, limit, (tile_width * tile_height) as u32)
    };
    let curves: Vec<_> = (0..tiles * tiles).map(curve).collect();

    // The tiles before and after a pixel, and the weight of the second.
    let between = |place: usize, side: usize| {
        let position = place as f32 / side as f32 - 0.5;
        let before = position.floor();
        let tile = |at: f32| at.clamp(0.0, tiles as f32 - 1.0) as usize;
        (tile(before), tile(before + 1.0), position - before)
    };
    let columns: Vec<_> = (0..width).map(|x| between(x, tile_width)).collect();
    for (y, row) in values.chunks_mut(width).enumerate() {
        let (above, below, down) = between(y, tile_height);
        for (value, &(left, right, across)) in row.iter_mut().zip(&columns) {
            let at = |y: usize, x: usize| f32::from(curves[y * tiles + x][usize::from(*value)]);
            let top = at(above, left) * (1.0 - across) + at(above, right) * across;
            let bottom = at(below, left) * (1.0 - across) + at(below, right) * across;
            *value = (top * (1.0 - down) + bottom * down).round_ties_even() as u8;
        }
    }
}

/// The cumulative histogram, whose bins hold at most `limit` times the mean; what they lose all bins share.
fn curve(mut histogram: [u32; 256], limit: f64, area: u32) -> [u8; 256] {
    let most = ((limit * f64::from(area) / 256.0) as u32).max(1);
    let lost: u32 = histogram.iter().map(|&count| count.saturating_sub(most)).sum();
    let rest = lost % 256;
    let step = (256 / rest.max(1)).max(1) as usize;
    histogram.iter_mut().for_each(|count| *count = (*count).min(most) + lost / 256);
    histogram.iter_mut().step_by(step).take(rest as usize).for_each(|count| *count += 1);
    let (scale, mut sum) = (255.0 / area as f32, 0);
    histogram.map(|count| {
        sum += count;
        (sum as f32 * scale).round_ties_even() as u8
    })
}

/// X, Y and Z of white (D65).
const WHITE: [f32; 3] = [0.950_456, 1.0, 1.088_754];
/// Linear sRGB to X Y Z.
const TO_XYZ: [[f32; 3]; 3] =
    [[0.412_453, 0.357_58, 0.180_423], [0.212_671, 0.715_16, 0.072_169], [0.019_334, 0.119_193, 0.950_227]];
/// Back.
const FROM_XYZ: [[f32; 3]; 3] =
    [[3.240_479, -1.537_15, -0.498_535], [-0.969_256, 1.875_991, 0.041_556], [0.055_648, -0.204_043, 1.057_311]];
/// Below this the cube root becomes a line.
const DARK: f32 = 0.008_856;

/// Linear light of an 8-bit sRGB value.
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|value| {
        let v = value as f32 / 255.0;
        if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
    })
});

/// 8-bit sRGB values of linear light in steps of 1/16383.
static ENCODED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let encode = |v: f32| if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    (0..16384).map(|step| (encode(step as f32 / 16383.0) * 255.0).round() as u8).collect()
});

fn product(matrix: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// The cube roots of X, Y and Z of which L*, a* and b* are made.
fn cube_roots(pixel: [u8; 3]) -> [f32; 3] {
    let xyz = product(&TO_XYZ, pixel.map(|value| LINEAR[usize::from(value)]));
    std::array::from_fn(|i| {
        let t = xyz[i] / WHITE[i];
        if t > DARK { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 }
    })
}

fn from_cube_roots(roots: [f32; 3]) -> [u8; 3] {
    let xyz: [f32; 3] = std::array::from_fn(|i| {
        let (root, cube) = (roots[i], roots[i].powi(3));
        WHITE[i] * if cube > DARK { cube } else { (root - 16.0 / 116.0) / 7.787 }
    });
    product(&FROM_XYZ, xyz).map(|linear| ENCODED[(linear.clamp(0.0, 1.0) * 16383.0 + 0.5) as usize])
}

/// L*, 0 to 100.
fn lightness(root: f32) -> f32 {
    (116.0 * root - 16.0).clamp(0.0, 100.0)
}

trainer_sdk::component! {
    augmentation "clahe" "evens out the lightness within tiles": Clahe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, sample};

    #[test]
    fn colours_survive_the_way_to_lightness_and_back() {
        for pixel in [[0, 0, 0], [255, 255, 255], [255, 0, 0], [10, 200, 30], [3, 2, 1], [90, 91, 250]] {
            let back = from_cube_roots(cube_roots(pixel));
            assert!(pixel.iter().zip(back).all(|(a, b)| a.abs_diff(b) <= 1), "{pixel:?} {back:?}");
        }
        assert_eq!(lightness(cube_roots([255; 3])[1]).round(), 100.0);
    }

    #[test]
    fn contrast_rises_within_tiles_and_any_size_goes() {
        let dull = |i: usize| [100 + (i % 7) as u8; 3];
        let mut pixels: Vec<u8> = (0..64 * 64).flat_map(dull).collect();
        equalise_color(&mut pixels, Size::square(64), 4.0, 8);
        let range = pixels.iter().max().unwrap() - pixels.iter().min().unwrap();
        assert!(range > 6 + 2, "{range}");
        for (width, height) in [(1, 1), (3, 70), (33, 31)] {
            let after = apply(&Clahe { p: 1.0, ..Clahe::default() }, sample(width, height), &mut []);
            assert_eq!(after.render().len(), (width * height * 3) as usize);
        }
    }
}
