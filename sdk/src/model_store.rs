//! The other end of [`Model`]: what the trainer offers to exporters, as C functions. Test kits offer one too.

#![allow(unsafe_code)] // the far end of the pointers in model.rs

use anyhow::{Context as _, Result};

use crate::{
    Dtype, Metadata, Model, OnnxOptions,
    abi::{self, ModelTable, Opaque, Sink, Status, Str, TensorData},
    export::guarded,
};

/// A tensor that the store owns.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Its name.
    pub name: String,
    /// The type of an element.
    pub dtype: Dtype,
    /// The sizes of all dimensions.
    pub size: Vec<i64>,
    /// The elements, row-major, in native byte order.
    pub bytes: Vec<u8>,
}

/// What is behind a [`Model`].
pub trait ModelStore {
    /// What the model says about itself.
    fn metadata(&self) -> Metadata;
    /// All tensors, in order.
    fn tensors(&self) -> &[StoredTensor];
    /// The network as ONNX.
    ///
    /// # Errors
    /// If it cannot be written so.
    fn onnx(&self, options: &OnnxOptions) -> Result<Vec<u8>>;
    /// The next calibration batch, none after the last; kept by the store until the next call.
    ///
    /// # Errors
    /// If there is no data.
    fn calibration_batch(&mut self) -> Result<Option<&StoredTensor>>;
}

/// A view of `store` for an exporter, for as long as the borrow lasts.
pub fn view<S: ModelStore>(store: &mut S) -> Model<'_> {
    // SAFETY: object and table live for the borrow, the table is of this store's type.
    unsafe {
        Model::from_raw(abi::Model { object: std::ptr::from_mut(store).cast(), table: &raw const *Table::<S>::TABLE })
    }
}

struct Table<S>(std::marker::PhantomData<S>);

impl<S: ModelStore> Table<S> {
    const TABLE: &'static ModelTable = &ModelTable {
        metadata: Self::metadata,
        names: Self::names,
        tensor: Self::tensor,
        onnx: Self::onnx,
        calibration: Self::calibration,
    };

    unsafe fn with(object: Opaque, error: Sink, f: impl FnOnce(&mut S) -> Result<()>) -> Status {
        // SAFETY: `object` is the store that `view` borrowed, on this thread.
        guarded(error, || f(unsafe { &mut *object.cast::<S>() }))
    }

    unsafe extern "C" fn metadata(object: Opaque, out: Sink, error: Sink) -> Status {
        // SAFETY: the sinks live for the call.
        unsafe {
            Self::with(object, error, |store| {
                out.put(&serde_json::to_vec(&store.metadata())?);
                Ok(())
            })
        }
    }

    unsafe extern "C" fn names(object: Opaque, out: Sink) {
        let mut unheard = Vec::new(); // a failure leaves no names: this function has no other answer
        // SAFETY: the sink lives for the call.
        unsafe {
            Self::with(object, Sink::to(&mut unheard), |store| {
                let names: Vec<_> = store.tensors().iter().map(|tensor| tensor.name.as_str()).collect();
                out.put(names.join("\n").as_bytes());
                Ok(())
            });
        }
    }

    unsafe extern "C" fn tensor(object: Opaque, name: Str, out: *mut TensorData, error: Sink) -> Status {
        // SAFETY: `name` lives for the call, `out` is the caller's to be written.
        unsafe {
            Self::with(object, error, |store| {
                let name = name.to_text();
                let found = store.tensors().iter().find(|tensor| tensor.name == name);
                *out = data_of(found.with_context(|| format!("the model has no tensor `{name}`"))?);
                Ok(())
            })
        }
    }

    unsafe extern "C" fn onnx(object: Opaque, options: Str, out: Sink, error: Sink) -> Status {
        // SAFETY: texts and sinks live for the call.
        unsafe {
            Self::with(object, error, |store| {
                let options = serde_json::from_slice(options.as_bytes()).context("cannot take these ONNX options")?;
                out.put(&store.onnx(&options)?);
                Ok(())
            })
        }
    }

    unsafe extern "C" fn calibration(object: Opaque, out: *mut TensorData, error: Sink) -> Status {
        // SAFETY: `out` is the caller's to be written; the batch stays in the store until the next call.
        unsafe {
            Self::with(object, error, |store| {
                let end = TensorData { dtype: -1, num_sizes: 0, sizes: std::ptr::null(), bytes: Str::new("") };
                *out = store.calibration_batch()?.map_or(end, data_of);
                Ok(())
            })
        }
    }
}

fn data_of(tensor: &StoredTensor) -> TensorData {
    let StoredTensor { dtype, size, bytes, .. } = tensor;
    TensorData { dtype: dtype.0, num_sizes: size.len() as u32, sizes: size.as_ptr(), bytes: Str::bytes(bytes) }
}
