//! Mixup: two samples shine through each other (Zhang et al. 2018).

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{AugmentContext, Augmentation, Sample};

use super::{is_closed, letterbox::together};

/// Mixes a sample with another that went through the same earlier stages; all objects of both stay, at full weight.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mixup {
    /// Probability of a mixture.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
    /// The share of the sample is drawn from Beta(beta, beta): the larger, the nearer to one half.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub beta: f64,
    /// The last epochs of the run have none: so many of them.
    pub close: usize,
}

impl Default for Mixup {
    fn default() -> Self {
        Self { p: 0.0, beta: 32.0, close: 10 }
    }
}

impl Augmentation for Mixup {
    fn partners(&self) -> usize {
        usize::from(self.p > 0.0)
    }

    fn apply(&self, sample: &mut Sample, partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        if is_closed(self.close, cx) || !cx.rng.chance(self.p) {
            return Ok(());
        }
        ensure!(partners.len() == 1, "mixup needs 1 partner, got {}", partners.len());
        together(sample, &mut partners[0], cx.imgsz)?;
        let share = cx.rng.beta(self.beta, self.beta);
        sample.blend(&mut partners[0], share)
    }
}

trainer_sdk::component! {
    augmentation "mixup" "mixes a sample with another": Mixup,
        alias "mixup" = "p", alias "close_mosaic" = "close"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::augment::testing::{IMGSZ, apply, apply_in, sample};

    #[test]
    fn both_pictures_and_all_objects_are_there() {
        let mut other = sample(64, 64);
        other.flip_horizontal();
        let (a, b) = (sample(64, 64).render(), other.render());
        let mixed = apply(&Mixup { p: 1.0, ..Mixup::default() }, sample(64, 64), &mut [other]);
        assert_eq!((mixed.objects.len(), mixed.objects[1].weight), (2, 1.0));
        let shares = mixed.render().into_iter().zip(a).zip(b).filter(|((_, a), b)| a.abs_diff(*b) > 100);
        let shares: Vec<_> =
            shares.map(|((m, a), b)| (f64::from(m) - f64::from(b)) / (f64::from(a) - f64::from(b))).collect();
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!((0.2..0.8).contains(&mean) && shares.iter().all(|share| (share - mean).abs() < 0.02), "{mean}");
    }

    #[test]
    fn canvases_of_two_sizes_are_letterboxed() {
        let mixed = apply(&Mixup { p: 1.0, ..Mixup::default() }, sample(40, 20), &mut [sample(20, 40)]);
        assert_eq!((mixed.size().width, mixed.size().height), (IMGSZ, IMGSZ));
        assert_eq!(mixed.objects[1].bbox, trainer_sdk::Bbox::new(24.0, 16.0, 40.0, 48.0));
    }

    #[test]
    fn chance_and_the_last_epochs_decide() {
        assert_eq!((Mixup::default().partners(), Mixup { p: 0.1, ..Mixup::default() }.partners()), (0, 1));
        let always = Mixup { p: 1.0, ..Mixup::default() };
        assert_eq!(apply_in(90, 100, &always, sample(64, 64), &mut [sample(64, 64)]).objects.len(), 1);
        let never = apply(&Mixup { p: 1e-12, ..Mixup::default() }, sample(64, 64), &mut [sample(64, 64)]);
        assert_eq!(never.objects.len(), 1);
    }
}
