//! A loss that changes nothing and panics where its options say: the fixture of tests/bad_input.rs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Loss, LossContext, Predictions, Result, Targets, Terms, export_plugin};

#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// Where it panics.
    at: At,
    /// The first step at which it does.
    step: usize,
}

#[derive(Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum At {
    #[default]
    Nowhere,
    Create,
    Targets,
    Terms,
}

#[derive(Deserialize, JsonSchema)]
#[serde(from = "Options")]
struct Panicky(Options);

impl From<Options> for Panicky {
    fn from(options: Options) -> Self {
        assert!(options.at != At::Create, "told to panic in create");
        Self(options)
    }
}

impl Loss for Panicky {
    fn targets(&mut self, _: &mut Targets, cx: &LossContext) -> Result<()> {
        assert!(self.0.at != At::Targets || cx.step < self.0.step, "told to panic in targets");
        Ok(())
    }

    fn terms(&mut self, _: &mut Terms, _: &Predictions, _: &Targets, cx: &LossContext) -> Result<()> {
        assert!(self.0.at != At::Terms || cx.step < self.0.step, "told to panic in terms");
        Ok(())
    }
}

export_plugin! { loss "panicky" "panics where it is told to": Panicky }
