//! What is common to measurements on any device.

use tch::{Device, Kind};

use crate::torch::{Allocator, allocator};

/// The name that people know a type by.
pub(super) fn dtype(kind: Kind) -> &'static str {
    match kind {
        Kind::Float => "float32",
        Kind::BFloat16 => "bfloat16",
        Kind::Half => "float16",
        Kind::Double => "float64",
        _ => "another type",
    }
}

/// The middle one of some numbers; 0 of none.
pub(super) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// Counts the bytes that tensors take from now on.
pub(super) struct Meter {
    allocator: Option<&'static dyn Allocator>,
    start: u64,
}

impl Meter {
    pub(super) fn start(device: Device) -> Self {
        let allocator = allocator(device).ok();
        allocator.inspect(|allocator| allocator.reset_peak());
        Self { allocator, start: allocator.map_or(0, Allocator::allocated) }
    }

    /// The most bytes since the start, above those that were held then; none where nobody counts.
    pub(super) fn peak(&self) -> Option<u64> {
        Some(self.allocator?.peak().saturating_sub(self.start))
    }
}
