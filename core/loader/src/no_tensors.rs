//! A tensor table that refuses every call, for processes without libtorch: what is tried out may not use tensors.

#![allow(unsafe_code)] // the host's side of trainer-abi

use trainer_sdk::abi::{Opaque, Sink, Status, Str, TensorInfo, TensorTable, Value};

static TABLE: TensorTable = TensorTable { retain, release, describe, find, call, from_bytes, to_bytes };

/// Makes a tensor table known to plugins that refuses every call; for `trainer-probe` and for tests.
///
/// # Panics
/// If this process has another table.
pub fn install_no_tensors() {
    // SAFETY: the functions below refuse what trainer-abi lets them refuse.
    unsafe { trainer_sdk::export::install_tensors(&TABLE) }
}

fn refuse(error: Sink) -> Status {
    // SAFETY: the sink lives for the call.
    unsafe { error.put(b"construction and load use no tensors: leave them to the first call") };
    Status::UNSUPPORTED
}

unsafe extern "C" fn retain(tensor: Opaque) -> Opaque {
    tensor
}

unsafe extern "C" fn release(_: Opaque) {}

unsafe extern "C" fn describe(_: Opaque, info: *mut TensorInfo) {
    let sizes = std::ptr::null();
    let nothing = TensorInfo { dtype: 0, requires_grad: 0, device_type: 0, device_index: -1, sizes, num_sizes: 0 };
    // SAFETY: `info` is the caller's to be written.
    unsafe { *info = nothing }
}

unsafe extern "C" fn find(_: Str, _: Str) -> *const () {
    // Not null, which would say that libtorch lacks the operator: `call` gives the true reason.
    std::ptr::from_ref(&TABLE).cast()
}

unsafe extern "C" fn call(
    _: *const (),
    _: *const Value,
    _: usize,
    _: *mut Value,
    _: usize,
    _: *mut usize,
    error: Sink,
) -> Status {
    refuse(error)
}

unsafe extern "C" fn from_bytes(_: i32, _: *const i64, _: usize, _: Str, _: *mut Opaque, error: Sink) -> Status {
    refuse(error)
}

unsafe extern "C" fn to_bytes(_: Opaque, _: Sink, error: Sink) -> Status {
    refuse(error)
}
