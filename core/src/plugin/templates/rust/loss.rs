//! plugin_name: scales the class targets of every anchor.

use trainer_sdk::{Loss, LossContext, Result, Targets, export_plugin};

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct PluginName {
    /// Factor of every class target.
    #[schemars(range(min = 0.0, max = 1.0))]
    factor: f64,
}

impl Default for PluginName {
    fn default() -> Self {
        Self { factor: 0.9 }
    }
}

impl Loss for PluginName {
    fn targets(&mut self, targets: &mut Targets, _cx: &LossContext) -> Result<()> {
        targets.set_scores(&targets.scores()?.mul_scalar(self.factor)?)
    }
}

export_plugin! { loss "plugin_name" "scales every class target": PluginName }

#[cfg(test)]
mod tests {
    use trainer_sdk::testing::{self, LossBench};

    #[test]
    fn targets_are_scaled() {
        let component = testing::component("loss", "plugin_name");
        let mut loss = component.make_loss(r#"{"factor": 0.5}"#).unwrap();
        let targets = testing::tensor(&[0.8, 0.0, 0.0, 0.0], &[1, 2, 2]); // one image, two anchors, two classes
        let scores = LossBench::new(targets).targets(loss.as_mut()).unwrap();
        testing::assert_close(&scores.to_vec().unwrap(), &[0.4, 0.0, 0.0, 0.0], 1e-12);
    }
}
