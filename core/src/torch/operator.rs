//! Calls ATen operators that tch does not bind: fused optimizers, `_foreach_*`, memory formats.

#![allow(unsafe_code)] // calls through the tensor table

use anyhow::{Context as _, Result, anyhow, bail};
use tch::Tensor;
use trainer_sdk::abi::{Opaque, Sink, Status, Str, Value, tag};

use super::table::TABLE;

/// One operator of libtorch, found once.
#[derive(Clone, Copy)]
pub struct Operator {
    address: *const (),
    name: &'static str,
}

/// One argument, in the order of the operator's schema.
pub enum Arg<'a> {
    /// A tensor.
    Tensor(&'a Tensor),
    /// A list of tensors.
    Tensors(&'a [Tensor]),
    /// A float, or a Scalar.
    Float(f64),
    /// A bool.
    Bool(bool),
    /// A c10::MemoryFormat.
    MemoryFormat(i64),
    /// A list of integers.
    Ints(&'a [i64]),
    /// A c10::ScalarType.
    Dtype(i64),
    /// The operator's default.
    None,
}

impl Operator {
    /// The operator of that name and overload (empty for the only one).
    ///
    /// # Errors
    /// If this libtorch has none.
    pub fn find(name: &'static str, overload: &str) -> Result<Self> {
        // SAFETY: texts live for the call.
        let address = unsafe { (TABLE.find)(Str::new(name), Str::new(overload)) };
        if address.is_null() {
            bail!("libtorch has no operator {name}.{overload}");
        }
        Ok(Self { address, name })
    }

    /// Calls it and returns the tensors among its results, at most `capacity`.
    ///
    /// # Errors
    /// libtorch's own message.
    pub fn call(&self, arguments: &[Arg], capacity: usize) -> Result<Vec<Tensor>> {
        let lists: Vec<Vec<Opaque>> = arguments.iter().map(Arg::handles).collect();
        let values: Vec<Value> = arguments.iter().zip(&lists).map(|(arg, list)| arg.value(list)).collect();
        let mut results = vec![Value { tag: tag::NONE, len: 0, data: 0 }; capacity];
        let (mut count, mut error) = (0, Vec::new());
        // SAFETY: arguments live for the call; tensors among the results become ours.
        let status = unsafe {
            (TABLE.call)(
                self.address,
                values.as_ptr(),
                values.len(),
                results.as_mut_ptr(),
                capacity,
                &raw mut count,
                Sink::to(&mut error),
            )
        };
        if status != Status::OK {
            return Err(anyhow!("{}", String::from_utf8_lossy(&error))).context(self.name);
        }
        let tensors = results[..count.min(capacity)].iter().filter(|value| value.tag == tag::TENSOR);
        // SAFETY: each is a new reference to an at::Tensor.
        Ok(tensors.map(|value| unsafe { Tensor::from_ptr(value.data as *mut _) }).collect())
    }

    /// Calls it for its one result.
    ///
    /// # Errors
    /// libtorch's own message, or if there is no result.
    pub fn one(&self, arguments: &[Arg]) -> Result<Tensor> {
        self.call(arguments, 1)?.pop().with_context(|| format!("{} returned no tensor", self.name))
    }
}

impl Arg<'_> {
    fn handles(&self) -> Vec<Opaque> {
        match self {
            Arg::Tensors(tensors) => tensors.iter().map(|tensor| tensor.as_ptr().cast_mut().cast()).collect(),
            _ => Vec::new(),
        }
    }

    fn value(&self, list: &[Opaque]) -> Value {
        let plain = |tag, data| Value { tag, len: 0, data };
        match *self {
            Arg::Tensor(tensor) => plain(tag::TENSOR, tensor.as_ptr() as u64),
            Arg::Tensors(_) => Value { tag: tag::TENSORS, len: list.len() as u32, data: list.as_ptr() as u64 },
            Arg::Float(x) => plain(tag::FLOAT, x.to_bits()),
            Arg::Bool(x) => plain(tag::BOOL, u64::from(x)),
            Arg::MemoryFormat(format) => plain(tag::MEMORY_FORMAT, format.cast_unsigned()),
            Arg::Ints(numbers) => Value { tag: tag::INTS, len: numbers.len() as u32, data: numbers.as_ptr() as u64 },
            Arg::Dtype(dtype) => plain(tag::DTYPE, dtype.cast_unsigned()),
            Arg::None => plain(tag::NONE, 0),
        }
    }
}
