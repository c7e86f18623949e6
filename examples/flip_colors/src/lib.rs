//! The smallest augmentation plugin: swaps red and blue in some samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Result, Sample, export_plugin};

// ANCHOR: options
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)] // an option that is left out takes its default, a misspelt one is refused
struct FlipColors {
    /// Chance that a sample is changed.
    #[schemars(range(min = 0.0, max = 1.0))]
    p: f64,
}

impl Default for FlipColors {
    fn default() -> Self {
        Self { p: 0.5 }
    }
}
// ANCHOR_END: options

// ANCHOR: augmentation
impl Augmentation for FlipColors {
    fn apply(&self, sample: &mut Sample, _partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if cx.rng.chance(self.p) {
            // Randomness from cx.rng alone makes runs repeat, whatever the number of loader threads.
            for row in sample.pixels()?.rows_mut()? {
                row.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
            }
        }
        Ok(())
    }
}
// ANCHOR_END: augmentation

export_plugin! { augmentation "flip_colors" "swaps red and blue": FlipColors }

#[cfg(test)]
mod tests;
