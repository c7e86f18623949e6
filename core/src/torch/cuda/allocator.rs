//! The caching allocator of a GPU as [`Allocator`]. What cannot be asked for counts as nothing: whoever asks has the GPU
//! open, so that it can.

use std::sync::OnceLock;

use anyhow::{Result, ensure};

use super::{Memory, empty_cache, open, reset_peak, set_fraction};
use crate::torch::Allocator;

/// So many GPUs can be asked about.
const GPUS: usize = 16;

struct Gpu(usize);

/// The allocator of GPU `index`.
///
/// # Errors
/// If there is none of that number.
pub fn allocator(index: usize) -> Result<&'static dyn Allocator> {
    static ALL: OnceLock<[Gpu; GPUS]> = OnceLock::new();
    let count = open()?.count.min(GPUS);
    ensure!(index < count, "there is no GPU {index}, only {count} of them, from 0");
    Ok(&ALL.get_or_init(|| std::array::from_fn(Gpu))[index])
}

impl Gpu {
    fn memory(&self) -> Option<Memory> {
        Memory::of(self.0).ok()
    }
}

impl Allocator for Gpu {
    fn allocated(&self) -> u64 {
        self.memory().map_or(0, |memory| memory.allocated)
    }

    fn peak(&self) -> u64 {
        self.memory().map_or(0, |memory| memory.allocated_peak)
    }

    fn reset_peak(&self) {
        let _ = reset_peak(self.0);
    }

    /// The driver's own granularity applies, and what other processes hold does not count.
    fn set_limit(&self, bytes: Option<u64>) {
        let total = self.memory().map_or(0, |memory| memory.total).max(1);
        let share = bytes.map_or(1.0, |bytes| (bytes as f64 / total as f64).clamp(f64::MIN_POSITIVE, 1.0));
        let _ = set_fraction(self.0, share);
    }

    fn release_unused(&self) {
        let _ = empty_cache();
    }
}
