//! The host's side of `trainer.tensor/1`, implemented in csrc: a handle is an `at::Tensor*`, which is also what tch holds.

#![allow(unsafe_code)] // C++ functions, and handles that change hands

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

/// Makes tensors available to built-ins and to plugins that are loaded later.
pub fn install() {
    // SAFETY: csrc/tensor.cpp and csrc/dispatch.cpp implement the table.
    unsafe { trainer_sdk::export::install_tensors(&TABLE) };
}

/// The tensor as plugins see it: the same storage and the same gradients.
#[must_use]
pub fn to_sdk(tensor: &Tensor) -> trainer_sdk::Tensor {
    install();
    let mut shared = std::mem::ManuallyDrop::new(tensor.shallow_clone());
    // SAFETY: the clone's reference is handed over and not released here.
    unsafe { trainer_sdk::Tensor::from_raw(shared.as_mut_ptr().cast()) }
}

/// The tensor as the trainer sees it.
#[must_use]
pub fn from_sdk(tensor: &trainer_sdk::Tensor) -> Tensor {
    // SAFETY: the handle is a live at::Tensor*; the clone takes its own reference.
    unsafe { Tensor::clone_from_ptr(tensor.raw().cast()) }
}
