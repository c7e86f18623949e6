//! HSV: random hue, saturation and brightness.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, HsvGains, Sample};

/// Multiplies hue, saturation and value by random factors, one each for the whole canvas.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hsv {
    /// The factor on hue lies in [1 - h, 1 + h].
    #[schemars(range(min = 0.0, max = 1.0))]
    pub h: f64,
    /// The factor on saturation lies in [1 - s, 1 + s].
    #[schemars(range(min = 0.0, max = 1.0))]
    pub s: f64,
    /// The factor on value (brightness) lies in [1 - v, 1 + v].
    #[schemars(range(min = 0.0, max = 1.0))]
    pub v: f64,
}

impl Default for Hsv {
    fn default() -> Self {
        Self { h: 0.015, s: 0.7, v: 0.4 }
    }
}

impl Augmentation for Hsv {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        let mut factor = |gain: f64| cx.rng.uniform(1.0 - gain, 1.0 + gain) as f32;
        sample.recolor(HsvGains { h: factor(self.h), s: factor(self.s), v: factor(self.v) })
    }
}

trainer_sdk::component! {
    augmentation "hsv" "changes hue, saturation and brightness": Hsv,
        alias "hsv_h" = "h", alias "hsv_s" = "s", alias "hsv_v" = "v"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{apply, sample};

    #[test]
    fn gains_of_zero_change_nothing() {
        let before = sample(8, 8);
        let after = apply(&Hsv { h: 0.0, s: 0.0, v: 0.0 }, before.clone(), &mut []);
        assert_eq!(after.render(), before.render());
    }

    #[test]
    fn brightness_stays_in_its_range() {
        let before = sample(8, 8);
        let after = apply(&Hsv { h: 0.0, s: 0.0, v: 0.4 }, before.clone(), &mut []);
        assert_ne!(after.render(), before.render());
        for (a, b) in after.render().iter().zip(before.render()) {
            let (a, b) = (f32::from(*a), f32::from(b));
            assert!(a >= b * 0.6 - 5.0 && a <= b * 1.4 + 5.0, "{b} became {a}"); // 8-bit HSV costs up to 4
        }
    }
}
