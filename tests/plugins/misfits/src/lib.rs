//! Components that break the contract of their kinds, each in its own way: the fixture of tests/conformance.rs.

mod losses;
mod others;

use std::hash::{BuildHasher as _, RandomState};

use trainer_sdk::export_plugin;

use self::{
    losses::{Aborts, BadGradient, Detached, Exits, Hangs, Leaks, Nan, PanicsTerms, Random, Syncs, Vector},
    others::{ExporterLitters, Outside, RandomLight, SchedulerForgets, SchedulerNan},
};

/// Some number, another one each time.
fn some_number() -> u64 {
    RandomState::new().hash_one(0)
}

export_plugin! {
    loss "loss_nan" "makes a term that is not a number": Nan;
    loss "loss_vector" "makes a term that is no scalar": Vector;
    loss "loss_detached" "makes a term without a gradient": Detached;
    loss "loss_panics_terms" "panics in terms": PanicsTerms;
    loss "loss_leaks" "forgets a tensor in every call": Leaks;
    loss "loss_syncs" "reads a value off the device, and ignores that it fails": Syncs;
    loss "loss_random" "makes a term of random size": Random;
    loss "loss_bad_gradient" "brings a gradient of its own that is twice the right one": BadGradient;
    loss "loss_exits" "ends the process": Exits;
    loss "loss_aborts" "crashes the process": Aborts;
    loss "loss_hangs" "never comes back": Hangs;
    scheduler "scheduler_nan" "ends in a rate that is not a number": SchedulerNan;
    scheduler "scheduler_forgets" "has a state and does not save it": SchedulerForgets;
    augmentation "augmentation_outside" "moves boxes off the canvas": Outside;
    augmentation "augmentation_random" "brightens by random numbers of its own": RandomLight;
    exporter "exporter_litters" "leaves a file behind": ExporterLitters
}
