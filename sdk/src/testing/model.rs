//! A model for tests of exporters.

use anyhow::{Result, bail};

use crate::{
    Dtype, Metadata, Model, OnnxOptions,
    model_store::{self, ModelStore, StoredTensor},
};

/// A model of a few tensors. It has no network, so it offers no ONNX; that needs the trainer.
#[derive(Clone, Debug, Default)]
pub struct ModelBench {
    /// What the model says about itself.
    pub metadata: Metadata,
    /// Its tensors, in order.
    pub tensors: Vec<StoredTensor>,
    /// Calibration batches that have not been given out yet.
    pub calibration: Vec<StoredTensor>,
    current: Option<StoredTensor>,
}

impl ModelBench {
    /// With a tensor of single floats.
    #[must_use]
    pub fn tensor(mut self, name: &str, size: &[i64], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        self.tensors.push(StoredTensor { name: name.into(), dtype: Dtype::F32, size: size.into(), bytes });
        self
    }

    /// As an exporter sees it.
    pub fn view(&mut self) -> Model<'_> {
        model_store::view(self)
    }
}

impl ModelStore for ModelBench {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn tensors(&self) -> &[StoredTensor] {
        &self.tensors
    }

    fn onnx(&self, _options: &OnnxOptions) -> Result<Vec<u8>> {
        bail!("the test kit has no network to write as ONNX")
    }

    fn calibration_batch(&mut self) -> Result<Option<&StoredTensor>> {
        self.current = (!self.calibration.is_empty()).then(|| self.calibration.remove(0));
        Ok(self.current.as_ref())
    }
}
