//! The host's side of `trainer.tensor/1`, implemented in csrc: a handle is an `at::Tensor*`, which is also what tch holds.

#![allow(unsafe_code)] // C++ functions, and handles that change hands

use std::sync::OnceLock;

use tch::Tensor;
use trainer_sdk::abi::{Opaque, Sink, Status, Str, TensorInfo, TensorTable, Value};

unsafe extern "C" {
    fn trainer_tensor_retain(tensor: Opaque) -> Opaque;
    fn trainer_tensor_release(tensor: Opaque);
    fn trainer_tensor_describe(tensor: Opaque, info: *mut TensorInfo);
    fn trainer_tensor_from_bytes(
        dtype: i32,
        sizes: *const i64,
        num_sizes: usize,
        bytes: Str,
        tensor: *mut Opaque,
        error: Sink,
    ) -> Status;
    fn trainer_tensor_to_bytes(tensor: Opaque, out: Sink, error: Sink) -> Status;
    fn trainer_operator_find(name: Str, overload: Str) -> *const ();
    fn trainer_operator_call(
        operator: *const (),
        arguments: *const Value,
        num_arguments: usize,
        results: *mut Value,
        capacity: usize,
        num_results: *mut usize,
        error: Sink,
    ) -> Status;
}

/// The table that built-ins and plugins use.
pub(super) static TABLE: TensorTable = TensorTable {
    retain: trainer_tensor_retain,
    release: trainer_tensor_release,
    describe: trainer_tensor_describe,
    find: trainer_operator_find,
    call: trainer_operator_call,
    from_bytes: trainer_tensor_from_bytes,
    to_bytes: trainer_tensor_to_bytes,
};

/// A table in front of the trainer's own; see [`install_in_front`].
static FRONT: OnceLock<TensorTable> = OnceLock::new();

fn table() -> &'static TensorTable {
    FRONT.get().unwrap_or(&TABLE)
}

/// Makes tensors available to built-ins and to plugins that are loaded later.
pub fn install() {
    // SAFETY: csrc/tensor.cpp and csrc/dispatch.cpp implement the table.
    unsafe { trainer_sdk::export::install_tensors(table()) };
}

/// As [`install`], with a table that watches the trainer's own: `make` gets that one and forwards to it.
///
/// # Panics
/// If the trainer's own table is installed already.
///
/// # Safety
/// The table that `make` returns must do what the given one does.
pub unsafe fn install_in_front(make: impl FnOnce(&'static TensorTable) -> TensorTable) {
    FRONT.get_or_init(|| make(&TABLE));
    install();
}

/// The tensor as plugins see it: the same storage and the same gradients.
#[must_use]
pub fn to_sdk(tensor: &Tensor) -> trainer_sdk::Tensor {
    install();
    // SAFETY: tch holds a live at::Tensor*; the further reference is handed over.
    unsafe { trainer_sdk::Tensor::from_raw((table().retain)(tensor.as_ptr().cast_mut().cast())) }
}

/// The tensor as the trainer sees it.
#[must_use]
pub fn from_sdk(tensor: &trainer_sdk::Tensor) -> Tensor {
    // SAFETY: the handle is a live at::Tensor*; the clone takes its own reference.
    unsafe { Tensor::clone_from_ptr(tensor.raw().cast()) }
}
