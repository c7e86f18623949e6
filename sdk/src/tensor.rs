//! Tensors of the trainer: opaque handles, and typed methods that call ATen operators by name.

use std::{collections::HashMap, sync::OnceLock, sync::RwLock};

use anyhow::{Context as _, Result, bail, ensure};

pub use crate::abi::Dtype;
use crate::{
    abi::{Opaque, Sink, Str, TensorInfo, TensorTable, Value, tag},
    export::status_to_result,
};

static TABLE: OnceLock<&'static TensorTable> = OnceLock::new();

/// Makes the host's tensors available. Handles of one table mean nothing to another, so there is one for good.
pub(crate) fn install(table: &'static TensorTable) {
    assert!(std::ptr::eq(installed_or(table), table), "the tensors of this process are another table's already");
}

/// The tensors that were made available, or else `table`'s from now on.
pub(crate) fn installed_or(table: &'static TensorTable) -> &'static TensorTable {
    TABLE.get_or_init(|| table)
}

pub(crate) fn installed() -> Option<&'static TensorTable> {
    TABLE.get().copied()
}

fn table() -> &'static TensorTable {
    TABLE.get().expect("the host hands its tensors over before it makes the first one; in a unit test, `testing` does")
}

/// A tensor of the trainer, a shared reference-counted handle: cloning copies no data.
///
/// Methods are named as in PyTorch and broadcast alike. All return errors (a wrong shape, a wrong type) instead of
/// panicking; results record gradients when their inputs do. Use tensors only on the thread that passed them in.
pub struct Tensor(Opaque);

/// One argument of [`Tensor::call`].
#[derive(Clone, Copy)]
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
    /// A text such as a reduction's name.
    Text(&'a str),
    /// An element type.
    Dtype(Dtype),
}

// The table's functions are plain C functions of the host; handles are counted there.
#[allow(unsafe_code)]
impl Tensor {
    /// Takes a reference over from the boundary.
    ///
    /// # Safety
    /// `handle` must be a live tensor reference of the host that nobody else releases.
    #[must_use]
    pub unsafe fn from_raw(handle: Opaque) -> Self {
        Self(handle)
    }

    /// The handle, still owned by this tensor.
    #[must_use]
    pub fn raw(&self) -> Opaque {
        self.0
    }

    /// Gives the reference away to the boundary.
    #[must_use]
    pub fn into_raw(self) -> Opaque {
        std::mem::ManuallyDrop::new(self).0
    }

    fn info(&self) -> TensorInfo {
        let mut info = TensorInfo {
            dtype: 0,
            requires_grad: 0,
            device_type: 0,
            device_index: -1,
            sizes: std::ptr::null(),
            num_sizes: 0,
        };
        // SAFETY: the handle is live; the host fills in the whole struct.
        unsafe { (table().describe)(self.0, &raw mut info) };
        info
    }

    /// The sizes of all dimensions.
    #[must_use]
    pub fn size(&self) -> Vec<i64> {
        let info = self.info();
        if info.num_sizes == 0 {
            return Vec::new();
        }
        // SAFETY: the host promises that the sizes live as long as the tensor.
        unsafe { std::slice::from_raw_parts(info.sizes, info.num_sizes) }.to_vec()
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        Dtype(self.info().dtype)
    }

    /// Whether gradients are recorded.
    #[must_use]
    pub fn requires_grad(&self) -> bool {
        self.info().requires_grad != 0
    }

    /// A CPU tensor of single floats.
    ///
    /// # Errors
    /// If `data` has not as many elements as `size` says.
    pub fn from_f32(data: &[f32], size: &[i64]) -> Result<Self> {
        Self::from_bytes(Dtype::F32, &data.iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<_>>(), size)
    }

    pub(crate) fn from_bytes(dtype: Dtype, bytes: &[u8], size: &[i64]) -> Result<Self> {
        let (mut handle, mut error) = (std::ptr::null_mut(), Vec::new());
        // SAFETY: pointers and lengths belong together; on success the handle is ours.
        unsafe {
            let status = (table().from_bytes)(
                dtype.0,
                size.as_ptr(),
                size.len(),
                Str::bytes(bytes),
                &raw mut handle,
                Sink::to(&mut error),
            );
            status_to_result(status, &error)?;
            Ok(Self(handle))
        }
    }

