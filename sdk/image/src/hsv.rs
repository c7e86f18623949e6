//! Colour changes in hue, saturation and value, by the 8-bit rules of OpenCV: hue in [0, 180), the others in [0, 255].

use crate::interpolate::pack;
use crate::row;

/// Factors on hue, saturation and value; 1 leaves a channel alone.
///
/// Per pixel: RGB to 8-bit HSV, `hue * h mod 180`, `min(saturation * s, 255)` and `min(value * v, 255)`, each cut to
/// whole numbers, and back to RGB, rounded. The way through 8-bit HSV alone moves a channel by at most 4 of 255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HsvGains {
    /// Factor on hue, in [0, 2].
    pub h: f32,
    /// Factor on saturation, at least 0.
    pub s: f32,
    /// Factor on value, at least 0.
    pub v: f32,
}

impl HsvGains {
    /// Leaves every colour alone.
    pub const NEUTRAL: Self = Self { h: 1.0, s: 1.0, v: 1.0 };

    /// Changes R G B pixels in place; [`NEUTRAL`](Self::NEUTRAL) changes not a bit.
    pub fn apply(&self, pixels: &mut [u8]) {
        if !self.are_neutral() {
            let mut row: Vec<u32> = pixels.as_chunks().0.iter().map(|rgb| row::pixel(*rgb)).collect();
            row::recolor(&mut row, *self);
            pack(&row, pixels);
        }
    }

    /// Whether not a bit changes.
    pub(crate) fn are_neutral(&self) -> bool {
        *self == Self::NEUTRAL
    }

    /// The changed colour of one pixel, as [`row`] numbers it. Neutral gains cost up to 4 of 255, too.
    #[inline(always)]
    pub(crate) fn of(&self, pixel: u32) -> u32 {
        let [h, s, v] = to_hsv([pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255]);
        let h = (h * (self.h * NUDGE)).floor();
        let h = if h >= 180.0 { h - 180.0 } else { h };
        let [s, v] = [s * (self.s * NUDGE), v * (self.v * NUDGE)].map(|value| least(value, 255.0).floor());
        to_rgb([h, s, v])
    }
}

/// Whole-numbered hue in [0, 180), saturation and value in [0, 255] of channels in [0, 255].
#[inline(always)]
fn to_hsv([r, g, b]: [u32; 3]) -> [f32; 3] {
    let [r, g, b] = [r, g, b].map(u32::cast_signed);
    let v = r.max(g).max(b);
    let range = v - r.min(g).min(b);
    let (difference, sector) = if v == g { (b - r, 60.0) } else { (r - g, 120.0) };
    let (difference, sector) = if v == r { (g - b, 0.0) } else { (difference, sector) };
    let [v, range, difference] = [v, range, difference].map(|value| value as f32);
    let [v_or_1, range_or_1] = [most(v, 1.0), most(range, 1.0)];
    let share = 1.0 / (v_or_1 * range_or_1); // one division for both quotients
    let h = (sector + HALF + 30.0 * difference * (v_or_1 * share)).floor();
    let h = if h < 0.0 { h + 180.0 } else { h };
    [h, (255.0 * range * (range_or_1 * share) + HALF).floor(), v]
}

/// The pixel, as [`row`] numbers it, of hue in [0, 180), saturation and value in [0, 255]: each channel is v where the hue
/// is within 30 of its own (0, 60, 120), v (1 - s / 255) from 60 on, and between them in between.
#[inline(always)]
fn to_rgb([h, s, v]: [f32; 3]) -> u32 {
    const NONE: u32 = WHOLE.to_bits();
    const BLACK: u32 = NONE.wrapping_add(NONE << 8).wrapping_add(NONE << 16);
    let v_and_whole = v + WHOLE;
    let missing = v * s * (1.0 / (255.0 * 30.0));
    let [r, g, b] = [60.0 - (h - 90.0).abs(), (h - 60.0).abs() - 30.0, (h - 120.0).abs() - 30.0]
        .map(|distance| (v_and_whole - missing * least(most(distance, 0.0), 30.0)).to_bits());
    r.wrapping_add(g << 8).wrapping_add(b << 16).wrapping_sub(BLACK)
}

