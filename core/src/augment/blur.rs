//! Blurs: a box filter, or the median of a neighbourhood.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Rng, Sample, Size};

use super::pixels::{change, reflect};

/// Averages squares of pixels.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// Probability of a blur.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// The square's side is an odd number from 3 to this, in pixels.
    #[schemars(range(min = 3, max = 31))]
    pub limit: usize,
}

/// Takes the median of squares of pixels, channel by channel.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MedianBlur {
    /// Probability of a blur.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// The square's side is an odd number from 3 to this, in pixels.
    #[schemars(range(min = 3, max = 15))]
    pub limit: usize,
}

impl Default for Blur {
    fn default() -> Self {
        Self { p: 0.01, limit: 7 }
    }
}

impl Default for MedianBlur {
    fn default() -> Self {
        Self { p: 0.01, limit: 7 }
    }
}

impl Augmentation for Blur {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if !cx.rng.chance(self.p) {
            return Ok(());
        }
        let radius = radius(self.limit, cx.rng);
        change(sample, |size, pixels| average(pixels, size, radius))
    }
}

impl Augmentation for MedianBlur {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if !cx.rng.chance(self.p) {
            return Ok(());
        }
        let radius = radius(self.limit, cx.rng);
        change(sample, |size, pixels| median(pixels, size, radius))
    }
}

/// Half of an odd side from 3 to `limit`, rounded down.
fn radius(limit: usize, rng: &mut Rng) -> usize {
    1 + rng.below(limit.saturating_sub(1) / 2)
}

/// Sums along x, then along y, divided at the end; edges mirror.
fn average(pixels: &mut [u8], Size { width, height }: Size, radius: usize) {
    let (width, height, reach) = (width as usize, height as usize, radius as isize);
    let window = |length: usize| (-reach..=reach + length as isize).map(move |place| reflect(place, length));
    let (columns, rows): (Vec<_>, Vec<_>) = (window(width).collect(), window(height).collect());
    let side = 2 * radius + 1;
    let mut across = vec![0_u32; pixels.len()];
    for (row, out) in pixels.chunks(width * 3).zip(across.chunks_mut(width * 3)) {
        for c in 0..3 {
            let at = |x: usize| u32::from(row[columns[x] * 3 + c]);
            let mut sum: u32 = (0..side).map(at).sum();
            for x in 0..width {
                out[x * 3 + c] = sum;
                sum = sum + at(x + side) - at(x);
            }
        }
    }
    let line = |y: usize| &across[rows[y] * width * 3..][..width * 3];
    let mut sums = vec![0_u32; width * 3];
    (0..side).for_each(|y| sums.iter_mut().zip(line(y)).for_each(|(sum, value)| *sum += value));
    let area = (side * side) as u32;
    for (y, out) in pixels.chunks_mut(width * 3).enumerate() {
        out.iter_mut().zip(&sums).for_each(|(out, sum)| *out = ((sum + area / 2) / area) as u8);
        let (old, new) = (line(y), line(y + side));
        sums.iter_mut().zip(old.iter().zip(new)).for_each(|(sum, (old, new))| *sum = *sum + new - old);
    }
}

/// By a histogram that moves along the row (Huang, Yang and Tang 1979); edges repeat.
fn median(pixels: &mut [u8], Size { width, height }: Size, radius: usize) {
    let (width, height) = (width as usize, height as usize);
    let source = pixels.to_vec();
    let source = source.as_slice();
    let clamp = |place: isize, length: usize| place.clamp(0, length as isize - 1) as usize;
    let reach = radius as isize;
    let half = ((2 * radius + 1).pow(2) / 2) as u32;
    for y in 0..height {
        let rows: Vec<_> = (-reach..=reach).map(|dy| clamp(y as isize + dy, height) * width).collect();
        for c in 0..3 {
            let mut counts = Counts::default();
            let column = |x: isize| rows.iter().map(move |row| source[(row + clamp(x, width)) * 3 + c]);
            (-reach..=reach).for_each(|x| column(x).for_each(|value| counts.add(value)));
            for x in 0..width as isize {
                pixels[(y * width + x as usize) * 3 + c] = counts.median(half);
                column(x - reach).for_each(|value| counts.remove(value));
                column(x + reach + 1).for_each(|value| counts.add(value));
            }
        }
    }
}