    /// All elements, row-major, as doubles; waits for the device.
    ///
    /// # Errors
    /// If the element type has no conversion to double.
    pub fn to_vec(&self) -> Result<Vec<f64>> {
        let bytes = self.to_dtype(Dtype::F64)?.to_bytes()?;
        Ok(bytes.chunks_exact(8).map(|b| f64::from_ne_bytes(b.try_into().expect("chunks of 8"))).collect())
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let (mut bytes, mut error) = (Vec::new(), Vec::new());
        // SAFETY: the sinks outlive the call.
        let status = unsafe { (table().to_bytes)(self.0, Sink::to(&mut bytes), Sink::to(&mut error)) };
        status_to_result(status, &error)?;
        Ok(bytes)
    }

    /// Calls any ATen operator, e.g. `Tensor::call("aten::logsumexp", &[Arg::Tensor(&x), Arg::Ints(&[-1])])`; the
    /// overload follows a dot (`aten::add.Tensor`). Arguments are in the order of the operator's schema; those left
    /// out at the end take its defaults. Returns the tensors among the results.
    ///
    /// # Errors
    /// If libtorch has no such operator or the operator refuses its arguments; the message is libtorch's.
    pub fn call(operator: &str, arguments: &[Arg]) -> Result<Vec<Self>> {
        let found = find(operator)?;
        let lists: Vec<Value> = arguments.iter().map(Arg::value).collect();
        let mut results = [Value { tag: tag::NONE, len: 0, data: 0 }; 16];
        let (mut count, mut error) = (0, Vec::new());
        // SAFETY: arguments are borrowed for the call; results that are tensors become ours.
        unsafe {
            let status = (table().call)(
                found,
                lists.as_ptr(),
                lists.len(),
                results.as_mut_ptr(),
                results.len(),
                &raw mut count,
                Sink::to(&mut error),
            );
            status_to_result(status, &error).with_context(|| operator.to_owned())?;
        }
        let stored = results[..count.min(results.len())].iter().filter(|value| value.tag == tag::TENSOR);
        let tensors = stored.map(|value| Self(value.data as Opaque)).collect();
        ensure!(count <= results.len(), "{operator} has {count} results, more than {} cannot be taken", results.len());
        Ok(tensors)
    }
}

/// Operators that were looked up once; the addresses live for the process.
#[allow(unsafe_code)]
fn find(operator: &str) -> Result<*const ()> {
    static FOUND: RwLock<Option<HashMap<String, usize>>> = RwLock::new(None);
    let known = FOUND.read().ok().and_then(|map| map.as_ref()?.get(operator).copied());
    if let Some(address) = known {
        return Ok(address as *const ());
    }
    let (name, overload) = operator.split_once('.').unwrap_or((operator, ""));
    // SAFETY: the texts are borrowed for the call.
    let address = unsafe { (table().find)(Str::new(name), Str::new(overload)) };
    if address.is_null() {
        bail!("there is no operator {operator} in libtorch (in a unit test: in trainer_sdk::testing)");
    }
    if let Ok(mut map) = FOUND.write() {
        map.get_or_insert_default().insert(operator.to_owned(), address as usize);
    }
    Ok(address)
}

impl Arg<'_> {
    pub(crate) fn value(&self) -> Value {
        let plain = |tag, data| Value { tag, len: 0, data };
        match *self {
            Arg::None => plain(tag::NONE, 0),
            Arg::Tensor(tensor) => plain(tag::TENSOR, tensor.0 as u64),
            Arg::Int(x) => plain(tag::INT, x.cast_unsigned()),
            Arg::Float(x) => plain(tag::FLOAT, x.to_bits()),
            Arg::Bool(x) => plain(tag::BOOL, u64::from(x)),
            Arg::Ints(list) => Value { tag: tag::INTS, len: list.len() as u32, data: list.as_ptr() as u64 },
            Arg::Text(text) => Value { tag: tag::TEXT, len: text.len() as u32, data: text.as_ptr() as u64 },
            Arg::Dtype(dtype) => plain(tag::DTYPE, dtype.0 as u64),
        }
    }
}

#[allow(unsafe_code)]
impl Clone for Tensor {
    fn clone(&self) -> Self {
        // SAFETY: the handle is live.
        Self(unsafe { (table().retain)(self.0) })
    }
}

#[allow(unsafe_code)]
impl Drop for Tensor {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is given back once.
        unsafe { (table().release)(self.0) }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor{:?} {:?}", self.size(), self.dtype())
    }
}

fn one(operator: &str, arguments: &[Arg]) -> Result<Tensor> {
    Tensor::call(operator, arguments)?.pop().with_context(|| format!("{operator} returned no tensor"))
}

