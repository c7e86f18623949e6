//! `trainer.loss/1`: what a loss implements.

use abi_stable::StableAbi;

use crate::{Fields, Opaque, Parameters, Sink, Status, Str};

/// The id of [`LossTable`].
pub const LOSS: &str = "trainer.loss/1";

/// One loss. All functions run on the training thread, one at a time per instance.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct LossTable {
    /// Makes an instance from its options (JSON, checked against the schema before). Uses no tensors.
    pub create: unsafe extern "C" fn(options: Str, instance: *mut Opaque, error: Sink) -> Status,
    /// Ends an instance.
    pub destroy: unsafe extern "C" fn(instance: Opaque),
    /// What the run is like (a JSON object, see `ReadyContext` of the SDK); once, after `create`.
    pub ready: unsafe extern "C" fn(instance: Opaque, run: Str, error: Sink) -> Status,
    /// Pass 1, gradients off: may change class targets.
    pub targets:
        unsafe extern "C" fn(instance: Opaque, targets: Fields, context: *const LossContext, error: Sink) -> Status,
    /// Pass 2: may add, replace and drop terms.
    pub terms: unsafe extern "C" fn(
        instance: Opaque,
        terms: Fields,
        predictions: Fields,
        targets: Fields,
        context: *const LossContext,
        error: Sink,
    ) -> Status,
    /// Writes the state that a checkpoint must hold; nothing where there is none.
    pub save: unsafe extern "C" fn(instance: Opaque, out: Sink, error: Sink) -> Status,
    /// Takes back what `save` wrote (`state` is bytes).
    pub load: unsafe extern "C" fn(instance: Opaque, state: Str, error: Sink) -> Status,
}

/// Where in the run a loss is called.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct LossContext {
    /// The current epoch, from 0.
    pub epoch: u64,
    /// Epochs of the run.
    pub epochs: u64,
    /// Batches seen since the start of the run.
    pub step: u64,
    /// Height of the network input in pixels.
    pub height: u32,
    /// Width of the network input in pixels.
    pub width: u32,
    /// Number of classes.
    pub num_classes: u32,
    /// Number of images in the batch, the length of `image_ids`.
    pub num_images: u32,
    /// 1 while the network learns from the batch, 0 in validation, where no state may move.
    pub is_training: u32,
    /// Stable ids of the batch's images (their index in the data set).
    pub image_ids: *const u64,
    /// The network's predictions (read only).
    pub predictions: Fields,
    /// The instance's trainable parameters.
    pub parameters: Parameters,
}
