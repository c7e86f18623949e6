//! Samples and models that fail on demand: the trainer's own behind tables that count every call.

#![allow(unsafe_code)] // tables in front of the trainer's own

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use trainer_sdk::{
    Model, Sample,
    abi::{self, ModelTable, Opaque, Pixels, SampleTable, Sink, Status, Str, TensorData},
};

use super::faults;

static SAMPLES: OnceLock<SampleTable> = OnceLock::new();
static SAMPLES_IN_FRONT: OnceLock<SampleTable> = OnceLock::new();
static MODELS: OnceLock<ModelTable> = OnceLock::new();
static MODELS_IN_FRONT: OnceLock<ModelTable> = OnceLock::new();

/// Whether a model was asked for its network, which it does not have.
static NETWORK_ASKED: AtomicBool = AtomicBool::new(false);

/// Whether a model was asked for its network, since this was last asked.
pub fn take_network_asked() -> bool {
    NETWORK_ASKED.swap(false, Ordering::SeqCst)
}

/// A view of the same sample whose calls may fail. Reading objects does not: the SDK has no error for it.
pub fn sample(inner: Sample<'_>) -> Sample<'_> {
    let raw = inner.raw();
    // SAFETY: the table lives for the process; the view lives as long as the inner one, which is given up.
    unsafe {
        let own = SAMPLES.get_or_init(|| *raw.table);
        let table = SAMPLES_IN_FRONT.get_or_init(|| SampleTable { set_objects, warp, paste, recolor, pixels, ..*own });
        Sample::from_raw(abi::Sample { object: raw.object, table })
    }
}

/// A view of the same model whose calls may fail.
pub fn model(inner: Model<'_>) -> Model<'_> {
    let raw = inner.raw();
    // SAFETY: as above.
    unsafe {
        let own = MODELS.get_or_init(|| *raw.table);
        let table = MODELS_IN_FRONT.get_or_init(|| ModelTable { metadata, tensor, onnx, calibration, ..*own });
        Model::from_raw(abi::Model { object: raw.object, table })
    }
}

fn samples() -> &'static SampleTable {
    SAMPLES.get().expect("set before the table was handed out")
}

fn models() -> &'static ModelTable {
    MODELS.get().expect("set before the table was handed out")
}

/// Fails if it is this call's turn, else forwards it.
fn unless_due(name: &str, error: Sink, forward: impl FnOnce() -> Status) -> Status {
    if !faults::is_due(|| name.to_owned()) {
        return forward();
    }
    // SAFETY: the sink lives for the call.
    unsafe { error.put(faults::WORDS.as_bytes()) };
    Status::FAILED
}

unsafe extern "C" fn set_objects(object: Opaque, objects: *const abi::Object, count: usize, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("set_objects", error, || unsafe { (samples().set_objects)(object, objects, count, error) })
}

unsafe extern "C" fn warp(object: Opaque, matrix: *const f64, width: u32, height: u32, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("warp", error, || unsafe { (samples().warp)(object, matrix, width, height, error) })
}

unsafe extern "C" fn paste(object: Opaque, other: Opaque, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("paste", error, || unsafe { (samples().paste)(object, other, error) })
}

unsafe extern "C" fn recolor(object: Opaque, h: f32, s: f32, v: f32, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("recolor", error, || unsafe { (samples().recolor)(object, h, s, v, error) })
}

unsafe extern "C" fn pixels(object: Opaque, out: *mut Pixels, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("pixels", error, || unsafe { (samples().pixels)(object, out, error) })
}

unsafe extern "C" fn metadata(object: Opaque, out: Sink, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("metadata", error, || unsafe { (models().metadata)(object, out, error) })
}

unsafe extern "C" fn tensor(object: Opaque, name: Str, out: *mut TensorData, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("tensor", error, || unsafe { (models().tensor)(object, name, out, error) })
}

unsafe extern "C" fn onnx(_: Opaque, _: Str, _: Sink, error: Sink) -> Status {
    NETWORK_ASKED.store(true, Ordering::SeqCst);
    // SAFETY: the sink lives for the call.
    unsafe { error.put(b"the small model of this check has no network to write as ONNX") };
    Status::UNSUPPORTED
}

unsafe extern "C" fn calibration(object: Opaque, out: *mut TensorData, error: Sink) -> Status {
    // SAFETY: forwarded as it is.
    unless_due("calibration", error, || unsafe { (models().calibration)(object, out, error) })
}
