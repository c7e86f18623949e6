//! The built-in exporter: the averaged weights as plain safetensors, for other programs.

use std::{collections::HashMap, path::Path};

use anyhow::{Context as _, Result, bail};
use safetensors::{Dtype, tensor::TensorView};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trainer_sdk::{Artifact, ExportContext, Exporter, Format, Model};

use crate::checkpoint;

/// Writes every named tensor, and the model's metadata as texts; it has no options.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Safetensors {}

impl Exporter for Safetensors {
    fn formats(&self) -> Result<Vec<Format>> {
        Ok(vec![Format::new("safetensors", "safetensors", "named tensors, for Python, Rust and JavaScript")])
    }

    fn export(&mut self, model: &Model, out: &Path, _: &ExportContext) -> Result<Vec<Artifact>> {
        let mut views = Vec::new();
        for name in model.names() {
            let tensor = model.tensor(&name)?;
            let dtype = match tensor.dtype {
                trainer_sdk::Dtype::F16 => Dtype::F16,
                trainer_sdk::Dtype::BF16 => Dtype::BF16,
                trainer_sdk::Dtype::F32 => Dtype::F32,
                trainer_sdk::Dtype::F64 => Dtype::F64,
                trainer_sdk::Dtype::I64 => Dtype::I64,
                other => bail!("tensor {name} is of type {other:?}, which safetensors files of ours do not hold"),
            };
            let shape = tensor.size.iter().map(|&side| side as usize).collect();
            views.push((name, TensorView::new(dtype, shape, tensor.bytes)?));
        }
        let metadata = model.metadata()?;
        let texts = HashMap::from([
            ("model".to_owned(), metadata.model),
            ("names".to_owned(), serde_json::to_string(&metadata.names)?),
            ("imgsz".to_owned(), metadata.imgsz.to_string()),
            ("format".to_owned(), "pt".to_owned()), // what loaders of Python look for
        ]);
        checkpoint::write(out, &in_order(safetensors::serialize(views, Some(texts))?)?)?;
        Ok(vec![Artifact::new(out, "weights")])
    }
}

/// The same file with its metadata sorted: safetensors writes them in the order of a hash map, another one each time.
fn in_order(mut file: Vec<u8>) -> Result<Vec<u8>> {
    let (length, rest) = file.split_first_chunk_mut().context("safetensors wrote no header")?;
    let header = rest.get_mut(..u64::from_le_bytes(*length) as usize).context("safetensors wrote no header")?;
    let mut fields: Map<String, Value> = serde_json::from_slice(header)?;
    if let Some(Value::Object(texts)) = fields.get_mut("__metadata__") {
        texts.sort_keys();
    }
    let mut sorted = serde_json::to_vec(&fields)?;
    sorted.resize(header.len(), b' '); // as it was padded
    header.copy_from_slice(&sorted);
    Ok(file)
}

trainer_sdk::component! {
    exporter "safetensors" "writes the weights as named tensors": Safetensors
}
