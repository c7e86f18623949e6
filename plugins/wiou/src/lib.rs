//! Wise-IoU: boxes are drawn by their overlap and the distance of centres, and those of ordinary quality are drawn most.
//! After Tong et al. 2023, "Wise-IoU: Bounding Box Regression Loss with Dynamic Focusing Mechanism" (arXiv 2301.10051).

mod mean;
mod overlap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Loss, LossContext, Predictions, Result, Targets, Tensor, Terms, export_plugin};

use crate::{mean::RunningMean, overlap::Overlap};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct WiseIou {
    /// 1: without focusing; 2: bad boxes count more; 3: ordinary boxes count most.
    #[schemars(range(min = 1, max = 3))]
    version: u8,
    /// Version 2: the exponent of a box's outlier degree.
    #[schemars(range(min = 0.0, max = 5.0))]
    gamma: f64,
    /// Version 3: how fast the gain falls for outliers.
    #[schemars(range(min = 1.0, max = 10.0))]
    alpha: f64,
    /// Version 3: the outlier degree at which the gain is 1.
    #[schemars(range(min = 0.1, max = 20.0))]
    delta: f64,
    /// A batch's weight in the running mean of 1 - IoU.
    #[schemars(range(min = 0.0, max = 1.0))]
    momentum: f64,
    #[serde(skip)]
    mean: RunningMean,
}

impl Default for WiseIou {
    fn default() -> Self {
        // The momentum is 1 - 0.05^(1 / 7000): after 7000 batches 5 % of the start are left.
        Self { version: 3, gamma: 0.5, alpha: 1.9, delta: 3.0, momentum: 4.3e-4, mean: RunningMean::default() }
    }
}

impl WiseIou {
    /// What a box's gradient is multiplied by, of its outlier degree, its 1 - IoU over the running mean.
    fn gain(&self, outlier: &Tensor) -> Result<Tensor> {
        if self.version == 2 {
            return outlier.pow_scalar(self.gamma);
        }
        let falloff = outlier.mul_scalar(-self.alpha.ln())?.exp()?;
        outlier.mul(&falloff)?.mul_scalar(self.alpha.powf(self.delta) / self.delta)
    }
}

// ANCHOR: loss
impl Loss for WiseIou {
    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, targets: &Targets, cx: &LossContext) -> Result<()> {
        let boxes = preds.boxes()?;
        let Overlap { loss: distance, attention } = Overlap::new(&boxes, &targets.boxes()?)?;
        let mut loss = distance.mul(&attention)?;
        if self.version > 1 {
            let distance = distance.detach()?;
            let momentum = if cx.is_training { self.momentum } else { 0.0 };
            let mean = self.mean.follow(&distance, &targets.foreground()?, momentum)?;
            loss = loss.mul(&self.gain(&distance.div(&mean)?)?)?;
        }
        terms.set("box", &loss.mul(&targets.weights()?)?.sum()?.div(&targets.normaliser()?)?)
    }

    fn save(&self) -> Result<Vec<u8>> {
        self.mean.save()
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        self.mean = RunningMean::load(state)?;
        Ok(())
    }
}
// ANCHOR_END: loss

export_plugin! {
    loss "wiou" "replaces the box term by Wise-IoU, which draws boxes of ordinary quality most": WiseIou
}

#[cfg(test)]
mod tests;
