//! The smallest loss plugin: halves every class target.

use trainer_sdk::{Loss, LossContext, Result, Targets, export_plugin};

// ANCHOR: options
/// It has no options. A field here, with a default, would be one: users write `half_targets.FIELD=VALUE`.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct HalfTargets {}
// ANCHOR_END: options

// ANCHOR: loss
impl Loss for HalfTargets {
    fn targets(&mut self, targets: &mut Targets, _cx: &LossContext) -> Result<()> {
        targets.set_scores(&targets.scores()?.mul_scalar(0.5)?) // tensors stay on their device
    }
}
// ANCHOR_END: loss

// ANCHOR: export
export_plugin! { loss "half_targets" "halves every class target": HalfTargets }
// ANCHOR_END: export

#[cfg(test)]
mod tests;
