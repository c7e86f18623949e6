//! Schedulers, augmentations, exporters.

use std::{fs, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{
    Artifact, AugmentContext, Augmentation, ExportContext, Exporter, Format, HsvGains, Model, Progress, Rates, Result,
    Sample, Scheduler,
};

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerNan {}

impl Scheduler for SchedulerNan {
    fn rates(&mut self, at: &Progress, groups: &mut [Rates]) -> Result<()> {
        let left = at.epochs * at.steps_per_epoch - at.step - 1;
        for rates in groups {
            rates.lr = rates.initial_lr * (0.0 / left as f64);
        }
        Ok(())
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        assert!(state.is_empty(), "told to panic");
        Ok(())
    }
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerForgets {
    undocumented: f64,
    #[serde(skip)]
    calls: f64,
}

impl Scheduler for SchedulerForgets {
    fn rates(&mut self, _: &Progress, groups: &mut [Rates]) -> Result<()> {
        self.calls += 1.0;
        groups.iter_mut().for_each(|rates| rates.lr = rates.initial_lr / self.calls);
        Ok(())
    }
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Outside {}

impl Augmentation for Outside {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
        let mut objects = sample.objects();
        objects.iter_mut().for_each(|object| object.bbox.x2 += 1000.0);
        sample.set_objects(&objects)
    }
}

/// Takes any options: unknown ones are not refused.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RandomLight {}

impl Augmentation for RandomLight {
    fn apply(&self, sample: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
        let v = 0.5 + (crate::some_number() % 1000) as f32 / 1000.0; // so many outcomes that none comes twice by chance
        sample.recolor(HsvGains { v, ..HsvGains::NEUTRAL })
    }
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExporterLitters {}

impl Exporter for ExporterLitters {
    fn formats(&self) -> Result<Vec<Format>> {
        Ok(vec![Format::new("names", "txt", "the names of the tensors")])
    }

    fn export(&mut self, model: &Model, out: &Path, _: &ExportContext) -> Result<Vec<Artifact>> {
        fs::write(out.with_extension("log"), "began")?;
        model.metadata()?;
        fs::write(out, model.names().join("\n"))?;
        Ok(vec![Artifact::new(out, "names")])
    }
}
