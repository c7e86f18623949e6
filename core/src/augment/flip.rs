//! Flips: mirrors samples at random.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Sample};

/// Mirrors top and bottom, then left and right, each by its own chance.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flip {
    /// Probability of mirroring left and right.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub horizontal: f64,
    /// Probability of mirroring top and bottom.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub vertical: f64,
}

impl Default for Flip {
    fn default() -> Self {
        Self { horizontal: 0.5, vertical: 0.0 }
    }
}

impl Augmentation for Flip {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if cx.rng.chance(self.vertical) {
            sample.flip_vertical()?;
        }
        if cx.rng.chance(self.horizontal) {
            sample.flip_horizontal()?;
        }
        Ok(())
    }
}

trainer_sdk::component! {
    augmentation "flip" "mirrors samples left and right or top and bottom": Flip,
        alias "fliplr" = "horizontal", alias "flipud" = "vertical"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, sample};

    #[test]
    fn chances_decide() {
        let both = apply(&Flip { horizontal: 1.0, vertical: 1.0 }, sample(40, 20), &mut []);
        assert_eq!(both.from_original().apply([0.0, 0.0]), [40.0, 20.0]);
        let none = apply(&Flip { horizontal: 0.0, vertical: 0.0 }, sample(40, 20), &mut []);
        assert_eq!(none.from_original().apply([0.0, 0.0]), [0.0, 0.0]);
    }
}