/// How often each value occurs, and how many lie below the last median.
struct Counts {
    of: [u32; 256],
    median: usize,
    below: u32,
}

impl Default for Counts {
    fn default() -> Self {
        Self { of: [0; 256], median: 0, below: 0 }
    }
}

impl Counts {
    fn add(&mut self, value: u8) {
        self.of[usize::from(value)] += 1;
        self.below += u32::from(usize::from(value) < self.median);
    }

    fn remove(&mut self, value: u8) {
        self.of[usize::from(value)] -= 1;
        self.below -= u32::from(usize::from(value) < self.median);
    }

    /// The value with `half` of the others at or below it.
    fn median(&mut self, half: u32) -> u8 {
        while self.below > half {
            self.median -= 1;
            self.below -= self.of[self.median];
        }
        while self.below + self.of[self.median] <= half {
            self.below += self.of[self.median];
            self.median += 1;
        }
        self.median as u8
    }
}

trainer_sdk::component! {
    augmentation "blur" "averages squares of pixels": Blur;
    augmentation "median_blur" "takes the median of squares of pixels": MedianBlur
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, sample};

    const SIZE: Size = Size::new(5, 3);

    /// cv2.blur and cv2.medianBlur of the same 5 x 3 pixels, value 17 i mod 256 in all channels.
    fn ramp() -> Vec<u8> {
        (0..15).flat_map(|i: u32| [(i * i * 17 % 256) as u8; 3]).collect()
    }

    fn reds(pixels: &[u8]) -> Vec<u8> {
        pixels.iter().step_by(3).copied().collect()
    }

    /// By the definition: all values of the square, beyond the edges as `at` says.
    fn slowly(radius: isize, at: fn(isize, usize) -> usize, of: fn(&mut Vec<u8>) -> u8) -> Vec<u8> {
        let source = reds(&ramp());
        let pixel = |y: isize, x: isize| {
            let square = (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (y + dy, x + dx)));
            of(&mut square.map(|(y, x)| source[at(y, 3) * 5 + at(x, 5)]).collect())
        };
        (0..3).flat_map(|y| (0..5).map(move |x| (y, x))).map(|(y, x)| pixel(y, x)).collect()
    }

    #[test]
    fn averages_are_those_of_the_definition() {
        let mean = |values: &mut Vec<u8>| {
            let sum: u32 = values.iter().map(|&value| u32::from(value)).sum();
            (f64::from(sum) / values.len() as f64).round() as u8
        };
        for radius in 1..4 {
            let mut pixels = ramp();
            average(&mut pixels, SIZE, radius);
            assert_eq!(reds(&pixels), slowly(radius as isize, reflect, mean), "radius {radius}");
        }
    }

    #[test]
    fn medians_are_those_of_the_definition() {
        let middle = |values: &mut Vec<u8>| {
            values.sort_unstable();
            values[values.len() / 2]
        };
        let clamp = |place: isize, length: usize| place.clamp(0, length as isize - 1) as usize;
        for radius in 1..4 {
            let mut pixels = ramp();
            median(&mut pixels, SIZE, radius);
            assert_eq!(reds(&pixels), slowly(radius as isize, clamp, middle), "radius {radius}");
        }
    }

    #[test]
    fn chance_decides_and_any_size_goes() {
        for (width, height) in [(1, 1), (2, 9), (64, 3)] {
            let before = sample(width, height).render();
            let same = apply(&Blur { p: 0.0, limit: 7 }, sample(width, height), &mut []);
            assert_eq!(same.render(), before);
            let blurred = apply(&Blur { p: 1.0, limit: 3 }, sample(width, height), &mut []).render();
            let median = apply(&MedianBlur { p: 1.0, limit: 3 }, sample(width, height), &mut []).render();
            assert_eq!((blurred.len(), median.len()), (before.len(), before.len()));
            assert_eq!(blurred == before && median == before, width * height == 1);
        }
    }

    #[test]
    fn sides_are_odd_and_up_to_the_limit() {
        let mut rng = Rng::from_key(&[3]);
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|_| radius(7, &mut rng)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((radius(3, &mut rng), radius(4, &mut rng)), (1, 1));
    }
}
