//! `trainer.scheduler/1`: where the run stands in, learning rates and momenta out.

use abi_stable::StableAbi;

use crate::{Opaque, Sink, Status, Str};

/// The id of [`SchedulerTable`].
pub const SCHEDULER: &str = "trainer.scheduler/1";

/// One scheduler. All functions run on the training thread, one at a time per instance, and use no tensors.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct SchedulerTable {
    /// Makes an instance from its options (JSON, checked against the schema before).
    pub create: unsafe extern "C" fn(options: Str, instance: *mut Opaque, error: Sink) -> Status,
    /// Ends an instance.
    pub destroy: unsafe extern "C" fn(instance: Opaque),
    /// What the run is like (a JSON object, see `ReadyContext` of the SDK); once, after `create`.
    pub ready: unsafe extern "C" fn(instance: Opaque, run: Str, error: Sink) -> Status,
    /// Writes `lr` and `momentum` of each of `count` groups for the coming step.
    pub rates: unsafe extern "C" fn(
        instance: Opaque,
        at: *const Progress,
        groups: *mut Rates,
        count: usize,
        error: Sink,
    ) -> Status,
    /// Writes the state that a checkpoint must hold; nothing where there is none.
    pub save: unsafe extern "C" fn(instance: Opaque, out: Sink, error: Sink) -> Status,
    /// Takes back what `save` wrote (`state` is bytes).
    pub load: unsafe extern "C" fn(instance: Opaque, state: Str, error: Sink) -> Status,
}

/// Where the run stands.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Progress {
    /// Batches seen since the start of the run (0 before the first).
    pub step: u64,
    /// The current epoch, from 0.
    pub epoch: u64,
    /// Batches in an epoch.
    pub steps_per_epoch: u64,
    /// Epochs of the run.
    pub epochs: u64,
    /// The figures of the last finished epoch; none in the first.
    pub metrics: *const Metric,
    /// How many.
    pub num_metrics: usize,
}

/// One figure of an epoch.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Metric {
    /// `map50_95`, `map50`, `precision`, `recall` (all 0..1), `train/TERM`, `val/TERM` (mean loss terms).
    pub name: Str,
    /// Its value.
    pub value: f64,
}

/// One parameter group's rates.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Rates {
    /// `weight` (decayed), `norm` or `bias`; lives for the process.
    pub group: Str,
    /// The rate that the optimizer was given (`lr0`), the base of every schedule.
    pub initial_lr: f64,
    /// The momentum that the optimizer was given.
    pub initial_momentum: f64,
    /// The rate for the coming step; to be written, finite and not negative.
    pub lr: f64,
    /// The momentum for the coming step (AdamW: the first beta stays the optimizer's); to be written, in [0, 1).
    pub momentum: f64,
}
