//! What tch lacks: any ATen operator by name, tensors as plugins see them, memory as it is counted, steps taken back.

mod allocator;
mod conv;
mod memory;
mod operator;
mod region;
mod table;
mod undo;

pub use allocator::{Allocator, Cpu, allocator};
pub use conv::{Conv, Norm, Source};
pub use memory::{buffers, images};
pub use operator::{Arg, Operator};
pub use region::region;
pub use table::{from_sdk, install, install_in_front, to_sdk};
pub use undo::{RandomState, put_gradient, take_gradient};

use anyhow::Result;
use tch::Tensor;

/// The same values with channels innermost in memory (NHWC), the layout that oneDNN and cuDNN want. 4-d tensors only.
///
/// # Errors
/// If the tensor is not 4-d.
pub fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    const CHANNELS_LAST: i64 = 2; // c10::MemoryFormat
    Operator::find("aten::contiguous", "")?.one(&[Arg::Tensor(tensor), Arg::MemoryFormat(CHANNELS_LAST)])
}
