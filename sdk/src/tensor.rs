//! Tensors of the trainer: opaque handles, and typed methods that call ATen operators by name.

mod arg;
mod comparison;
mod creation;
mod elementwise;
mod indexing;
mod losses;
mod methods;
mod numbers;
mod reduction;
mod shape;

use std::{collections::HashMap, sync::OnceLock, sync::RwLock};

use anyhow::{Context as _, Result, bail, ensure};

pub use self::arg::{Arg, Device, MemoryFormat, Reduction, Scalar};
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
/// Methods are named as in PyTorch and broadcast alike; where a method of one name takes a tensor or a number there,
/// the one with the number ends in `_scalar` here. All return errors (a wrong shape, a wrong type) instead of
/// panicking; results record gradients when their inputs do. [`Tensor::call`] reaches the operators without a method.
///
/// Keep a tensor between calls as you like, but use it only during calls, on the thread that makes them: operators run
/// in the gradient mode and on the device stream that the trainer has set there.
pub struct Tensor(Opaque);

// SAFETY: the host counts references atomically (c10::intrusive_ptr; the testing kit uses Arc), so a handle may move to
// another thread and be released there.
#[allow(unsafe_code)]
unsafe impl Send for Tensor {}

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

    /// The number of dimensions.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.info().num_sizes
    }

    /// The number of elements.
    #[must_use]
    pub fn numel(&self) -> usize {
        self.size().iter().product::<i64>().unsigned_abs() as usize
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        Dtype(self.info().dtype)
    }

    /// Where the elements are.
    #[must_use]
    pub fn device(&self) -> Device {
        let info = self.info();
        if info.device_type == 1 { Device::Cuda(info.device_index.unsigned_abs()) } else { Device::Cpu }
    }

    /// Whether gradients are recorded.
    #[must_use]
    pub fn requires_grad(&self) -> bool {
        self.info().requires_grad != 0
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

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let (mut bytes, mut error) = (Vec::new(), Vec::new());
        // SAFETY: the sinks outlive the call.
        let status = unsafe { (table().to_bytes)(self.0, Sink::to(&mut bytes), Sink::to(&mut error)) };
        status_to_result(status, &error)?;
        Ok(bytes)
    }

    /// Calls any ATen operator, e.g. `Tensor::call("aten::trace", &[Arg::Tensor(&x)])`; the overload follows a dot
    /// (`aten::add.Tensor`). Arguments are in the order of the operator's schema; those left out at the end take its
    /// defaults. Returns the tensors among the results; an operator with more than 16 of them runs twice.
    ///
    /// # Errors
    /// If libtorch has no such operator or the operator refuses its arguments; the message is libtorch's.
    pub fn call(operator: &str, arguments: &[Arg]) -> Result<Vec<Self>> {
        let found = find(operator)?;
        let mut lists = Vec::new();
        let values: Vec<Value> = arguments.iter().map(|argument| argument.value(&mut lists)).collect();
        let mut few = [NOTHING; 16];
        let count = called(operator, found, &values, &mut few)?;
        let results = take(&few[..count.min(few.len())]);
        if count <= few.len() {
            return Ok(results);
        }
        let mut all = vec![NOTHING; count];
        let again = called(operator, found, &values, &mut all)?;
        let results = take(&all[..again.min(count)]);
        ensure!(again == count, "{operator} has {count} results, then {again}");
        Ok(results)
    }
}

const NOTHING: Value = Value { tag: tag::NONE, len: 0, data: 0 };

/// Calls an operator that [`find`] has found; writes as many results as fit and returns how many there are.
#[allow(unsafe_code)]
fn called(operator: &str, found: *const (), arguments: &[Value], results: &mut [Value]) -> Result<usize> {
    let (mut count, mut error) = (0, Vec::new());
    // SAFETY: arguments are borrowed for the call, and the host writes no more results than there is room.
    let status = unsafe {
        (table().call)(
            found,
            arguments.as_ptr(),
            arguments.len(),
            results.as_mut_ptr(),
            results.len(),
            &raw mut count,
            Sink::to(&mut error),
        )
    };
    status_to_result(status, &error).with_context(|| operator.to_owned())?;
    Ok(count)
}

/// The tensors among results, whose references are ours.
fn take(results: &[Value]) -> Vec<Tensor> {
    let tensors = results.iter().filter(|value| value.tag == tag::TENSOR);
    tensors.map(|value| Tensor(value.data as Opaque)).collect()
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
