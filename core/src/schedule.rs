//! The built-in schedules: the rate falls from its start to `lrf` times it over the run, after a warm-up.

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Progress, Rates, Scheduler, schedule};

/// Falls in a straight line, once an epoch.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// The last epoch's rate as a share of the first's.
    #[schemars(range(min = 0.0, max = 1.0))]
    lrf: f64,
    /// Length of the warm-up in epochs, at least 100 batches unless 0.
    #[schemars(range(min = 0.0))]
    warmup_epochs: f64,
    /// Momentum at the first batch.
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_momentum: f64,
    /// Rate of the biases at the first batch (the other groups start at 0). The default is that of YOLOv12's authors;
    /// ultralytics has 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_bias_lr: f64,
}

impl Default for Linear {
    fn default() -> Self {
        Self { lrf: 0.01, warmup_epochs: 3.0, warmup_momentum: 0.8, warmup_bias_lr: 0.0 }
    }
}

impl Linear {
    /// Rates at a share of the first's, then warm-up.
    fn apply(&self, share: f64, at: &Progress, groups: &mut [Rates]) {
        for rates in groups.iter_mut() {
            rates.lr = rates.initial_lr * share;
            rates.momentum = rates.initial_momentum;
        }
        let Self { warmup_epochs: epochs, warmup_momentum: momentum, warmup_bias_lr: bias_lr, .. } = *self;
        schedule::warmup(&schedule::Warmup { epochs, momentum, bias_lr }, at, groups);
    }
}

impl Scheduler for Linear {
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let done = at.epoch as f64 / at.epochs.max(1) as f64;
        self.apply((1.0 - done).max(0.0) * (1.0 - self.lrf) + self.lrf, at, groups);
        Ok(())
    }
}

/// Falls along half a cosine, once an epoch.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cosine(Linear);

impl Scheduler for Cosine {
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let done = at.epoch as f64 / at.epochs.max(1) as f64;
        let fallen = (1.0 - (std::f64::consts::PI * done).cos()) / 2.0;
        self.0.apply(1.0 + fallen * (self.0.lrf - 1.0), at, groups);
        Ok(())
    }
}

trainer_sdk::component! {
    scheduler "linear" "falls in a straight line to lrf times the first rate": Linear,
        alias "lrf" = "lrf", alias "warmup_epochs" = "warmup_epochs",
        alias "warmup_momentum" = "warmup_momentum", alias "warmup_bias_lr" = "warmup_bias_lr";
    scheduler "cosine" "falls along half a cosine to lrf times the first rate": Cosine,
        alias "lrf" = "lrf", alias "warmup_epochs" = "warmup_epochs",
        alias "warmup_momentum" = "warmup_momentum", alias "warmup_bias_lr" = "warmup_bias_lr"
}
