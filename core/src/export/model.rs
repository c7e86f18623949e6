//! The model as exporters see it: tensors, card, calibration images.

use anyhow::{Context as _, Result, bail};
use tch::{Device, Kind, Tensor};
use trainer_sdk::{
    Dtype, Metadata, OnnxOptions,
    model_store::{ModelStore, StoredTensor},
};

use crate::{
    batch::Batch,
    checkpoint::Card,
    data::loader::{Batches, Loader},
    model::Network,
};

/// Images for calibration, batch by batch.
pub struct Calibration(Batches);

impl Calibration {
    /// The batches of a loader, in order.
    #[must_use]
    pub fn new(loader: &Loader) -> Self {
        Self(loader.epoch(0))
    }
}

/// A trained network with its tensors in plain memory.
pub struct ExportModel {
    metadata: Metadata,
    tensors: Vec<StoredTensor>,
    calibration: Option<Calibration>,
    current: Option<StoredTensor>,
}

impl ExportModel {
    /// Copies the network's tensors out of libtorch.
    ///
    /// # Errors
    /// If a tensor is of a type that networks do not have.
    pub fn new(network: &Network, card: &Card, calibration: Option<Calibration>) -> Result<Self> {
        let tensors = network.tensors().map(|(spec, tensor)| stored(&spec.name, tensor)).collect::<Result<_>>()?;
        let mut metadata = Metadata::default();
        metadata.model.clone_from(&card.model);
        metadata.names.clone_from(&card.names);
        metadata.version.clone_from(&card.version);
        (metadata.imgsz, metadata.epoch, metadata.map50_95) = (card.imgsz, card.epoch, card.map50_95);
        Ok(Self { metadata, tensors, calibration, current: None })
    }
}

impl ModelStore for ExportModel {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn tensors(&self) -> &[StoredTensor] {
        &self.tensors
    }

    fn onnx(&self, _options: &OnnxOptions) -> Result<Vec<u8>> {
        bail!("this version of the trainer cannot write ONNX yet; exporters that need only tensors work")
    }

    fn calibration_batch(&mut self) -> Result<Option<&StoredTensor>> {
        let calibration = self.calibration.as_mut().context("there are no calibration images: name them by data=")?;
        let readable = calibration.0.find(|batch| batch.as_ref().map_or(true, |raw| !raw.samples.is_empty()));
        let batch = readable.transpose()?;
        let images = batch.map(|raw| Batch::new(&raw, Kind::Float, Device::Cpu)).transpose()?;
        self.current = images.map(|batch| stored("images", &batch.images)).transpose()?;
        Ok(self.current.as_ref())
    }
}

fn stored(name: &str, tensor: &Tensor) -> Result<StoredTensor> {
    let dtype = match tensor.kind() {
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Float => Dtype::F32,
        Kind::Double => Dtype::F64,
        Kind::Int64 => Dtype::I64,
        kind => bail!("tensor {name} is of type {kind:?}, which no network uses"),
    };
    let flat = tensor.detach().f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0u8; flat.numel() * flat.kind().elt_size_in_bytes()];
    flat.f_copy_data_u8(&mut bytes, flat.numel())?;
    Ok(StoredTensor { name: name.to_owned(), dtype, size: tensor.size(), bytes })
}
