//! A component of each kind that does nothing, so that a call of it costs what the way there costs: the fixture of
//! core/benches/calls.rs.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{
    Artifact, AugmentContext, Augmentation, ExportContext, Exporter, Format, Loss, Model, Progress, Rates, Result,
    Sample, Scheduler, export_plugin,
};

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Idle {}

impl Loss for Idle {}

impl Scheduler for Idle {
    fn rates(&mut self, _: &Progress, _: &mut [Rates]) -> Result<()> {
        Ok(())
    }
}

impl Augmentation for Idle {
    fn apply(&self, _: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
        Ok(())
    }
}

impl Exporter for Idle {
    fn formats(&self) -> Result<Vec<Format>> {
        Ok(Vec::new())
    }

    fn export(&mut self, _: &Model, _: &Path, _: &ExportContext) -> Result<Vec<Artifact>> {
        Ok(Vec::new())
    }
}

export_plugin! {
    loss "idle" "does nothing": Idle;
    scheduler "idle" "does nothing": Idle;
    augmentation "idle" "does nothing": Idle;
    exporter "idle" "makes nothing": Idle
}
