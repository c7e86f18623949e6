//! Gray: colours go, brightness stays.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Sample};

use super::pixels::change;

/// Replaces every colour by the grey of its luma (0.299 R + 0.587 G + 0.114 B).
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gray {
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Gray {
    fn default() -> Self {
        Self { p: 0.01 }
    }
}

impl Augmentation for Gray {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if !cx.rng.chance(self.p) {
            return Ok(());
        }
        change(sample, |_, pixels| {
            pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [luma(*pixel); 3])
        })
    }
}

/// In 1/32768, as 8-bit libraries do: the sum of the weights is exactly one.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((u32::from(r) * 9798 + u32::from(g) * 19235 + u32::from(b) * 3735 + 16384) >> 15) as u8
}

trainer_sdk::component! {
    augmentation "gray" "replaces colours by their greys": Gray
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, sample};

    #[test]
    fn colours_become_their_luma() {
        assert_eq!([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255; 3], [7; 3]].map(luma), [76, 150, 29, 255, 7]);
        let gray = apply(&Gray { p: 1.0 }, sample(8, 8), &mut []).render();
        assert!(gray.as_chunks::<3>().0.iter().all(|[r, g, b]| r == g && g == b));
        assert_eq!(apply(&Gray { p: 0.0 }, sample(8, 8), &mut []).render(), sample(8, 8).render());
    }
}
