//! An exporter of a plugin.

use std::path::Path;

use anyhow::{Context as _, Result};
use trainer_abi::{self as abi, ExporterTable, Str};
use trainer_sdk::{Artifact, ExportContext, Exporter, Format, Model, ReadyContext};

use crate::guest::Instance;

impl Exporter for Instance<ExporterTable> {
    fn ready(&mut self, run: &ReadyContext) -> Result<()> {
        Instance::ready(self, run)
    }

    fn formats(&self) -> Result<Vec<Format>> {
        // SAFETY: instance and sinks live for the call.
        let text = self.read("formats", |table, object, out, error| unsafe { (table.formats)(object, out, error) })?;
        self.parse("formats", &text)
    }

    fn export(&mut self, model: &Model, out: &Path, cx: &ExportContext) -> Result<Vec<Artifact>> {
        let path = out.to_str().with_context(|| format!("the path {} is not UTF-8", out.display()))?;
        let at = abi::ExportContext { format: Str::new(&cx.format), imgsz: cx.imgsz, batch: cx.batch as u32 };
        // SAFETY: instance, model, texts and sinks live for the call.
        let text = self.read("export", |table, object, artifacts, error| unsafe {
            (table.export)(object, model.raw(), Str::new(path), &raw const at, artifacts, error)
        })?;
        self.parse("export", &text)
    }

    fn save(&self) -> Result<Vec<u8>> {
        // SAFETY: instance and sinks live for the call.
        self.read("save", |table, object, out, error| unsafe { (table.save)(object, out, error) })
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        // SAFETY: instance and state live for the call.
        self.call("load", |table, object, error| unsafe { (table.load)(object, Str::bytes(state), error) })
    }
}
