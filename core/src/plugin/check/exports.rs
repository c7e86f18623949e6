//! Exports of small models into a directory of their own.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use trainer_sdk::{
    Artifact, Dtype, ExportContext, Exporter, Format, Metadata, model_store::StoredTensor, testing::ModelBench,
};

use super::{faulty, subject::is_panic};

/// The side of the square input, in pixels.
const IMGSZ: u32 = 64;

/// The reason of an export that asked for the network as ONNX and failed.
#[derive(Debug, thiserror::Error)]
#[error("it needs the network as ONNX, which the small model of this check does not have")]
pub struct NeedsNetwork;

/// A model of a few tensors and a calibration batch, without a network that could be written as ONNX.
pub fn model() -> ModelBench {
    named("model", 0.0)
}

/// A model with the same tensors, whose values are others.
pub fn other_values() -> ModelBench {
    named("model", 1.0)
}

/// A model that has nothing in common with the first.
pub fn other_model() -> ModelBench {
    let mut other = named("other", 1.0);
    (other.metadata.model, other.metadata.epoch) = ("yolo12s".into(), 4);
    other.tensor("other.2.scale", &[1], &[1.0])
}

fn named(prefix: &str, first: f32) -> ModelBench {
    let mut metadata = Metadata::default();
    metadata.model = "yolo12n".into();
    metadata.names = ["a", "b", "c"].map(String::from).into();
    (metadata.imgsz, metadata.epoch, metadata.map50_95, metadata.version) = (IMGSZ, 3, 0.25, "0.1.0".into());
    let values: Vec<f32> = (0..24).map(|i| i as f32 * 0.37 - 4.0 + first).collect();
    let mut bench = ModelBench::default();
    bench.metadata = metadata;
    let size = vec![1, 3, IMGSZ.into(), IMGSZ.into()];
    let bytes = 0.5f32.to_ne_bytes().repeat(size.iter().product::<i64>() as usize);
    bench.calibration = vec![StoredTensor { name: "images".into(), dtype: Dtype::F32, size, bytes }];
    let bench = bench.tensor(&format!("{prefix}.0.conv.weight"), &[2, 3, 2, 2], &values);
    bench.tensor(&format!("{prefix}.0.bn.bias"), &[4], &values[..4]).tensor("model.1.scale", &[], &values[..1])
}

/// What an export wrote.
pub struct Written {
    pub artifacts: Vec<Artifact>,
    /// Every file below the directory, with its bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Exports one format of a model into `directory`; [`NeedsNetwork`] where it fails for want of ONNX.
pub fn export(
    exporter: &mut dyn Exporter,
    format: &Format,
    directory: &Path,
    mut model: ModelBench,
) -> Result<Written> {
    let cx = ExportContext { format: format.name.clone(), imgsz: IMGSZ, batch: 1 };
    let out = directory.join(format!("best.{}", format.extension));
    faulty::take_network_asked();
    let artifacts = exporter.export(&faulty::model(model.view()), &out, &cx);
    let wants_network = faulty::take_network_asked();
    let artifacts = artifacts.map_err(|error| match wants_network && !is_panic(&error) {
        true => error.context(NeedsNetwork),
        false => error,
    })?;
    Ok(Written { artifacts, files: files(directory)? })
}

/// Every file below a directory, by its path from there.
pub fn files(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(directory).min_depth(1) {
        let entry = entry?;
        let name = entry.path().strip_prefix(directory)?.display().to_string();
        let bytes = if entry.file_type().is_file() { fs::read(entry.path())? } else { Vec::new() };
        files.insert(name, bytes);
    }
    Ok(files)
}

/// The formats of an exporter, which has at least one.
pub fn formats(exporter: &dyn Exporter) -> Result<Vec<Format>> {
    let formats = exporter.formats().context("`formats` fails")?;
    ensure!(!formats.is_empty(), "`formats` names no format; name at least one");
    Ok(formats)
}
