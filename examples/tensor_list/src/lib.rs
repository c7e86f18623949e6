//! The smallest exporter plugin: a text file that lists a model's tensors.

use std::{fmt::Write as _, fs, path::Path};

use trainer_sdk::{Artifact, ExportContext, Exporter, Format, Model, Result, export_plugin};

// ANCHOR: options
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct TensorList {}
// ANCHOR_END: options

// ANCHOR: exporter
impl Exporter for TensorList {
    fn formats(&self) -> Result<Vec<Format>> {
        Ok(vec![Format::new("tensors", "txt", "name and size of each tensor")]) // users write format=tensors
    }

    fn export(&mut self, model: &Model, out: &Path, _cx: &ExportContext) -> Result<Vec<Artifact>> {
        let mut text = String::new();
        for name in model.names() {
            writeln!(text, "{name} {:?}", model.tensor(&name)?.size)?;
        }
        let beside = out.with_extension("part"); // written beside and renamed, so that no half of a file is left
        fs::write(&beside, text)?;
        fs::rename(&beside, out)?;
        Ok(vec![Artifact::new(out, "the list of tensors")])
    }
}
// ANCHOR_END: exporter

export_plugin! { exporter "tensor_list" "lists a model's tensors": TensorList }

#[cfg(test)]
mod tests;
