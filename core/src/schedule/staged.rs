//! The schedule by breakpoints: a rate from an epoch on, and the way from there to the next.

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Progress, Rates, ReadyContext, Scheduler, schedule::Warmup};

use super::{half_cosine, set};

/// Goes from breakpoint to breakpoint, once an epoch; the last one's rate stays.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Staged {
    /// Epochs with their rates, in order, the first at epoch 0: `{ epoch, rate, curve }` each. `rate` is a share of the
    /// optimizer's (lr0), `curve` the way to the next breakpoint: `constant` (the default; the rate jumps there),
    /// `linear` or `cosine`.
    #[schemars(length(min = 1))]
    breakpoints: Vec<Breakpoint>,
    /// Length of the warm-up in epochs, at least 100 batches unless 0.
    #[schemars(range(min = 0.0))]
    warmup_epochs: f64,
    /// Momentum at the first batch.
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_momentum: f64,
    /// Rate of the biases at the first batch (the other groups start at 0).
    #[schemars(range(min = 0.0, max = 1.0))]
    warmup_bias_lr: f64,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Breakpoint {
    /// From 0; the number of epochs is the end of the run.
    epoch: usize,
    /// Share of the optimizer's rate (lr0).
    #[schemars(range(min = 0.0, max = 1000.0))]
    rate: f64,
    /// The way to the next breakpoint.
    #[serde(default)]
    curve: Curve,
}

// Without a sentence on each, so that a wrong one is refused with the three that there are.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Curve {
    #[default]
    Constant,
    Linear,
    Cosine,
}

impl Default for Staged {
    /// The optimizer's rate, all the way.
    fn default() -> Self {
        let start = Breakpoint { epoch: 0, rate: 1.0, curve: Curve::Constant };
        Self { breakpoints: vec![start], warmup_epochs: 3.0, warmup_momentum: 0.8, warmup_bias_lr: 0.0 }
    }
}

impl Staged {
    /// Share of the optimizer's rate in an epoch.
    fn share(&self, epoch: usize) -> f64 {
        let passed = self.breakpoints.partition_point(|breakpoint| breakpoint.epoch <= epoch);
        let (passed, ahead) = self.breakpoints.split_at(passed);
        match (passed.last(), ahead.first()) {
            (Some(from), Some(to)) => {
                let done = (epoch - from.epoch) as f64 / (to.epoch - from.epoch) as f64;
                let gone = match from.curve {
                    Curve::Constant => 0.0,
                    Curve::Linear => done,
                    Curve::Cosine => half_cosine(done),
                };
                from.rate + (to.rate - from.rate) * gone
            }
            (Some(only), None) | (None, Some(only)) => only.rate,
            (None, None) => 1.0,
        }
    }
}

impl Scheduler for Staged {
    fn ready(&mut self, run: &ReadyContext) -> Result<()> {
        let (all, epochs) = (&self.breakpoints, run.epochs);
        let first = all.first().map(|breakpoint| breakpoint.epoch);
        ensure!(first == Some(0), "staged.breakpoints: the first must stand at epoch 0, where the run begins");
        for (i, pair) in all.windows(2).enumerate() {
            let [before, after] = [pair[0].epoch, pair[1].epoch];
            let is_later = before < after;
            ensure!(is_later, "staged.breakpoints.{}: epoch {after} must come after the one before, {before}", i + 1);
        }
        let last = all[all.len() - 1];
        ensure!(
            last.epoch <= epochs,
            "staged.breakpoints.{}: epoch {} lies beyond the end of the run, epochs={epochs}",
            all.len() - 1,
            last.epoch
        );
        ensure!(
            last.curve == Curve::Constant,
            "staged.breakpoints.{}: the last has no next to go to; leave its curve out, or add a breakpoint where it \
             shall lead, at the latest {{ epoch = {epochs}, rate = … }}",
            all.len() - 1
        );
        Ok(())
    }

    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let (epochs, momentum, bias_lr) = (self.warmup_epochs, self.warmup_momentum, self.warmup_bias_lr);
        set(self.share(at.epoch), &Warmup { epochs, momentum, bias_lr }, at, groups);
        Ok(())
    }
}