/// The smaller number; unlike `f32::min` it knows no NaN and is one instruction.
#[inline(always)]
fn least(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// The larger number.
#[inline(always)]
fn most(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// 1.5 * 2^23: about here a float counts whole numbers, so that a sum is rounded to the nearest, which its lowest bits
/// hold.
const WHOLE: f32 = 12_582_912.0;

/// One half, and so much more that what would be one half but for the rounding of floats counts as one.
const HALF: f32 = 0.5001;

/// So much more than one that a product which would be whole but for the rounding of floats is at least that.
const NUDGE: f32 = 1.0 + 1e-6;

#[cfg(test)]
mod tests {
    use super::*;

    /// The gains 1 1 1 without the short cut for [`HsvGains::NEUTRAL`].
    const THROUGH: HsvGains = HsvGains { v: 1.0 + f32::EPSILON, ..HsvGains::NEUTRAL };

    const COLORS: [[u8; 3]; 8] = [
        [255, 0, 0],
        [0, 0, 255],
        [128, 64, 32],
        [10, 20, 30],
        [90, 90, 90],
        [255, 254, 253],
        [123, 45, 67],
        [12, 200, 180],
    ];

    /// `got` is within `tolerance` of `want`, entry by entry.
    fn assert_near(got: &[u8], want: &[u8], tolerance: u8) {
        assert_eq!(got.len(), want.len());
        let far = got.iter().zip(want).enumerate().find(|(_, (a, b))| a.abs_diff(**b) > tolerance);
        assert_eq!(far, None, "got and want differ by more than {tolerance}");
    }

    #[test]
    fn hue_saturation_value_are_opencvs() {
        // cv2 4.10, COLOR_RGB2HSV; its tables are off by one in rare ties
        let want = [
            [0, 255, 255],
            [120, 255, 255],
            [10, 191, 128],
            [105, 170, 30],
            [0, 0, 90],
            [15, 2, 255],
            [172, 162, 123],
            [87, 240, 200],
        ];
        for (color, want) in COLORS.iter().zip(want) {
            let got = to_hsv(color.map(u32::from)).map(|value| value as u8);
            assert_near(&got, &want, 1);
        }
    }

    #[test]
    fn gains_act_as_in_opencv() {
        // cv2 4.10 with look-up tables in float64; it cuts off on the way back where we round
        let want = [
            [191, 0, 0],
            [6, 0, 191],
            [96, 32, 0],
            [0, 10, 22],
            [67, 67, 67],
            [191, 190, 189],
            [92, 0, 18],
            [0, 150, 140],
        ];
        let mut pixels = COLORS;
        HsvGains { h: 1.0125, s: 1.6, v: 0.75 }.apply(pixels.as_flattened_mut());
        assert_near(pixels.as_flattened(), want.as_flattened(), 1);
    }

    #[test]
    fn gains_of_one_keep_every_colour() {
        let steps = || (0..=255_u8).step_by(5);
        let all: Vec<u8> =
            steps().flat_map(|r| steps().flat_map(move |g| steps().flat_map(move |b| [r, g, b]))).collect();
        let mut pixels = all.clone();
        HsvGains::NEUTRAL.apply(&mut pixels);
        assert_eq!(pixels, all);
        THROUGH.apply(&mut pixels);
        assert_near(&pixels, &all, 4);
    }

    #[test]
    fn greys_stay_grey_and_saturate() {
        let mut pixels = [0, 0, 0, 114, 114, 114, 200, 200, 200];
        HsvGains { h: 1.3, s: 5.0, v: 1.5 }.apply(&mut pixels);
        assert_eq!(pixels, [0, 0, 0, 171, 171, 171, 255, 255, 255]);
    }
}
