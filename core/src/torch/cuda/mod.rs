//! What is for GPUs alone: their properties and memory, streams, events, graphs. All of it lies in a library of its own
//! (csrc/cuda, `libtrainer_cuda.so`), which is opened where a GPU is wanted, so that one program serves machines with and
//! without.

#![allow(unsafe_code)] // functions of our library for GPUs

mod allocator;
mod graph;
mod library;
mod memory;
mod stream;
mod table;

use std::{path::PathBuf, sync::OnceLock};

use anyhow::{Result, anyhow};
use trainer_sdk::abi::Sink;

pub use allocator::allocator;
pub use graph::{Capture, Graph};
pub use library::has_gpu;
pub use memory::{Memory, empty_cache, reset_peak, set_fraction};
pub use stream::{Current, Event, Stream};
use table::Table;

/// The libraries for GPUs are open, and there is at least one GPU.
pub struct Cuda {
    table: &'static Table,
    /// How many GPUs there are.
    pub count: usize,
    /// libtorch's library for GPUs.
    pub libtorch: PathBuf,
}

/// What a GPU is.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Properties {
    /// Such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Compute capability.
    pub capability: (i32, i32),
    /// Streaming multiprocessors.
    pub processors: i32,
    /// Bytes of memory.
    pub memory: u64,
}

/// Opens the libraries for GPUs, once. Must come before anything else asks libtorch about GPUs: it remembers for good that
/// there are none.
///
/// # Errors
/// Which library is missing and how to install it, or that there is no GPU or no driver.
pub fn open() -> Result<&'static Cuda> {
    static OPEN: OnceLock<Result<Cuda, String>> = OnceLock::new();
    OPEN.get_or_init(|| library::open().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|message| anyhow!("{message}"))
}

impl Cuda {
    /// What GPU `index` is.
    ///
    /// # Errors
    /// If there is none of that number.
    pub fn properties(&self, index: usize) -> Result<Properties> {
        let (mut found, mut name) = (table::Properties::default(), Vec::new());
        // SAFETY: the place and the name outlive the call.
        self.table.call(|table, error| unsafe {
            (table.properties)(index as i32, &raw mut found, Sink::to(&mut name), error)
        })?;
        Ok(Properties {
            name: String::from_utf8_lossy(&name).into_owned(),
            capability: (found.major, found.minor),
            processors: found.processors,
            memory: found.memory,
        })
    }

    /// Waits until GPU `index` has done everything that it was given.
    ///
    /// # Errors
    /// What went wrong there meanwhile.
    pub fn synchronize(&self, index: usize) -> Result<()> {
        // SAFETY: takes a number.
        self.table.call(|table, error| unsafe { (table.synchronize)(index as i32, error) })
    }

    /// This thread works on GPU `index` from now on.
    ///
    /// # Errors
    /// If there is none of that number.
    pub fn use_device(&self, index: usize) -> Result<()> {
        // SAFETY: takes a number.
        self.table.call(|table, error| unsafe { (table.use_device)(index as i32, error) })
    }
}
