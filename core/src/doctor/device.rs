//! What is common to measurements on any device.

use anyhow::Result;
use tch::{Device, Kind};

use crate::torch::cuda;

/// Waits until the device has done everything.
///
/// # Errors
/// What went wrong there meanwhile.
pub(super) fn synchronize(device: Device) -> Result<()> {
    match device {
        Device::Cuda(index) => cuda::open()?.synchronize(index),
        _ => Ok(()),
    }
}

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
    device: Device,
    start: Option<u64>,
}

impl Meter {
    pub(super) fn start(device: Device) -> Self {
        let start = match device {
            Device::Cuda(index) => {
                cuda::reset_peak(index).and_then(|()| cuda::Memory::of(index)).ok().map(|memory| memory.allocated)
            }
            _ => None,
        };
        Self { device, start }
    }

    /// The most bytes since the start, above those that were held then; none where nobody counts.
    pub(super) fn peak(&self) -> Option<u64> {
        let peak = match self.device {
            Device::Cuda(index) => cuda::Memory::of(index).ok()?.allocated_peak,
            _ => return None,
        };
        Some(peak.saturating_sub(self.start?))
    }
}
