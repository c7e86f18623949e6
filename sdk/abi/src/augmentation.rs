//! `trainer.augmentation/1`: a sample in, a changed sample out, on loader threads.

use abi_stable::StableAbi;

use crate::{Opaque, Sample, Sink, Status, Str};

/// The id of [`AugmentationTable`].
pub const AUGMENTATION: &str = "trainer.augmentation/1";

/// One augmentation. `create`, `ready` and `destroy` run on the main thread; `partners` and `apply` on loader threads,
/// several at once on one instance.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AugmentationTable {
    /// Makes an instance from its options (JSON, checked against the schema before). Uses no tensors.
    pub create: unsafe extern "C" fn(options: Str, instance: *mut Opaque, error: Sink) -> Status,
    /// Ends an instance.
    pub destroy: unsafe extern "C" fn(instance: Opaque),
    /// What the run is like (a JSON object, see `ReadyContext` of the SDK); once, after `create`.
    pub ready: unsafe extern "C" fn(instance: Opaque, run: Str, error: Sink) -> Status,
    /// How many further samples `apply` needs; always the same number.
    pub partners: unsafe extern "C" fn(instance: Opaque) -> u32,
    /// Changes `sample` in place; the partners may be taken apart.
    pub apply: unsafe extern "C" fn(
        instance: Opaque,
        sample: Sample,
        partners: *const Sample,
        num_partners: usize,
        context: *const AugmentContext,
        error: Sink,
    ) -> Status,
}

/// What an augmentation may know about the run.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AugmentContext {
    /// The current epoch, from 0.
    pub epoch: u64,
    /// Epochs of the run.
    pub epochs: u64,
    /// The only source of randomness: one number for (run seed, epoch, sample, stage). Seed a generator with it.
    pub seed: u64,
    /// The side of the square network input, in pixels.
    pub imgsz: u32,
}
