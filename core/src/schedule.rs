//! The built-in schedules, each with a warm-up: `linear` and `cosine` fall from the first rate to `lrf` times it over the
//! run, `staged` goes from breakpoint to breakpoint.

mod staged;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{
    Progress, Rates, Scheduler,
    schedule::{self, Warmup},
};

use staged::Staged;

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

/// Sets every group to `share` of the optimizer's rate, then warms up.
fn set(share: f64, warmup: &Warmup, at: &Progress, groups: &mut [Rates]) {
    for rates in groups.iter_mut() {
        rates.lr = rates.initial_lr * share;
        rates.momentum = rates.initial_momentum;
    }
    schedule::warmup(warmup, at, groups);
}

impl Linear {
    fn warmup(&self) -> Warmup {
        Warmup { epochs: self.warmup_epochs, momentum: self.warmup_momentum, bias_lr: self.warmup_bias_lr }
    }
}

impl Scheduler for Linear {
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let done = at.epoch as f64 / at.epochs.max(1) as f64;
        set((1.0 - done).max(0.0) * (1.0 - self.lrf) + self.lrf, &self.warmup(), at, groups);
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
        set(1.0 + half_cosine(done) * (self.0.lrf - 1.0), &self.0.warmup(), at, groups);
        Ok(())
    }
}

/// From 0 to 1 while `done` does, slowly at both ends.
fn half_cosine(done: f64) -> f64 {
    (1.0 - (std::f64::consts::PI * done).cos()) / 2.0
}

trainer_sdk::component! {
    scheduler "linear" "falls in a straight line to lrf times the first rate": Linear,
        alias "lrf" = "lrf", alias "warmup_epochs" = "warmup_epochs",
        alias "warmup_momentum" = "warmup_momentum", alias "warmup_bias_lr" = "warmup_bias_lr";
    scheduler "cosine" "falls along half a cosine to lrf times the first rate": Cosine,
        alias "lrf" = "lrf", alias "warmup_epochs" = "warmup_epochs",
        alias "warmup_momentum" = "warmup_momentum", alias "warmup_bias_lr" = "warmup_bias_lr";
    scheduler "staged" "goes from breakpoint to breakpoint, constant, in a straight line or along half a cosine": Staged,
        alias "warmup_epochs" = "warmup_epochs", alias "warmup_momentum" = "warmup_momentum",
        alias "warmup_bias_lr" = "warmup_bias_lr"
}

#[cfg(test)]
mod tests;
