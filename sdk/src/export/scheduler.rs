//! Fills `trainer.scheduler/1` from the trait. Rates and metrics have the ABI's layout and cross as they are.

use std::mem::{offset_of, size_of};

use super::instance::{self, exclusive};
use crate::{
    Metric, Progress, Rates, Scheduler,
    abi::{self, Opaque, SchedulerTable, Sink, Status, Str},
};

const _: () = {
    assert!(size_of::<Rates>() == size_of::<abi::Rates>() && size_of::<Metric>() == size_of::<abi::Metric>());
    assert!(offset_of!(Rates, initial_lr) == offset_of!(abi::Rates, initial_lr));
    assert!(offset_of!(Rates, initial_momentum) == offset_of!(abi::Rates, initial_momentum));
    assert!(offset_of!(Rates, lr) == offset_of!(abi::Rates, lr));
    assert!(offset_of!(Rates, momentum) == offset_of!(abi::Rates, momentum));
};

type Create = unsafe extern "C" fn(Str, *mut Opaque, Sink) -> Status;

pub(super) const fn table(create: Create) -> SchedulerTable {
    SchedulerTable {
        create,
        destroy: instance::destroy::<dyn Scheduler>,
        ready: instance::ready::<dyn Scheduler>,
        rates,
        save: instance::save::<dyn Scheduler>,
        load: instance::load::<dyn Scheduler>,
    }
}

unsafe extern "C" fn rates(
    instance: Opaque,
    at: *const abi::Progress,
    groups: *mut abi::Rates,
    count: usize,
    error: Sink,
) -> Status {
    // SAFETY: all pointers live for the call; the layouts are equal, see above.
    unsafe {
        exclusive::<dyn Scheduler>(instance, error, |scheduler| {
            let at = &*at;
            let metrics: &[Metric] = match at.num_metrics {
                0 => &[],
                n => std::slice::from_raw_parts(at.metrics.cast(), n),
            };
            let progress = Progress {
                step: at.step as usize,
                epoch: at.epoch as usize,
                steps_per_epoch: at.steps_per_epoch as usize,
                epochs: at.epochs as usize,
                metrics,
            };
            let groups: &mut [Rates] =
                if count == 0 { &mut [] } else { std::slice::from_raw_parts_mut(groups.cast(), count) };
            scheduler.rates(&progress, groups)
        })
    }
}
