//! The memory of a GPU: what the driver says of all processes, and what this one's allocator holds and keeps.

#![allow(unsafe_code)] // functions of our library for GPUs

use anyhow::Result;

use super::{open, table};

/// Bytes of one GPU at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Free for any process.
    pub free: u64,
    /// That the GPU has.
    pub total: u64,
    /// Held by this process's tensors.
    pub allocated: u64,
    /// The most of it since the last [`reset_peak`].
    pub allocated_peak: u64,
    /// Held by this process's allocator, tensors included.
    pub reserved: u64,
    /// The most of it since the last [`reset_peak`].
    pub reserved_peak: u64,
}

impl Memory {
    /// Of GPU `index`, now.
    ///
    /// # Errors
    /// If there is none of that number.
    pub fn of(index: usize) -> Result<Self> {
        let mut found = table::Memory::default();
        // SAFETY: the place outlives the call.
        open()?.table.call(|table, error| unsafe { (table.memory)(index as i32, &raw mut found, error) })?;
        let table::Memory { free, total, allocated, allocated_peak, reserved, reserved_peak } = found;
        Ok(Self { free, total, allocated, allocated_peak, reserved, reserved_peak })
    }
}

/// The peaks of GPU `index` start anew from its present bytes.
///
/// # Errors
/// If there is none of that number.
pub fn reset_peak(index: usize) -> Result<()> {
    // SAFETY: takes a number.
    open()?.table.call(|table, error| unsafe { (table.reset_peak)(index as i32, error) })
}

/// Gives what this process's allocator keeps for reuse back, of all GPUs.
///
/// # Errors
/// If there is no GPU.
pub fn empty_cache() -> Result<()> {
    // SAFETY: takes nothing.
    open()?.table.call(|table, error| unsafe { (table.empty_cache)(error) })
}

/// This process may hold that share (0 to 1) of the memory of GPU `index`; more is out of memory.
///
/// # Errors
/// A share outside 0 to 1, or no GPU of that number.
pub fn set_fraction(index: usize, share: f64) -> Result<()> {
    // SAFETY: takes numbers.
    open()?.table.call(|table, error| unsafe { (table.set_fraction)(index as i32, share, error) })
}