/// Writes methods that take only tensors and numbers: `name(other: Tensor) = "aten::op.overload"`.
macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($arg:ident : $kind:ident),*) = $operator:literal;)*) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// # Errors
            /// If shapes or element types do not fit; the message is libtorch's.
            pub fn $name(&self, $($arg: methods!(@type $kind)),*) -> Result<Self> {
                one($operator, &[Arg::Tensor(self), $(Arg::$kind($arg)),*])
            })*
        }
    };
    (@type Tensor) => { &Tensor };
    (@type Float) => { f64 };
    (@type Int) => { i64 };
    (@type Bool) => { bool };
    (@type Ints) => { &[i64] };
    (@type Dtype) => { Dtype };
}

methods! {
    /// `self + other`.
    add(other: Tensor) = "aten::add.Tensor";
    /// `self - other`.
    sub(other: Tensor) = "aten::sub.Tensor";
    /// `self * other`.
    mul(other: Tensor) = "aten::mul.Tensor";
    /// `self / other`.
    div(other: Tensor) = "aten::div.Tensor";
    /// `self + other`.
    add_scalar(other: Float) = "aten::add.Scalar";
    /// `self * other`.
    mul_scalar(other: Float) = "aten::mul.Scalar";
    /// `self / other`.
    div_scalar(other: Float) = "aten::div.Scalar";
    /// `self ^ exponent`.
    pow_scalar(exponent: Float) = "aten::pow.Tensor_Scalar";
    /// `-self`.
    neg() = "aten::neg";
    /// `|self|`.
    abs() = "aten::abs";
    /// Exponential.
    exp() = "aten::exp";
    /// Natural logarithm.
    log() = "aten::log";
    /// Square root.
    sqrt() = "aten::sqrt";
    /// `1 / (1 + exp(-self))`.
    sigmoid() = "aten::sigmoid";
    /// Softmax over a dimension.
    softmax(dim: Int) = "aten::softmax.int";
    /// Logarithm of the softmax over a dimension.
    log_softmax(dim: Int) = "aten::log_softmax.int";
    /// Element-wise larger value.
    maximum(other: Tensor) = "aten::maximum";
    /// Element-wise smaller value.
    minimum(other: Tensor) = "aten::minimum";
    /// Limits to `min..=max`.
    clamp(min: Float, max: Float) = "aten::clamp";
    /// Sum of all elements.
    sum() = "aten::sum";
    /// Mean of all elements.
    mean() = "aten::mean";
    /// Sum over dimensions.
    sum_dims(dims: Ints, keepdim: Bool) = "aten::sum.dim_IntList";
    /// Mean over dimensions.
    mean_dims(dims: Ints, keepdim: Bool) = "aten::mean.dim";
    /// Largest values over dimensions.
    amax(dims: Ints, keepdim: Bool) = "aten::amax";
    /// Smallest values over dimensions.
    amin(dims: Ints, keepdim: Bool) = "aten::amin";
    /// Picks elements along a dimension by an int64 tensor.
    gather(dim: Int, index: Tensor) = "aten::gather";
    /// Picks whole slices along a dimension by an int64 vector.
    index_select(dim: Int, index: Tensor) = "aten::index_select";
    /// The elements where `mask` (bool) is true, as a vector.
    masked_select(mask: Tensor) = "aten::masked_select";
    /// `value` where `mask` (bool) is true, else `self`.
    masked_fill(mask: Tensor, value: Float) = "aten::masked_fill.Scalar";
    /// Part of a dimension.
    narrow(dim: Int, start: Int, length: Int) = "aten::narrow";
    /// A new dimension of size 1.
    unsqueeze(dim: Int) = "aten::unsqueeze";
    /// Without a dimension of size 1.
    squeeze(dim: Int) = "aten::squeeze.dim";
    /// The same elements under other sizes; one may be -1.
    reshape(size: Ints) = "aten::reshape";
    /// The dimensions in another order.
    permute(dims: Ints) = "aten::permute";
    /// Two dimensions swapped.
    transpose(dim0: Int, dim1: Int) = "aten::transpose.int";
    /// Another element type.
    to_dtype(dtype: Dtype) = "aten::to.dtype";
    /// The same values, cut off from gradients.
    detach() = "aten::detach";
    /// Zeros of the same size and type.
    zeros_like() = "aten::zeros_like";
    /// Ones of the same size and type.
    ones_like() = "aten::ones_like";
    /// 1 where equal, bool.
    eq(other: Tensor) = "aten::eq.Tensor";
    /// 1 where `self > other`, bool.
    gt_scalar(other: Float) = "aten::gt.Scalar";
}
