//! Exports of a small model into a directory of their own.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use trainer_sdk::{Artifact, ExportContext, Exporter, Format, Metadata, Model, testing::ModelBench};

/// A model of a few tensors, without a network that could be written as ONNX.
pub fn model() -> ModelBench {
    let mut metadata = Metadata::default();
    metadata.model = "yolo12n".into();
    metadata.names = ["a", "b", "c"].map(String::from).into();
    (metadata.imgsz, metadata.epoch, metadata.map50_95, metadata.version) = (640, 3, 0.25, "0.1.0".into());
    let values: Vec<f32> = (0..24).map(|i| i as f32 * 0.37 - 4.0).collect();
    let mut bench = ModelBench::default();
    bench.metadata = metadata;
    let bench = bench.tensor("model.0.conv.weight", &[2, 3, 2, 2], &values);
    bench.tensor("model.0.bn.bias", &[4], &values[..4]).tensor("model.1.scale", &[], &values[..1])
}

/// What an export wrote.
pub struct Written {
    pub artifacts: Vec<Artifact>,
    /// Every file below the directory, with its bytes.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Exports one format into `directory`; `seen` may put a table in front of the model's.
pub fn export(
    exporter: &mut dyn Exporter,
    format: &Format,
    directory: &Path,
    seen: impl FnOnce(Model<'_>) -> Model<'_>,
) -> Result<Written> {
    let mut model = model();
    let cx = ExportContext { format: format.name.clone(), imgsz: 640, batch: 1 };
    let out = directory.join(format!("best.{}", format.extension));
    let artifacts = exporter.export(&seen(model.view()), &out, &cx)?;
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
