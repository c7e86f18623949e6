//! BGR: red and blue change places at random.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Sample};

use super::pixels::change;

/// Swaps red and blue, for networks that are to stand cameras of either order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bgr {
    /// Probability of the swap.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Augmentation for Bgr {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if !cx.rng.chance(self.p) {
            return Ok(());
        }
        change(sample, |_, pixels| pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.reverse()))
    }
}

trainer_sdk::component! {
    augmentation "bgr" "swaps red and blue": Bgr, alias "bgr" = "p"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, sample};

    #[test]
    fn red_and_blue_change_places() {
        let (before, after) = (sample(8, 8).render(), apply(&Bgr { p: 1.0 }, sample(8, 8), &mut []).render());
        assert_eq!(after[3..6], [before[5], before[4], before[3]]);
        assert_eq!(apply(&Bgr::default(), sample(8, 8), &mut []).render(), before);
    }
}
