//! Multi-scale: the input size of each training batch, drawn anew.

use trainer_sdk::Rng;

/// Sides are multiples of this, the network's coarsest stride.
const STRIDE: usize = 32;

/// Distinguishes these random numbers from those of samples, whose keys have four parts, too.
const PURPOSE: u64 = 0x6d75_6c74_6973_6361;

/// How input sizes are drawn.
#[derive(Clone, Copy, Debug)]
pub struct MultiScale {
    /// Sides lie within [1 - share, 1 + share] times `imgsz`; 0 keeps them all at `imgsz`.
    pub share: f64,
    /// The run's input size, in pixels.
    pub imgsz: u32,
    /// The run's seed.
    pub seed: u64,
}

impl MultiScale {
    /// The side for a step, in pixels: a function of the seed, the epoch and the step.
    #[must_use]
    pub fn side(&self, epoch: usize, step: usize) -> usize {
        let imgsz = f64::from(self.imgsz);
        if self.share <= 0.0 {
            return self.imgsz as usize;
        }
        let low = ((imgsz * (1.0 - self.share)) as usize).max(STRIDE);
        let end = (imgsz * (1.0 + self.share)) as usize + STRIDE;
        let mut rng = Rng::from_key(&[self.seed, epoch as u64, step as u64, PURPOSE]);
        (low + rng.below(end.saturating_sub(low))) / STRIDE * STRIDE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sides_are_multiples_of_32_from_half_to_one_and_a_half() {
        let half = MultiScale { share: 0.5, imgsz: 640, seed: 3 };
        let mut seen = BTreeMap::new();
        (0..20_000).for_each(|step| *seen.entry(half.side(step / 100, step)).or_insert(0) += 1);
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), (10..=30).map(|n| 32 * n).collect::<Vec<_>>());
        assert!(seen.values().all(|&count| (800..1110).contains(&count)), "all equally often: {seen:?}");
        assert_eq!(half.side(7, 12), half.side(7, 12));
        assert!((0..20).any(|seed| MultiScale { seed, ..half }.side(7, 12) != half.side(7, 12)));
    }

    #[test]
    fn a_share_of_0_keeps_the_size_and_none_falls_below_the_stride() {
        assert_eq!(MultiScale { share: 0.0, imgsz: 640, seed: 1 }.side(0, 0), 640);
        let wide = MultiScale { share: 0.999, imgsz: 64, seed: 1 };
        assert!((0..1000).all(|step| (32..=128).contains(&wide.side(0, step))));
    }
}
