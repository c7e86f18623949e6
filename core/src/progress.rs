//! Where a run stands: what the loop counts, the report shows and the scheduler is told.

use anyhow::{Result, ensure};
use trainer_sdk::{Metric, Progress, Rates, Scheduler};

use crate::validate::Outcome;

/// The counters of a run, and the figures of its last finished epoch.
#[derive(Clone, Debug, Default)]
pub struct RunProgress {
    /// Batches seen since the start of the run.
    pub step: usize,
    /// The current epoch, from 0.
    pub epoch: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Figures by name, as [`Progress::metric`] has them.
    pub figures: Vec<(String, f64)>,
}

impl RunProgress {
    /// Keeps the figures of a finished epoch for the scheduler.
    pub fn epoch_done(&mut self, losses: &[(String, f64)], outcome: &Outcome) {
        let found = &outcome.figures;
        let figures = [
            ("map50_95", found.map50_95),
            ("map50", found.map50),
            ("precision", found.precision),
            ("recall", found.recall),
        ];
        self.figures = figures.map(|(name, value)| (name.to_owned(), value)).to_vec();
        self.figures.extend(losses.iter().map(|(name, value)| (format!("train/{name}"), *value)));
        self.figures.extend(outcome.losses.iter().map(|(name, value)| (format!("val/{name}"), *value)));
    }

    /// Asks `scheduler` for the rates of the coming step.
    ///
    /// # Errors
    /// The scheduler's own, or that it set a rate which no optimizer can use.
    pub fn rates(&self, scheduler: &mut dyn Scheduler, groups: &mut [Rates]) -> Result<()> {
        let metrics: Vec<_> = self.figures.iter().map(|(name, value)| Metric::new(name, *value)).collect();
        let Self { step, epoch, steps_per_epoch, epochs, .. } = *self;
        scheduler.rates(&Progress { step, epoch, steps_per_epoch, epochs, metrics: &metrics }, groups)?;
        for Rates { lr, momentum, .. } in &*groups {
            ensure!((0.0..f64::INFINITY).contains(lr), "the rate {lr} at step {step} is no number from 0 up");
            ensure!((0.0..1.0).contains(momentum), "the momentum {momentum} at step {step} is not in [0, 1)");
        }
        Ok(())
    }
}
