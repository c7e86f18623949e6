//! What tch lacks: any ATen operator by name, and tensors as plugins see them.

mod allocator;
pub mod attention;
mod autocast;
mod context;
mod conv;
pub mod cuda;
pub mod libraries;
mod memory;
mod operator;
mod region;
mod table;

pub use allocator::{Allocator, Cpu, allocator};
pub use autocast::Autocast;
pub use context::{Determinism, Libtorch, RandomState, Tf32};
pub use conv::{Conv, Norm, Source};
pub use memory::{buffers, images};
pub use operator::{Arg, Operator};
pub use region::region;
pub use table::{from_sdk, install, install_in_front, to_sdk};

use anyhow::{Result, bail};
use tch::{Device, Tensor};
use trainer_sdk::abi::Status;

/// The same values with channels innermost in memory (NHWC), the layout that oneDNN and cuDNN want. 4-d tensors only.
///
/// # Errors
/// If the tensor is not 4-d.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    const CHANNELS_LAST: i64 = 2; // c10::MemoryFormat
    Operator::find("aten::contiguous", "")?.one(&[Arg::Tensor(tensor), Arg::MemoryFormat(CHANNELS_LAST)])
}

/// A device's type and number as libtorch has them.
fn device_parts(device: Device) -> (i32, i32) {
    match device {
        Device::Cpu => (0, -1), // c10::DeviceType
        Device::Cuda(index) => (1, index as i32),
        Device::Mps => (13, 0),
        Device::Vulkan => (10, 0),
    }
}

/// What a call into C++ says of itself.
fn failure(status: Status, error: &[u8]) -> Result<()> {
    match status {
        Status::OK => Ok(()),
        _ => bail!("{}", String::from_utf8_lossy(error).trim_end()),
    }
}
