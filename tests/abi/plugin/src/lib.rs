//! One component of each kind, each with an effect that a host can see.

use std::{fs, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{
    Artifact, AugmentContext, Augmentation, ExportContext, Exporter, Format, Loss, LossContext, Model, Progress, Rates,
    Result, Sample, Scheduler, Targets, ensure, export_plugin,
};

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Factor {
    /// What everything is multiplied by.
    #[schemars(range(min = 0.0, max = 10.0))]
    factor: f64,
}

impl Default for Factor {
    fn default() -> Self {
        Self { factor: 0.5 }
    }
}

impl Loss for Factor {
    fn targets(&mut self, targets: &mut Targets, _: &LossContext) -> Result<()> {
        targets.set_scores(&targets.scores()?.mul_scalar(self.factor)?)
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(self.factor.to_le_bytes().to_vec())
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        ensure!(state.len() == 8, "the state has {} bytes, not 8", state.len());
        self.factor = f64::from_le_bytes(*state.first_chunk().expect("8 bytes"));
        Ok(())
    }
}

impl Scheduler for Factor {
    fn rates(&mut self, _: &Progress, groups: &mut [Rates]) -> Result<()> {
        groups.iter_mut().for_each(|rates| rates.lr = rates.initial_lr * self.factor);
        Ok(())
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Mirror {}

impl Augmentation for Mirror {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
        sample.flip_horizontal()
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Names {}

impl Exporter for Names {
    fn formats(&self) -> Result<Vec<Format>> {
        Ok(vec![Format::new("names", "txt", "the tensors' names")])
    }

    fn export(&mut self, model: &Model, out: &Path, _: &ExportContext) -> Result<Vec<Artifact>> {
        fs::write(out, model.names().join("\n"))?;
        Ok(vec![Artifact::new(out, "names")])
    }
}

export_plugin! {
    loss "fixture_loss" "multiplies class targets": Factor;
    scheduler "fixture_schedule" "multiplies the first rate": Factor;
    augmentation "fixture_mirror" "mirrors every sample": Mirror;
    exporter "fixture_names" "writes the names of all tensors": Names
}
