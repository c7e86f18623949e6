//! Label smoothing: a class target t becomes t(1-epsilon) + epsilon * sum(t)/C on assigned anchors; the background,
//! where all targets are 0, stays 0. After Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Loss, LossContext, Result, Targets, export_plugin};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LabelSmooth {
    /// Share of each class target that is spread evenly over all classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    epsilon: f64,
}

impl Default for LabelSmooth {
    fn default() -> Self {
        Self { epsilon: 0.05 }
    }
}

impl Loss for LabelSmooth {
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        let scores = targets.scores()?;
        let spread = scores.sum_dims(&[-1], true)?.mul_scalar(self.epsilon / cx.num_classes as f64)?;
        targets.set_scores(&scores.mul_scalar(1.0 - self.epsilon)?.add(&spread)?)
    }
}

export_plugin! {
    loss "label_smooth" "spreads part of each class target over all classes": LabelSmooth,
    alias "label_smoothing" = "epsilon"
}
