//! What operators take besides tensors: arguments, numbers, devices, memory formats, reductions.

use super::{Dtype, Tensor};
use crate::abi::{Opaque, Value, tag};

/// One argument of [`Tensor::call`].
#[derive(Clone, Copy, Debug)]
pub enum Arg<'a> {
    /// An optional argument left out.
    None,
    /// A tensor.
    Tensor(&'a Tensor),
    /// An integer, also where a Scalar or float is expected.
    Int(i64),
    /// A float, also where a Scalar is expected.
    Float(f64),
    /// A bool.
    Bool(bool),
    /// A list of integers (dimensions, sizes).
    Ints(&'a [i64]),
    /// A list of floats.
    Floats(&'a [f64]),
    /// A list of tensors.
    Tensors(&'a [&'a Tensor]),
    /// A list of tensors of which some are absent, as the indices of `aten::index.Tensor`.
    OptionalTensors(&'a [Option<&'a Tensor>]),
    /// A text such as the name of a mode.
    Text(&'a str),
    /// An element type.
    Dtype(Dtype),
    /// A device.
    Device(Device),
    /// How the elements lie in memory.
    MemoryFormat(MemoryFormat),
}

/// A plain number among the arguments; methods take whatever turns into one (`1`, `0.5`, `true`). As in PyTorch it
/// yields to the tensor's element type unless it is of a higher kind: an int64 tensor plus 1 stays int64, plus 0.5 it
/// becomes a single float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A bool.
    Bool(bool),
}

/// Where a tensor's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The main memory.
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(u32),
}

/// How the elements of a tensor lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryFormat {
    /// Row-major.
    Contiguous,
    /// As the argument's.
    Preserve,
    /// Channels closest together, for `[batch, channels, height, width]`.
    ChannelsLast,
}

/// What a loss function does with the losses of all elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// Keeps them.
    None,
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

/// A number as an argument.
pub(super) fn number(value: impl Into<Scalar>) -> Arg<'static> {
    match value.into() {
        Scalar::Int(x) => Arg::Int(x),
        Scalar::Float(x) => Arg::Float(x),
        Scalar::Bool(x) => Arg::Bool(x),
    }
}

impl Arg<'_> {
    /// The value at the boundary, good as long as this argument and `lists`, which holds what it may point to.
    pub(crate) fn value(&self, lists: &mut Vec<Vec<Opaque>>) -> Value {
        let plain = |tag, data| Value { tag, len: 0, data };
        let list = |tag, len: usize, start: u64| Value { tag, len: len as u32, data: start };
        let mut tensors = |handles: Vec<Opaque>| {
            let value = list(tag::TENSORS, handles.len(), handles.as_ptr() as u64);
            lists.push(handles); // its buffer stays where it is
            value
        };
        match *self {
            Arg::None => plain(tag::NONE, 0),
            Arg::Tensor(tensor) => plain(tag::TENSOR, tensor.raw() as u64),
            Arg::Int(x) => plain(tag::INT, x.cast_unsigned()),
            Arg::Float(x) => plain(tag::FLOAT, x.to_bits()),
            Arg::Bool(x) => plain(tag::BOOL, u64::from(x)),
            Arg::Ints(numbers) => list(tag::INTS, numbers.len(), numbers.as_ptr() as u64),
            Arg::Floats(numbers) => list(tag::FLOATS, numbers.len(), numbers.as_ptr() as u64),
            Arg::Tensors(list) => tensors(list.iter().map(|tensor| tensor.raw()).collect()),
            Arg::OptionalTensors(list) => {
                tensors(list.iter().map(|tensor| tensor.map_or(std::ptr::null_mut(), Tensor::raw)).collect())
            }
            Arg::Text(text) => list(tag::TEXT, text.len(), text.as_ptr() as u64),
            Arg::Dtype(dtype) => plain(tag::DTYPE, dtype.0 as u64),
            Arg::Device(Device::Cpu) => plain(tag::DEVICE, 0),
            Arg::Device(Device::Cuda(index)) => plain(tag::DEVICE, 1 << 32 | u64::from(index)),
            Arg::MemoryFormat(format) => plain(tag::MEMORY_FORMAT, format as u64),
        }
    }
}

/// Writes conversions: `into the type { from = value => result; }`.
macro_rules! conversions {
    ($type:ty { $($from:ty = $value:ident => $result:expr;)* }) => {
        $(impl<'a> From<$from> for $type {
            fn from($value: $from) -> Self {
                $result
            }
        })*
    };
}

conversions! { Scalar {
    i64 = x => Scalar::Int(x);
    i32 = x => Scalar::Int(i64::from(x));
    f64 = x => Scalar::Float(x);
    f32 = x => Scalar::Float(f64::from(x));
    bool = x => Scalar::Bool(x);
} }

conversions! { Arg<'a> {
    &'a Tensor = x => Arg::Tensor(x);
    Option<&'a Tensor> = x => x.map_or(Arg::None, Arg::Tensor);
    &'a [&'a Tensor] = x => Arg::Tensors(x);
    i64 = x => Arg::Int(x);
    f64 = x => Arg::Float(x);
    bool = x => Arg::Bool(x);
    &'a [i64] = x => Arg::Ints(x);
    &'a str = x => Arg::Text(x);
    Dtype = x => Arg::Dtype(x);
    Device = x => Arg::Device(x);
    Reduction = x => Arg::Int(x as i64);
} }
