//! Components of every kind that change nothing and panic where their options say: the fixture of tests/bad_plugins.rs
//! and tests/bad_input.rs.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{
    Artifact, AugmentContext, Augmentation, ExportContext, Exporter, Format, Loss, LossContext, Model, Predictions,
    Progress, Rates, ReadyContext, Result, Sample, Scheduler, Targets, Terms, export_plugin,
};

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// The function that panics.
    at: At,
    /// The first step at which it does.
    step: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum At {
    #[default]
    Nowhere,
    Create,
    Ready,
    Targets,
    Terms,
    /// In a term that was offered.
    Offered,
    Partners,
    Apply,
    Rates,
    Formats,
    Export,
    Save,
    Load,
    Drop,
    /// Does not panic, but makes an object of class 1000.
    Class,
}

#[derive(Deserialize, JsonSchema)]
#[serde(from = "Options")]
struct Panicky(Options);

impl Panicky {
    fn reach(&self, at: At) {
        self.reach_in_step(at, usize::MAX);
    }

    fn reach_in_step(&self, at: At, step: usize) {
        let name = format!("{at:?}").to_lowercase();
        assert!(self.0.at != at || step < self.0.step, "told to panic in {name}");
    }
}

impl From<Options> for Panicky {
    fn from(options: Options) -> Self {
        let made = Self(options);
        if made.0.at == At::Create {
            made.reach(At::Create);
        }
        made
    }
}

impl Drop for Panicky {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.reach(At::Drop);
        }
    }
}

impl Loss for Panicky {
    fn ready(&mut self, _: &ReadyContext) -> Result<()> {
        self.reach(At::Ready);
        Ok(())
    }

    fn targets(&mut self, _: &mut Targets, cx: &LossContext) -> Result<()> {
        self.reach_in_step(At::Targets, cx.step);
        Ok(())
    }

    fn terms(&mut self, terms: &mut Terms, _: &Predictions, _: &Targets, cx: &LossContext) -> Result<()> {
        self.reach_in_step(At::Terms, cx.step);
        if self.0.at == At::Offered {
            terms.offer("late", || panic!("told to panic in offered"))?;
        }
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        self.reach(At::Save);
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8]) -> Result<()> {
        self.reach(At::Load);
        Ok(())
    }
}

impl Augmentation for Panicky {
    fn ready(&mut self, _: &ReadyContext) -> Result<()> {
        self.reach(At::Ready);
        Ok(())
    }

    fn partners(&self) -> usize {
        self.reach(At::Partners);
        0
    }

    fn apply(&self, sample: &mut Sample, _: &mut [Sample], _: &mut AugmentContext) -> Result<()> {
        self.reach(At::Apply);
        if self.0.at == At::Class {
            let mut objects = sample.objects();
            objects.iter_mut().for_each(|object| object.class = 1000);
            sample.set_objects(&objects)?;
        }
        Ok(())
    }
}

impl Scheduler for Panicky {
    fn ready(&mut self, _: &ReadyContext) -> Result<()> {
        self.reach(At::Ready);
        Ok(())
    }

    fn rates(&mut self, at: &Progress, _: &mut [Rates]) -> Result<()> {
        self.reach_in_step(At::Rates, at.step);
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        self.reach(At::Save);
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8]) -> Result<()> {
        self.reach(At::Load);
        Ok(())
    }
}

impl Exporter for Panicky {
    fn ready(&mut self, _: &ReadyContext) -> Result<()> {
        self.reach(At::Ready);
        Ok(())
    }

    fn formats(&self) -> Result<Vec<Format>> {
        self.reach(At::Formats);
        Ok(Vec::new())
    }

    fn export(&mut self, _: &Model, _: &Path, _: &ExportContext) -> Result<Vec<Artifact>> {
        self.reach(At::Export);
        Ok(Vec::new())
    }

    fn save(&self) -> Result<Vec<u8>> {
        self.reach(At::Save);
        Ok(Vec::new())
    }

    fn load(&mut self, _: &[u8]) -> Result<()> {
        self.reach(At::Load);
        Ok(())
    }
}

export_plugin! {
    loss "panicky" "panics where it is told to": Panicky;
    augmentation "panicky_pixels" "panics where it is told to": Panicky;
    scheduler "panicky_rates" "panics where it is told to": Panicky;
    exporter "panicky_files" "panics where it is told to": Panicky
}
