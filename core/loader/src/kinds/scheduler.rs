//! A scheduler of a plugin. Rates and metrics have the ABI's layout and cross as they are.

use anyhow::Result;
use trainer_abi::{self as abi, SchedulerTable, Str};
use trainer_sdk::{Progress, Rates, ReadyContext, Scheduler};

use crate::guest::Instance;

impl Scheduler for Instance<SchedulerTable> {
    fn ready(&mut self, run: &ReadyContext) -> Result<()> {
        Instance::ready(self, run)
    }

    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let at = abi::Progress {
            step: at.step as u64,
            epoch: at.epoch as u64,
            steps_per_epoch: at.steps_per_epoch as u64,
            epochs: at.epochs as u64,
            metrics: at.metrics.as_ptr().cast(),
            num_metrics: at.metrics.len(),
        };
        // SAFETY: instance, progress and groups live for the call; the SDK asserts that the layouts are equal.
        self.call("rates", |table, object, error| unsafe {
            (table.rates)(object, &raw const at, groups.as_mut_ptr().cast(), groups.len(), error)
        })
    }

    fn save(&self) -> Result<Vec<u8>> {
        // SAFETY: instance and sinks live for the call.
        self.read("save", |table, object, out, error| unsafe { (table.save)(object, out, error) })
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        // SAFETY: instance and state live for the call.
        self.call("load", |table, object, error| unsafe { (table.load)(object, Str::bytes(state), error) })
    }
}
