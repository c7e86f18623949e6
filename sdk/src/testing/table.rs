//! `trainer.tensor/1` over the kit's tensors: a handle is an `Arc<Dense>`.

#![allow(unsafe_code)] // the far end of the pointers in tensor.rs

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    arguments::{Arguments, known_type},
    dense::{Data, Dense},
    operators::{OPERATORS, Operator},
};
use crate::{
    Arg, Dtype, Tensor,
    abi::{Opaque, Sink, Status, Str, TensorInfo, TensorTable, Value, tag},
    export::guarded,
};

static TABLE: TensorTable = TensorTable { retain, release, describe, find, call: call_operator, from_bytes, to_bytes };

/// Puts the kit in the trainer's place unless the trainer is here.
pub(super) fn install() {
    crate::tensor::installed_or(&TABLE);
}

fn into_raw(dense: Dense) -> Opaque {
    Arc::into_raw(Arc::new(dense)).cast_mut().cast()
}

unsafe extern "C" fn retain(tensor: Opaque) -> Opaque {
    // SAFETY: the handle is one of `into_raw` and live.
    unsafe { Arc::increment_strong_count(tensor.cast::<Dense>()) };
    tensor
}

unsafe extern "C" fn release(tensor: Opaque) {
    // SAFETY: as in `retain`; the caller gives its reference up.
    unsafe { Arc::decrement_strong_count(tensor.cast::<Dense>()) };
}

unsafe extern "C" fn describe(tensor: Opaque, info: *mut TensorInfo) {
    // SAFETY: the handle is live, `info` is the caller's to be written.
    unsafe {
        let dense = &*tensor.cast::<Dense>();
        *info = TensorInfo {
            dtype: dense.dtype.0,
            requires_grad: 0,
            device_type: 0,
            device_index: -1,
            sizes: dense.size.as_ptr(),
            num_sizes: dense.size.len(),
        };
    }
}

unsafe extern "C" fn find(name: Str, overload: Str) -> *const () {
    // SAFETY: the texts live for the call.
    let wanted = unsafe { format!("{}.{}", name.to_text(), overload.to_text()) };
    let found = OPERATORS.iter().find(|operator| operator.name == wanted.trim_end_matches('.'));
    found.map_or(std::ptr::null(), |&operator| std::ptr::from_ref(operator).cast())
}

unsafe extern "C" fn call_operator(
    operator: *const (),
    arguments: *const Value,
    num_arguments: usize,
    results: *mut Value,
    capacity: usize,
    num_results: *mut usize,
    error: Sink,
) -> Status {
    guarded(error, || {
        // SAFETY: the operator is one that `find` gave out; the arguments live for the call.
        let arguments = unsafe {
            let values = if num_arguments == 0 { &[] } else { std::slice::from_raw_parts(arguments, num_arguments) };
            Arguments::new(&*operator.cast::<Operator>(), values)?
        };
        let found = arguments.run()?;
        // SAFETY: as many results as fit and their count are the caller's to be written.
        unsafe {
            *num_results = found.len();
            for (place, result) in found.into_iter().take(capacity).enumerate() {
                *results.add(place) = Value { tag: tag::TENSOR, len: 0, data: into_raw(result) as u64 };
            }
        }
        Ok(())
    })
}

unsafe extern "C" fn from_bytes(
    dtype: i32,
    sizes: *const i64,
    num_sizes: usize,
    bytes: Str,
    tensor: *mut Opaque,
    error: Sink,
) -> Status {
    guarded(error, || {
        // SAFETY: sizes and bytes live for the call, `tensor` is the caller's to be written.
        unsafe {
            let size = if num_sizes == 0 { &[] } else { std::slice::from_raw_parts(sizes, num_sizes) };
            *tensor = into_raw(read(Dtype(dtype), size, bytes.as_bytes())?);
        }
        Ok(())
    })
}

