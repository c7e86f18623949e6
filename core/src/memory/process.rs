//! The memory of the process, and the limit on that of its tensors.

use std::fs;

use anyhow::Result;
use tch::Device;

use super::bytes::Bytes;
use crate::torch::{Allocator, allocator};

/// The most bytes that were in use at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peaks {
    /// By tensors on the device, since the run began to train.
    pub tensors: Option<u64>,
    /// By the whole process, since it started; what the system calls the high water mark of its resident set.
    pub process: Option<u64>,
}

impl Peaks {
    /// Up to now.
    #[must_use]
    pub fn now(device: Device) -> Self {
        Self { tensors: allocator(device).ok().map(Allocator::peak), process: status("VmHWM:") }
    }
}

/// The bytes of the process that are in memory now, 0 where the system does not tell.
pub(super) fn resident() -> u64 {
    status("VmRSS:").unwrap_or(0)
}

/// A figure of /proc/self/status, in bytes.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * line.split_whitespace().next()?.parse::<u64>().ok()?)
}

/// A limit on the bytes of tensors on a device, until it is dropped.
#[must_use]
pub struct Limit {
    allocator: &'static dyn Allocator,
    /// What tensors may hold.
    pub bytes: Bytes,
}

impl Limit {
    /// From now on.
    ///
    /// # Errors
    /// If nobody counts on the device.
    pub fn set(device: Device, bytes: u64) -> Result<Self> {
        let allocator = allocator(device)?;
        allocator.set_limit(Some(bytes));
        Ok(Self { allocator, bytes: Bytes(bytes) })
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        self.allocator.set_limit(None);
    }
}
