//! Where the tensors live.

use anyhow::{Result, bail};
use tch::Device;

/// Reads a device as people type it.
///
/// # Errors
/// If this version cannot train there; the message says where it can.
pub fn parse(name: &str) -> Result<Device> {
    match name {
        "cpu" | "" | "None" => Ok(Device::Cpu),
        _ => bail!("device={name} is not offered by this version of the trainer yet; use device=cpu"),
    }
}

/// Whether a GPU computes bfloat16 natively (compute capability 8.0 and above); `false` for the CPU.
#[must_use]
pub fn has_bf16(device: Device) -> bool {
    let _ = device; // there is only the CPU yet
    false
}
