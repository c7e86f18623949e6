//! Gradient accumulation: several batches make one optimizer step, so that small batches learn at the rates meant for
//! the nominal one.

use trainer_sdk::schedule;

use crate::optimizer::RunSize;

/// Decides after which batches the optimizer steps.
#[derive(Clone, Debug)]
pub struct Accumulation {
    batch: usize,
    nbs: usize,
    warmup_steps: usize,
    /// Batches since the last optimizer step.
    waiting: usize,
}

impl Accumulation {
    /// Towards `size.nbs` images a step; over the warm-up the number of batches rises from 1.
    #[must_use]
    pub fn new(size: RunSize, warmup_epochs: f64, steps_per_epoch: usize) -> Self {
        let warmup_steps = schedule::warmup_steps(warmup_epochs, steps_per_epoch);
        Self { batch: size.batch, nbs: size.nbs, warmup_steps, waiting: 0 }
    }

    /// Batches in a step after the warm-up.
    #[must_use]
    pub fn nominal(&self) -> usize {
        ((self.nbs as f64 / self.batch as f64).round() as usize).max(1)
    }

    /// What weight decay is multiplied by: images in a step / nominal batch.
    #[must_use]
    pub fn decay_factor(&self) -> f64 {
        (self.batch * self.nominal()) as f64 / self.nbs as f64
    }

    /// Whether the optimizer steps after batch `step` (from 0). To be asked once a batch, in order.
    pub fn is_full(&mut self, step: usize) -> bool {
        self.waiting += 1;
        let full = self.waiting >= self.batches(step);
        if full {
            self.waiting = 0;
        }
        full
    }

    /// Batches in a step at `step`.
    fn batches(&self, step: usize) -> usize {
        if step > self.warmup_steps || self.warmup_steps == 0 {
            return self.nominal();
        }
        let share = step as f64 / self.warmup_steps as f64;
        ((1.0 + share * (self.nbs as f64 / self.batch as f64 - 1.0)).round_ties_even() as usize).max(1)
    }
}
