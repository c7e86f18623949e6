//! Models as NumPy archives: `numpy.load` gives every tensor under its name, and `metadata.json`. Needs no ONNX.

mod npy;

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Artifact, Context, ExportContext, Exporter, Format, Model, Result, export_plugin};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Npz {
    /// Deflates the members, as numpy.savez_compressed; else they are stored, as numpy.savez.
    compress: bool,
    /// Writes floats as float16.
    half: bool,
}

impl Npz {
    fn write(&self, model: &Model, path: &Path) -> Result<()> {
        let method = if self.compress { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        let plain = SimpleFileOptions::default().compression_method(method);
        let mut archive = ZipWriter::new(File::create_new(path)?);
        archive.start_file("metadata.json", plain)?;
        serde_json::to_writer_pretty(&mut archive, &model.metadata()?)?;
        for name in model.names() {
            let array = npy::encode(&model.tensor(&name)?, self.half).with_context(|| format!("tensor `{name}`"))?;
            let is_large = array.len() >= u32::MAX as usize;
            archive.start_file(format!("{name}.npy"), plain.large_file(is_large))?;
            archive.write_all(&array)?;
        }
        archive.finish()?.sync_all()?;
        Ok(())
    }
}

// ANCHOR: exporter
impl Exporter for Npz {
    fn formats(&self) -> Result<Vec<Format>> {
        Ok(vec![Format::new("npz", "npz", "a NumPy archive of all tensors and metadata.json")])
    }

    fn export(&mut self, model: &Model, out: &Path, _cx: &ExportContext) -> Result<Vec<Artifact>> {
        let beside = out.with_extension(format!("npz.{}", std::process::id()));
        let written = self.write(model, &beside).and_then(|()| Ok(fs::rename(&beside, out)?));
        if written.is_err() {
            let _ = fs::remove_file(&beside); // the error that led here says more than one of this would
        }
        written.with_context(|| format!("cannot write {}", out.display()))?;
        Ok(vec![Artifact::new(out, "all tensors by name, and metadata.json")])
    }
}
// ANCHOR_END: exporter

export_plugin! {
    exporter "npz" "writes all tensors and metadata.json as a NumPy archive": Npz
}

#[cfg(test)]
mod tests;
