//! The model that is exported, as exporters see it: a handle on the trainer's own.

use std::marker::PhantomData;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use crate::{Dtype, abi, export::status_to_result};

/// A borrowed model of the trainer.
pub struct Model<'a> {
    raw: abi::Model,
    life: PhantomData<&'a ()>,
}

/// What a model says about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Metadata {
    /// The model's name, e.g. `yolo12n`.
    pub model: String,
    /// The class names, in order.
    pub names: Vec<String>,
    /// The side of the square input that it was trained on, in pixels.
    pub imgsz: u32,
    /// The epoch after which it was saved, from 1; 0 if none was finished.
    pub epoch: usize,
    /// mAP50-95 at that epoch, 0..1.
    pub map50_95: f64,
    /// The trainer that wrote it.
    pub version: String,
}

/// A tensor in memory, row-major, in native byte order.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorView<'a> {
    /// The type of an element.
    pub dtype: Dtype,
    /// The sizes of all dimensions.
    pub size: Vec<i64>,
    /// The elements.
    pub bytes: &'a [u8],
}

/// How the network is written as ONNX.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnnxOptions {
    /// Weights and computation in half precision, inputs and outputs in single.
    pub half: bool,
    /// Batch, height and width are free.
    pub dynamic: bool,
    /// The operator set, 9 to 20.
    pub opset: u32,
    /// With non-maximum suppression in the graph.
    pub nms: bool,
}

impl Default for OnnxOptions {
    fn default() -> Self {
        Self { half: false, dynamic: false, opset: 17, nms: false }
    }
}

// Every call goes through the table of the host; it and the object live for 'a.
#[allow(unsafe_code)]
impl<'a> Model<'a> {
    /// Wraps what the boundary passes.
    ///
    /// # Safety
    /// `raw` must be a live object with its table for `'a`.
    #[must_use]
    pub unsafe fn from_raw(raw: abi::Model) -> Self {
        Self { raw, life: PhantomData }
    }

    /// What the boundary passes.
    #[must_use]
    pub fn raw(&self) -> abi::Model {
        self.raw
    }

    fn call(&self, f: impl FnOnce(&abi::ModelTable, abi::Opaque, abi::Sink) -> abi::Status) -> Result<()> {
        let mut error = Vec::new();
        // SAFETY: the table lives as long as the object.
        let status = f(unsafe { &*self.raw.table }, self.raw.object, abi::Sink::to(&mut error));
        status_to_result(status, &error)
    }

    /// What the model says about itself.
    ///
    /// # Errors
    /// Never for a host of this version.
    pub fn metadata(&self) -> Result<Metadata> {
        let mut text = Vec::new();
        let out = abi::Sink::to(&mut text);
        // SAFETY: the sinks live for the call.
        self.call(|table, object, error| unsafe { (table.metadata)(object, out, error) })?;
        serde_json::from_slice(&text).context("the model's metadata cannot be read")
    }

    /// The names of the tensors (the reference's state_dict), in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut text = Vec::new();
        // SAFETY: the sink lives for the call.
        unsafe { ((*self.raw.table).names)(self.raw.object, abi::Sink::to(&mut text)) };
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// The named tensor.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn tensor(&self, name: &str) -> Result<TensorView<'a>> {
        let mut raw = NO_TENSOR;
        // SAFETY: `raw` is ours to be written; its pointers live as long as the model.
        unsafe {
            self.call(|table, object, error| (table.tensor)(object, abi::Str::new(name), &raw mut raw, error))?;
            Ok(view_of(&raw))
        }
    }

    /// The network as ONNX.
    ///
    /// # Errors
    /// If this trainer cannot write it so; the message says what it lacks.
    pub fn onnx(&self, options: &OnnxOptions) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let (text, out) = (serde_json::to_string(options)?, abi::Sink::to(&mut bytes));
        // SAFETY: texts and sinks live for the call.
        self.call(|table, object, error| unsafe { (table.onnx)(object, abi::Str::new(&text), out, error) })?;
        Ok(bytes)
    }

    /// The next calibration batch, float images (B, 3, H, W) in 0..1, or none after the last.
    ///
    /// # Errors
    /// If the export was given no data (`data=`), or an image cannot be read.
    pub fn calibration_batch(&mut self) -> Result<Option<TensorView<'_>>> {
        let mut raw = NO_TENSOR;
        // SAFETY: `raw` is ours to be written; its pointers live until the next call, which borrows the model again.
        unsafe {
            self.call(|table, object, error| (table.calibration)(object, &raw mut raw, error))?;
            Ok((raw.num_sizes > 0).then(|| view_of(&raw)))
        }
    }
}

const NO_TENSOR: abi::TensorData =
    abi::TensorData { dtype: -1, num_sizes: 0, sizes: std::ptr::null(), bytes: abi::Str::new("") };

/// # Safety
/// The pointers must live for `'a`.
#[allow(unsafe_code)]
unsafe fn view_of<'a>(raw: &abi::TensorData) -> TensorView<'a> {
    let size = match raw.num_sizes {
        0 => Vec::new(),
        // SAFETY: promised by the caller.
        n => unsafe { std::slice::from_raw_parts(raw.sizes, n as usize) }.to_vec(),
    };
    // SAFETY: promised by the caller.
    TensorView { dtype: Dtype(raw.dtype), size, bytes: unsafe { raw.bytes.as_bytes() } }
}

impl TensorView<'_> {
    /// The elements as single floats.
    ///
    /// # Errors
    /// If they are of another type.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        ensure!(self.dtype == Dtype::F32, "the tensor is of type {:?}, not single floats", self.dtype);
        let (floats, rest) = self.bytes.as_chunks::<4>();
        if rest.is_empty() {
            Ok(floats.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect())
        } else {
            Err(anyhow!("the tensor has {} bytes, no whole number of floats", self.bytes.len()))
        }
    }
}
