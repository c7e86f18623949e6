//! The smallest scheduler plugin: the rate is multiplied by a factor every few epochs.

use trainer_sdk::{Progress, Rates, Result, Scheduler, export_plugin, schedule};

// ANCHOR: options
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct StepDecay {
    /// Epochs between two steps.
    #[schemars(range(min = 1))]
    every: usize,
    /// What the rate is multiplied by at a step.
    #[schemars(range(min = 0.0, max = 1.0))]
    factor: f64,
}

impl Default for StepDecay {
    fn default() -> Self {
        Self { every: 30, factor: 0.1 }
    }
}
// ANCHOR_END: options

// ANCHOR: scheduler
impl Scheduler for StepDecay {
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        for rates in groups.iter_mut() {
            rates.lr = rates.initial_lr * self.factor.powf((at.epoch / self.every.max(1)) as f64);
            rates.momentum = rates.initial_momentum;
        }
        schedule::warmup(&schedule::Warmup { epochs: 3.0, momentum: 0.8, bias_lr: 0.0 }, at, groups);
        Ok(())
    }
}
// ANCHOR_END: scheduler

export_plugin! { scheduler "step_decay" "multiplies the rate by a factor every few epochs": StepDecay }

#[cfg(test)]
mod tests;
