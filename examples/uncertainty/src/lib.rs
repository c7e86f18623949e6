//! A loss with a trainable parameter and a term of its own: how much the class term counts is learnt with the network.
//! After Kendall et al. 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses" (arXiv 1705.07115).

use trainer_sdk::{Init, Loss, LossContext, Predictions, ReadyContext, Result, Targets, Terms, export_plugin, tracing};

// ANCHOR: options
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Uncertainty {
    /// The logarithm of the variance at the start; at 0 the class term counts as it does without this loss.
    #[schemars(range(min = -5.0, max = 5.0))]
    start: f64,
}

impl Default for Uncertainty {
    fn default() -> Self {
        Self { start: 0.0 }
    }
}
// ANCHOR_END: options

impl Loss for Uncertainty {
    // ANCHOR: ready
    fn ready(&mut self, run: &ReadyContext) -> Result<()> {
        let (weight, epochs) = ((-self.start).exp(), run.epochs);
        tracing::info!("cls counts {weight:.3} times at first; learnt over {epochs} epochs");
        Ok(())
    }
    // ANCHOR_END: ready

    fn terms(&mut self, terms: &mut Terms, _: &Predictions, _: &Targets, cx: &LossContext) -> Result<()> {
        // ANCHOR: parameter
        let variance = cx.parameter("log_variance", &[1], Init::Constant(self.start))?.sum()?; // a scalar
        // ANCHOR_END: parameter
        // ANCHOR: terms
        let weighted = terms.get("cls")?.mul(&variance.neg()?.exp()?)?;
        terms.set("cls", &weighted)?;
        terms.set("uncertainty", &variance) // a new name: its gain is 1 unless the run file says otherwise
        // ANCHOR_END: terms
    }
}

export_plugin! { loss "uncertainty" "learns how much the class term counts": Uncertainty }

#[cfg(test)]
mod tests;
