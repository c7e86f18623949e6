//! The scheduler socket: where the run stands in, learning rates and momenta out. Plain numbers, no tensors.

use anyhow::Result;

/// Sets the rates of the optimizer's parameter groups before each optimizer step.
///
/// Called on the training thread. A scheduler owns warm-up; [`schedule::warmup`] is the usual one.
pub trait Scheduler: Send {
    /// Writes `lr` and `momentum` of each group for the batch at `at`.
    ///
    /// # Errors
    /// An error stops the run before the step; the weights saved after the last epoch stay.
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()>;

    /// State for the checkpoint; nothing by default.
    ///
    /// # Errors
    /// If the state cannot be written.
    fn save(&self) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }

    /// Takes back what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// If the bytes are not such a state.
    fn load(&mut self, _state: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// Where the run stands.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Batches seen since the start of the run (from 0 at the first).
    pub step: usize,
    /// The current epoch, from 0.
    pub epoch: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// mAP50-95 of the last validation, in 0..1; none before the first.
    pub last_map: Option<f64>,
}

/// One parameter group's rates.
#[derive(Clone, Debug)]
pub struct Rates {
    /// `weight` (decayed), `norm` or `bias`.
    pub group: &'static str,
    /// The rate that the optimizer was given (`lr0`), the base of every schedule.
    pub initial_lr: f64,
    /// The momentum that the optimizer was given.
    pub initial_momentum: f64,
    /// The rate for the coming step; to be written.
    pub lr: f64,
    /// The momentum for the coming step (SGD; AdamW keeps its betas); to be written.
    pub momentum: f64,
}

/// Building blocks of schedules.
pub mod schedule {
    use super::{Progress, Rates};

    /// The linear warm-up of the reference (ultralytics 8.3.63): over the first `max(round(epochs * steps), 100)`
    /// batches, rates rise from 0 (biases: from `bias_lr`) to their scheduled value and momentum from
    /// `momentum` to its own.
    #[derive(Clone, Debug)]
    pub struct Warmup {
        /// Length in epochs; 0 switches warm-up off.
        pub epochs: f64,
        /// Momentum at the first batch.
        pub momentum: f64,
        /// Rate of the bias group at the first batch.
        pub bias_lr: f64,
    }

    /// Number of batches that the warm-up lasts.
    #[must_use]
    pub fn warmup_steps(epochs: f64, steps_per_epoch: usize) -> usize {
        if epochs > 0.0 { ((epochs * steps_per_epoch as f64).round() as usize).max(100) } else { 0 }
    }

    /// Applies `warmup` to rates that hold their scheduled values.
    pub fn warmup(warmup: &Warmup, at: &Progress, groups: &mut [Rates]) {
        let last = warmup_steps(warmup.epochs, at.steps_per_epoch);
        if last == 0 || at.step > last {
            return;
        }
        let share = at.step as f64 / last as f64;
        for rates in groups {
            let start = if rates.group == "bias" { warmup.bias_lr } else { 0.0 };
            rates.lr = start + (rates.lr - start) * share;
            rates.momentum = warmup.momentum + (rates.initial_momentum - warmup.momentum) * share;
        }
    }
}
