//! Export: a trained model to files of another format, by whichever exporter offers it.

mod model;
mod safetensors;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use trainer_sdk::{Artifact, ExportContext, Exporter, Format, ReadyContext, model_store};

pub use model::{Calibration, ExportModel};

use crate::{checkpoint::Card, config::RunConfig, model::Network, near::near, registry::Registry};

/// Writes the configured weights, which were read into `network` and `card`, in the configured format. With
/// `calibration`, exporters may ask for its images.
///
/// # Errors
/// If there are no weights, no exporter makes the format, or the exporter fails or has written nothing; what it wrote
/// before stays.
pub fn export(
    config: &RunConfig,
    registry: &Registry,
    network: &Network,
    card: &Card,
    calibration: Option<Calibration>,
) -> Result<Vec<Artifact>> {
    let weights = config.model.weights.as_deref().context("give the weights to export: weights=FILE.safetensors")?;
    let (mut exporter, format) = find(config, registry)?;
    let out = config.export.out.clone().unwrap_or_else(|| beside(weights, &format));
    ensure!(out != weights, "the export would replace the weights {}; name another file by out=FILE", out.display());
    let parent = out.parent().filter(|dir| !dir.as_os_str().is_empty());
    ensure!(parent.is_none_or(Path::is_dir), "out={} lies in no directory that exists", out.display());

    let mut ready = ReadyContext::default();
    ready.model.clone_from(&card.model);
    ready.class_names.clone_from(&card.names);
    ready.imgsz = card.imgsz;
    exporter.ready(&ready)?;
    let cx = ExportContext { format: format.name, imgsz: config.model.imgsz, batch: config.train.batch.or(1) };
    let mut model = ExportModel::new(network, card, calibration)?;
    let artifacts = exporter.export(&model_store::view(&mut model), &out, &cx)?;
    ensure!(!artifacts.is_empty(), "the exporter of {} says that it has written nothing", cx.format);
    if let Some(missing) = artifacts.iter().find(|artifact| !artifact.path.exists()) {
        bail!("the exporter of {} says that it has written {}, which is not there", cx.format, missing.path.display());
    }
    Ok(artifacts)
}

/// The exporter that makes the wanted format.
fn find(config: &RunConfig, registry: &Registry) -> Result<(Box<dyn Exporter>, Format)> {
    let (wanted, mut known) = (&config.export.format, Vec::new());
    for component in &config.exporter {
        let options = serde_json::Value::Object(component.options.clone()).to_string();
        let exporter = registry.exporter(&component.name, &options)?;
        let formats = exporter.formats().with_context(|| format!("exporter {}", component.name))?;
        if let Some(format) = formats.iter().find(|format| format.name == *wanted) {
            let format = format.clone();
            return Ok((exporter, format));
        }
        known.extend(formats.into_iter().map(|format| format.name));
    }
    let near = near(wanted, known.iter().map(String::as_str));
    bail!(
        "no exporter makes format={wanted}, known are {} (a plugin adds more by --plugin FILE.so){near}",
        known.join(", ")
    )
}

/// The file beside the weights with the format's extension.
fn beside(weights: &Path, format: &Format) -> PathBuf {
    match weights.extension().is_some_and(|extension| *extension == *format.extension) {
        true => weights.with_extension(format!("export.{}", format.extension)),
        false => weights.with_extension(&format.extension),
    }
}
