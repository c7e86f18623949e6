//! The functions of `libtrainer_cuda.so`, as csrc/cuda/table.h has them.

#![allow(unsafe_code)] // functions of another library

use anyhow::Result;
use trainer_sdk::abi::{Opaque, Sink, Status};

use crate::torch::failure;

/// Of a GPU.
#[repr(C)]
#[derive(Default)]
pub(super) struct Properties {
    pub major: i32,
    pub minor: i32,
    pub processors: i32,
    pub memory: u64,
}

/// Bytes of a GPU.
#[repr(C)]
#[derive(Default)]
pub(super) struct Memory {
    pub free: u64,
    pub total: u64,
    pub allocated: u64,
    pub allocated_peak: u64,
    pub reserved: u64,
    pub reserved_peak: u64,
}

/// All functions; handles are the library's own objects.
#[repr(C)]
pub(super) struct Table {
    pub size: usize,

    pub count: unsafe extern "C" fn(*mut i32, Sink) -> Status,
    pub properties: unsafe extern "C" fn(i32, *mut Properties, Sink, Sink) -> Status,
    pub synchronize: unsafe extern "C" fn(i32, Sink) -> Status,
    pub use_device: unsafe extern "C" fn(i32, Sink) -> Status,

    pub memory: unsafe extern "C" fn(i32, *mut Memory, Sink) -> Status,
    pub reset_peak: unsafe extern "C" fn(i32, Sink) -> Status,
    pub empty_cache: unsafe extern "C" fn(Sink) -> Status,
    pub set_fraction: unsafe extern "C" fn(i32, f64, Sink) -> Status,

    pub stream_new: unsafe extern "C" fn(i32, bool, *mut Opaque, Sink) -> Status,
    pub stream_free: unsafe extern "C" fn(Opaque),
    pub stream_current: unsafe extern "C" fn(i32, *mut Opaque, Sink) -> Status,
    pub stream_make_current: unsafe extern "C" fn(Opaque, Sink) -> Status,
    pub stream_synchronize: unsafe extern "C" fn(Opaque, Sink) -> Status,
    pub stream_wait: unsafe extern "C" fn(Opaque, Opaque, Sink) -> Status,
    pub stream_record: unsafe extern "C" fn(Opaque, Opaque, Sink) -> Status,
    pub event_new: unsafe extern "C" fn(bool, *mut Opaque, Sink) -> Status,
    pub event_free: unsafe extern "C" fn(Opaque),
    pub event_record: unsafe extern "C" fn(Opaque, Opaque, Sink) -> Status,
    pub event_is_done: unsafe extern "C" fn(Opaque, *mut bool, Sink) -> Status,
    pub event_synchronize: unsafe extern "C" fn(Opaque, Sink) -> Status,
    pub event_elapsed: unsafe extern "C" fn(Opaque, Opaque, *mut f64, Sink) -> Status,

    pub graph_new: unsafe extern "C" fn(*mut Opaque, Sink) -> Status,
    pub graph_free: unsafe extern "C" fn(Opaque),
    pub graph_register_generator: unsafe extern "C" fn(Opaque, i32, Sink) -> Status,
    pub graph_begin: unsafe extern "C" fn(Opaque, Opaque, Sink) -> Status,
    pub graph_end: unsafe extern "C" fn(Opaque, Sink) -> Status,
    pub graph_replay: unsafe extern "C" fn(Opaque, Sink) -> Status,
}

impl Table {
    /// Makes one call; what it says of a failure becomes the error.
    pub(super) fn call(&self, call: impl FnOnce(&Self, Sink) -> Status) -> Result<()> {
        let mut error = Vec::new();
        let status = call(self, Sink::to(&mut error));
        failure(status, &error)
    }
}
