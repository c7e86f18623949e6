//! Simulated runs for schedulers.

use anyhow::{Context as _, Result};
use trainer_sdk::{Metric, Progress, Rates, Scheduler};

/// The length of a run.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub epochs: usize,
    pub steps_per_epoch: usize,
}

/// The optimizer's rate and momentum.
pub const START: (f64, f64) = (0.01, 0.937);

/// The rates at the steps from `from` to before `to`: lr and momentum of weight, norm and bias.
pub fn rates(scheduler: &mut dyn Scheduler, shape: Shape, from: usize, to: usize) -> Result<Vec<[(f64, f64); 3]>> {
    let mut all = Vec::new();
    for step in from..to {
        let epoch = step / shape.steps_per_epoch;
        let metrics = if epoch == 0 { Vec::new() } else { figures(epoch - 1) };
        let at =
            Progress { step, epoch, steps_per_epoch: shape.steps_per_epoch, epochs: shape.epochs, metrics: &metrics };
        let mut groups = ["weight", "norm", "bias"].map(|group| Rates::new(group, START.0, START.1));
        let place = || format!("at step {step} of {} epochs x {} steps", shape.epochs, shape.steps_per_epoch);
        scheduler.rates(&at, &mut groups).with_context(place)?;
        all.push(groups.map(|rates| (rates.lr, rates.momentum)));
    }
    Ok(all)
}

/// Figures that rise, then stay: what a schedule that watches them has to react to.
fn figures(epoch: usize) -> Vec<Metric<'static>> {
    let gained = 0.6 * (epoch as f64 / 5.0).min(1.0);
    let figures = [
        ("map50_95", gained),
        ("map50", gained),
        ("precision", gained),
        ("recall", gained),
        ("train/box", 2.0 - gained),
        ("train/cls", 2.0 - gained),
        ("train/dfl", 2.0 - gained),
        ("val/box", 2.0 - gained),
        ("val/cls", 2.0 - gained),
        ("val/dfl", 2.0 - gained),
    ];
    figures.map(|(name, value)| Metric::new(name, value)).into()
}
