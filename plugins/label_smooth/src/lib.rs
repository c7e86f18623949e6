//! Label smoothing: a class target t becomes t(1-epsilon) + epsilon * sum(t)/C on assigned anchors; the background,
//! where all targets are 0, stays 0. After Szegedy et al. 2016, "Rethinking the Inception Architecture", section 7.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Loss, LossContext, Result, Targets, export_plugin};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct LabelSmooth {
    /// Share of each class target that is spread evenly over all classes.
    #[schemars(range(min = 0.0, max = 1.0))]
    epsilon: f64,
}

impl Default for LabelSmooth {
    fn default() -> Self {
        Self { epsilon: 0.05 }
    }
}

impl Loss for LabelSmooth {
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        let scores = targets.scores()?;
        let spread = scores.sum_dims(&[-1], true)?.mul_scalar(self.epsilon / cx.num_classes as f64)?;
        targets.set_scores(&scores.mul_scalar(1.0 - self.epsilon)?.add(&spread)?)
    }
}

export_plugin! {
    loss "label_smooth" "spreads part of each class target over all classes": LabelSmooth,
    alias "label_smoothing" = "epsilon"
}

#[cfg(test)]
mod tests {
    use trainer_sdk::{
        Dtype, Tensor,
        testing::{self, LossBench},
    };

    /// Class targets of an object's anchor and one of the background, three classes.
    fn targets() -> Tensor {
        testing::tensor(&[0.8, 0.0, 0.0, 0.0, 0.0, 0.0], &[1, 2, 3])
    }

    fn smoothed(options: &str, targets: Tensor) -> Vec<f64> {
        let mut loss = testing::component("loss", "label_smooth").make_loss(options).unwrap();
        LossBench::new(targets).targets(loss.as_mut()).unwrap().to_vec().unwrap()
    }

    #[test]
    fn spreads_a_share_and_leaves_the_background_alone() {
        let spread = 0.1 * 0.8 / 3.0;
        let wanted = [0.9 * 0.8 + spread, spread, spread, 0.0, 0.0, 0.0];
        testing::assert_close(&smoothed(r#"{"epsilon": 0.1}"#, targets()), &wanted, 1e-15);
    }

    #[test]
    fn epsilon_0_changes_no_bit() {
        let single = targets().to_dtype(Dtype::F32).unwrap();
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
        assert_eq!(bits(smoothed(r#"{"epsilon": 0}"#, single.clone())), bits(single.to_vec().unwrap()));
    }

    #[test]
    fn epsilon_is_0_05_unless_set_and_within_0_and_1() {
        let component = testing::component("loss", "label_smooth");
        assert_eq!(component.options_default()["epsilon"], 0.05);
        assert_eq!(smoothed("{}", targets()), smoothed(r#"{"epsilon": 0.05}"#, targets()));
        let epsilon = &component.schema()["properties"]["epsilon"];
        assert_eq!((epsilon["minimum"].as_f64(), epsilon["maximum"].as_f64()), (Some(0.0), Some(1.0)));
        assert!(component.make_loss(r#"{"epsilon": 1.1}"#).is_err());
        assert_eq!(component.component().aliases, [("label_smoothing", "epsilon")]);
    }
}
