//! The scheduler socket: where the run stands in, learning rates and momenta out. Plain numbers, no tensors.

use std::marker::PhantomData;

use anyhow::{Result, ensure};

use crate::{ReadyContext, abi};

/// Sets the rates of the optimizer's parameter groups.
///
/// Called on the training thread, once a batch, before the optimizer step that may follow it. A scheduler owns warm-up; [`schedule::warmup`] is the usual one.
pub trait Scheduler: Send {
    /// What the run is like; once, before the first step.
    ///
    /// # Errors
    /// An error stops the run before it starts.
    fn ready(&mut self, _run: &ReadyContext) -> Result<()> {
        Ok(())
    }

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

    /// Takes back what [`save`](Self::save) wrote; by default no more than nothing.
    ///
    /// # Errors
    /// If the bytes are not such a state.
    fn load(&mut self, state: &[u8]) -> Result<()> {
        ensure!(state.is_empty(), "there is no state to be loaded");
        Ok(())
    }
}

/// Where the run stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress<'a> {
    /// Batches seen since the start of the run (from 0 at the first).
    pub step: usize,
    /// The current epoch, from 0.
    pub epoch: usize,
    /// Batches in an epoch.
    pub steps_per_epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// The figures of the last finished epoch, empty in the first; see [`metric`](Self::metric).
    pub metrics: &'a [Metric<'a>],
}

impl Progress<'_> {
    /// A figure of the last finished epoch: `map50_95`, `map50`, `precision`, `recall` of the validation (all 0..1),
    /// or a mean loss term, `train/cls`, `val/cls` and so on. None in the first epoch.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.name() == name).map(Metric::value)
    }
}

/// One figure of an epoch.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Metric<'a> {
    raw: abi::Metric,
    life: PhantomData<&'a str>,
}

impl<'a> Metric<'a> {
    /// A figure and its name.
    #[must_use]
    pub const fn new(name: &'a str, value: f64) -> Self {
        Self { raw: abi::Metric { name: abi::Str::new(name), value }, life: PhantomData }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'a str {
        // SAFETY: the text lives for 'a.
        #[allow(unsafe_code)]
        std::str::from_utf8(unsafe { self.raw.name.as_bytes() }).unwrap_or_default()
    }

    /// Its value.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.raw.value
    }
}

impl std::fmt::Debug for Metric<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: {}", self.name(), self.value())
    }
}

/// One parameter group's rates, in the ABI's own layout, so that a list of them crosses the boundary as it is.
#[repr(C)]
#[derive(Clone)]
pub struct Rates {
    group: abi::Str,
    /// The rate that the optimizer was given (`lr0`), the base of every schedule.
    pub initial_lr: f64,
    /// The momentum that the optimizer was given.
    pub initial_momentum: f64,
    /// The rate for the coming step, finite and not negative; to be written.
    pub lr: f64,
    /// The momentum for the coming step, in [0, 1) (SGD; AdamW keeps its betas); to be written.
    pub momentum: f64,
}

impl Rates {
    /// The rates of a group at their start.
    #[must_use]
    pub const fn new(group: &'static str, lr: f64, momentum: f64) -> Self {
        Self { group: abi::Str::new(group), initial_lr: lr, initial_momentum: momentum, lr, momentum }
    }

    /// `weight` (decayed), `norm` or `bias`.
    #[must_use]
    pub fn group(&self) -> &'static str {
        // SAFETY: the host promises that the text lives for the process.
        #[allow(unsafe_code)]
        std::str::from_utf8(unsafe { self.group.as_bytes() }).unwrap_or_default()
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: lr {}, momentum {}", self.group(), self.lr, self.momentum)
    }
}

/// Building blocks of schedules.
pub mod schedule {
    use super::{Progress, Rates};

    /// The linear warm-up of the reference (ultralytics 8.3.63): over the first `max(round(epochs * steps), 100)`
    /// batches, rates rise from 0 (biases: from `bias_lr`) to their scheduled value and momentum from `momentum` to
    /// the optimizer's.
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
            let start = if rates.group() == "bias" { warmup.bias_lr } else { 0.0 };
            rates.lr = start + (rates.lr - start) * share;
            rates.momentum = warmup.momentum + (rates.initial_momentum - warmup.momentum) * share;
        }
    }
}
