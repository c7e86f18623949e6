//! Schedulers on a simulated run.

use anyhow::Result;

use crate::{Metric, Progress, Rates, Scheduler};

/// A run as a scheduler sees it, without a network: three parameter groups and the figures that a test invents.
#[derive(Clone, Debug)]
pub struct SimulatedRun {
    /// Epochs of the run.
    pub epochs: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// The optimizer's rate, `lr0`.
    pub lr0: f64,
    /// The optimizer's momentum.
    pub momentum: f64,
}

impl SimulatedRun {
    /// The rates of all groups (weight, norm, bias) at every step. `metrics` is asked after each epoch for its figures,
    /// e.g. `|epoch| vec![("map50_95", 0.1 * epoch as f64)]`.
    ///
    /// # Errors
    /// The scheduler's own.
    pub fn rates(
        &self,
        scheduler: &mut dyn Scheduler,
        metrics: impl Fn(usize) -> Vec<(&'static str, f64)>,
    ) -> Result<Vec<[Rates; 3]>> {
        let mut groups = ["weight", "norm", "bias"].map(|group| Rates::new(group, self.lr0, self.momentum));
        let mut all = Vec::new();
        let mut known = Vec::new();
        for epoch in 0..self.epochs {
            for _ in 0..self.steps_per_epoch {
                let (step, steps_per_epoch, epochs) = (all.len(), self.steps_per_epoch, self.epochs);
                scheduler.rates(&Progress { step, epoch, steps_per_epoch, epochs, metrics: &known }, &mut groups)?;
                all.push(groups.clone());
            }
            known = metrics(epoch).into_iter().map(|(name, value)| Metric::new(name, value)).collect();
        }
        Ok(all)
    }
}
