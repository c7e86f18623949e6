//! `trainer.exporter/1`: a trained model in, files of another format out.

use abi_stable::StableAbi;

use crate::{Opaque, Sink, Status, Str};

/// The id of [`ExporterTable`].
pub const EXPORTER: &str = "trainer.exporter/1";

/// One exporter. All functions run on the main thread while no training does.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ExporterTable {
    /// Makes an instance from its options (JSON, checked against the schema before).
    pub create: unsafe extern "C" fn(options: Str, instance: *mut Opaque, error: Sink) -> Status,
    /// Ends an instance.
    pub destroy: unsafe extern "C" fn(instance: Opaque),
    /// What the model was trained in (a JSON object, see `ReadyContext` of the SDK); once, after `create`.
    pub ready: unsafe extern "C" fn(instance: Opaque, run: Str, error: Sink) -> Status,
    /// Writes what it can make: a JSON array of objects with `name`, `extension` and `doc`.
    pub formats: unsafe extern "C" fn(instance: Opaque, out: Sink, error: Sink) -> Status,
    /// Writes the model to `path` and says what was written: a JSON array of objects with `path` and `doc`.
    pub export: unsafe extern "C" fn(
        instance: Opaque,
        model: Model,
        path: Str,
        context: *const ExportContext,
        artifacts: Sink,
        error: Sink,
    ) -> Status,
    /// Writes the state that a later export can use; nothing where there is none.
    pub save: unsafe extern "C" fn(instance: Opaque, out: Sink, error: Sink) -> Status,
    /// Takes back what `save` wrote (`state` is bytes).
    pub load: unsafe extern "C" fn(instance: Opaque, state: Str, error: Sink) -> Status,
}

/// What is asked for.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ExportContext {
    /// The name of one of the exporter's formats.
    pub format: Str,
    /// The side of the square network input, in pixels.
    pub imgsz: u32,
    /// Images in a batch.
    pub batch: u32,
}

/// A host object: the model that is exported.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Model {
    /// Passed to every function of the table.
    pub object: Opaque,
    /// The functions; valid as long as the object.
    pub table: *const ModelTable,
}

/// What an exporter may ask of a model.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ModelTable {
    /// Writes a JSON object: model, names, imgsz, epoch, map50_95, version.
    pub metadata: unsafe extern "C" fn(object: Opaque, out: Sink, error: Sink) -> Status,
    /// Writes the names of the tensors, one a line, in order.
    pub names: unsafe extern "C" fn(object: Opaque, out: Sink),
    /// Fills in the named tensor; its pointers are valid as long as the model.
    pub tensor: unsafe extern "C" fn(object: Opaque, name: Str, out: *mut TensorData, error: Sink) -> Status,
    /// Writes the network as ONNX. `options` is a JSON object (half, dynamic, opset, nms).
    pub onnx: unsafe extern "C" fn(object: Opaque, options: Str, out: Sink, error: Sink) -> Status,
    /// Fills in the next calibration batch: float images (B, 3, H, W) in 0..1, valid until the next call; no dimensions
    /// after the last. Fails where the export was given no data.
    pub calibration: unsafe extern "C" fn(object: Opaque, out: *mut TensorData, error: Sink) -> Status,
}

/// A tensor in the host's memory, row-major, in native byte order.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct TensorData {
    /// A [`Dtype`](crate::Dtype) code.
    pub dtype: i32,
    /// Number of dimensions.
    pub num_sizes: u32,
    /// The sizes of all dimensions.
    pub sizes: *const i64,
    /// The elements (bytes).
    pub bytes: Str,
}
