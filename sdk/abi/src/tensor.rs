//! `trainer.tensor/1`: tensors of the host, and one function that calls any ATen operator on them.

use abi_stable::StableAbi;

use crate::{Opaque, Sink, Status, Str};

/// The id of [`TensorTable`].
pub const TENSOR: &str = "trainer.tensor/1";

/// Tensors are opaque, reference-counted handles. Operators run on the calling thread, in the grad mode and on the
/// device stream that the host has set; results are new references that the caller releases.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct TensorTable {
    /// A further reference to the same tensor.
    pub retain: unsafe extern "C" fn(tensor: Opaque) -> Opaque,
    /// Gives one reference back.
    pub release: unsafe extern "C" fn(tensor: Opaque),
    /// Fills in `info`; `info.sizes` stays valid as long as the tensor.
    pub describe: unsafe extern "C" fn(tensor: Opaque, info: *mut TensorInfo),
    /// An operator by name and overload (`aten::sum`, `dim_IntList`); null where libtorch has none. Lives for the process.
    pub find: unsafe extern "C" fn(name: Str, overload: Str) -> *const (),
    /// Calls an operator. Missing trailing arguments take the schema's defaults. At most `capacity` results are
    /// written, lists of tensors one by one; `num_results` tells how many there are.
    pub call: unsafe extern "C" fn(
        operator: *const (),
        arguments: *const Value,
        num_arguments: usize,
        results: *mut Value,
        capacity: usize,
        num_results: *mut usize,
        error: Sink,
    ) -> Status,
    /// A new CPU tensor of `sizes` that holds a copy of `bytes` (row-major, native byte order).
    pub from_bytes: unsafe extern "C" fn(
        dtype: i32,
        sizes: *const i64,
        num_sizes: usize,
        bytes: Str,
        tensor: *mut Opaque,
        error: Sink,
    ) -> Status,
    /// Writes the tensor's elements, row-major, in native byte order; waits for the device.
    pub to_bytes: unsafe extern "C" fn(tensor: Opaque, out: Sink, error: Sink) -> Status,
}

/// Shape and type of a tensor.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct TensorInfo {
    /// A [`Dtype`] code.
    pub dtype: i32,
    /// 1 if the tensor records gradients, else 0.
    pub requires_grad: i32,
    /// 0 CPU, 1 CUDA.
    pub device_type: i32,
    /// Number of the device; -1 for CPU.
    pub device_index: i32,
    /// `num_sizes` numbers.
    pub sizes: *const i64,
    /// Number of dimensions.
    pub num_sizes: usize,
}

/// The element types, by the codes that libtorch also stores in files (c10/core/ScalarType.h).
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dtype(pub i32);

impl Dtype {
    /// Unsigned 8-bit.
    pub const U8: Self = Self(0);
    /// Signed 32-bit.
    pub const I32: Self = Self(3);
    /// Signed 64-bit.
    pub const I64: Self = Self(4);
    /// IEEE half.
    pub const F16: Self = Self(5);
    /// IEEE single.
    pub const F32: Self = Self(6);
    /// IEEE double.
    pub const F64: Self = Self(7);
    /// Bool, one byte.
    pub const BOOL: Self = Self(11);
    /// bfloat16.
    pub const BF16: Self = Self(15);
}

/// One argument or result of an operator.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Value {
    /// What `data` is; see [`tag`].
    pub tag: u32,
    /// Number of elements of a list, bytes of a text; else 0.
    pub len: u32,
    /// The value, the bits of a double, or a pointer.
    pub data: u64,
}

/// The kinds of [`Value`].
pub mod tag {
    /// No value (an optional argument left out).
    pub const NONE: u32 = 0;
    /// A tensor handle; borrowed in arguments, owned by the caller in results.
    pub const TENSOR: u32 = 1;
    /// A 64-bit integer; also accepted where the schema says Scalar or float.
    pub const INT: u32 = 2;
    /// A double; also accepted where the schema says Scalar.
    pub const FLOAT: u32 = 3;
    /// 0 or 1.
    pub const BOOL: u32 = 4;
    /// Pointer to `len` 64-bit integers.
    pub const INTS: u32 = 5;
    /// Pointer to `len` doubles.
    pub const FLOATS: u32 = 6;
    /// Pointer to `len` tensor handles; null handles are absent tensors where the schema allows it.
    pub const TENSORS: u32 = 7;
    /// Pointer to `len` bytes of UTF-8.
    pub const TEXT: u32 = 8;
    /// A [`Dtype`](super::Dtype) code.
    pub const DTYPE: u32 = 9;
    /// Device type in the upper, index in the lower 32 bits; type 0 CPU, 1 CUDA.
    pub const DEVICE: u32 = 10;
    /// 0 contiguous, 1 preserve, 2 channels last (c10/core/MemoryFormat.h).
    pub const MEMORY_FORMAT: u32 = 11;
}
