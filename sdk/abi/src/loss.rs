//! `trainer.loss/1`: what a loss implements, and the named tensors that it reads and writes.

use abi_stable::StableAbi;

use crate::{Opaque, Sink, Status, Str};

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
    /// Stable ids of the batch's images (their index in the data set).
    pub image_ids: *const u64,
    /// The network's predictions (read only).
    pub predictions: Fields,
}

/// A host object that holds named tensors.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Fields {
    /// Passed to every function of the table.
    pub object: Opaque,
    /// The functions; valid as long as the object.
    pub table: *const FieldsTable,
}

/// Reading and writing named tensors.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FieldsTable {
    /// Writes the names, one a line, in order.
    pub names: unsafe extern "C" fn(object: Opaque, out: Sink),
    /// A new reference to the named tensor; computes it if it was only offered.
    pub get: unsafe extern "C" fn(object: Opaque, name: Str, tensor: *mut Opaque, error: Sink) -> Status,
    /// Puts a tensor (borrowed) under the name; refused where the field is read-only or its shape is fixed.
    pub set: unsafe extern "C" fn(object: Opaque, name: Str, tensor: Opaque, error: Sink) -> Status,
    /// Puts a computation under the name, run only if somebody asks. Takes the thunk over, also when it fails.
    pub offer: unsafe extern "C" fn(object: Opaque, name: Str, thunk: Thunk, error: Sink) -> Status,
    /// Takes the name out.
    pub remove: unsafe extern "C" fn(object: Opaque, name: Str, error: Sink) -> Status,
}

/// A computation that is run at most once.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Thunk {
    /// Passed to both functions.
    pub state: Opaque,
    /// Computes the tensor (a new reference).
    pub call: unsafe extern "C" fn(state: Opaque, tensor: *mut Opaque, error: Sink) -> Status,
    /// Ends `state`; called once, whether or not `call` was.
    pub destroy: unsafe extern "C" fn(state: Opaque),
}