fn read(dtype: Dtype, size: &[i64], bytes: &[u8]) -> Result<Dense> {
    let width = match known_type(dtype)? {
        Dtype::BOOL => 1,
        Dtype::F32 => 4,
        _ => 8,
    };
    if let Some(negative) = size.iter().find(|n| **n < 0) {
        bail!("Trying to create tensor with negative dimension {negative}: {size:?}");
    }
    let wanted = size.iter().try_fold(width as i64, |total, &n| total.checked_mul(n)).unwrap_or(i64::MAX);
    ensure!(bytes.len() as i64 == wanted, "size {size:?} takes {wanted} bytes, not {}", bytes.len());
    let (size, elements) = (size.to_vec(), bytes.chunks_exact(width));
    Ok(match dtype {
        Dtype::F32 => Dense::floats(dtype, size, elements.map(|b| f32::from_ne_bytes(array(b)).into()).collect()),
        Dtype::F64 => Dense::floats(dtype, size, elements.map(|b| f64::from_ne_bytes(array(b))).collect()),
        Dtype::I64 => Dense::ints(dtype, size, elements.map(|b| i64::from_ne_bytes(array(b))).collect()),
        _ => Dense::ints(dtype, size, elements.map(|b| i64::from(b[0])).collect()),
    })
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("chunks of the element's width")
}

unsafe extern "C" fn to_bytes(tensor: Opaque, out: Sink, error: Sink) -> Status {
    guarded(error, || {
        // SAFETY: the handle and the sink live for the call.
        unsafe { out.put(&written(&*tensor.cast::<Dense>())) };
        Ok(())
    })
}

fn written(dense: &Dense) -> Vec<u8> {
    match &dense.data {
        Data::Floats(values) if dense.dtype == Dtype::F32 => {
            values.iter().flat_map(|&x| (x as f32).to_ne_bytes()).collect()
        }
        Data::Floats(values) => values.iter().flat_map(|x| x.to_ne_bytes()).collect(),
        Data::Ints(values) if dense.dtype == Dtype::BOOL => values.iter().map(|&x| x as u8).collect(),
        Data::Ints(values) => values.iter().flat_map(|x| x.to_ne_bytes()).collect(),
    }
}

/// As [`Tensor::call`], but by the kit's operators even where the trainer's tensors are in place: they are copied into
/// the kit and the results back, without gradients. The trainer's own tests compare the two in this way.
///
/// # Errors
/// As [`Tensor::call`].
pub fn call(name: &str, arguments: &[Arg]) -> Result<Vec<Tensor>> {
    let operator = OPERATORS.iter().find(|operator| operator.name == name);
    let operator = operator.with_context(|| format!("the testing kit has no operator {name}"))?;
    let copies = arguments.iter().map(copied).collect::<Result<Vec<_>>>()?;
    let handles: Vec<Vec<*const Dense>> =
        copies.iter().map(|list| list.iter().map(std::ptr::from_ref).collect()).collect();
    let mut lists = Vec::new();
    let value = |(argument, handles): (&Arg, &Vec<*const Dense>)| match argument {
        Arg::Tensor(_) => Value { tag: tag::TENSOR, len: 0, data: handles[0] as u64 },
        Arg::Tensors(_) => Value { tag: tag::TENSORS, len: handles.len() as u32, data: handles.as_ptr() as u64 },
        _ => argument.value(&mut lists),
    };
    let values: Vec<Value> = arguments.iter().zip(&handles).map(value).collect();
    // SAFETY: copies, their handles and the arguments live until the results are there.
    let results = unsafe { Arguments::new(operator, &values) }.and_then(|arguments| arguments.run());
    let results = results.with_context(|| name.to_owned())?;
    results.iter().map(|result| Tensor::from_bytes(result.dtype, &written(result), &result.size)).collect()
}

/// The tensors of an argument, copied into the kit.
fn copied(argument: &Arg) -> Result<Vec<Dense>> {
    let tensors = match argument {
        Arg::Tensor(tensor) => std::slice::from_ref(tensor),
        Arg::Tensors(list) => list,
        Arg::OptionalTensors(_) => bail!("no operator of the testing kit takes a list of optional tensors"),
        _ => &[],
    };
    tensors.iter().map(|tensor| read(tensor.dtype(), &tensor.size(), &tensor.to_bytes()?)).collect()
}
