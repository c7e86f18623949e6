//! Focal loss for soft targets: cross-entropy times the distance between score and target to a power, so that what is
//! right already counts little. After Lin et al. 2017, "Focal Loss for Dense Object Detection", in the form of Li et
//! al. 2020, "Generalized Focal Loss" (its quality focal loss), which equals the former where targets are 0 or 1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use trainer_sdk::{Loss, LossContext, Predictions, Reduction, Result, Targets, Tensor, Terms, export_plugin};

/// Keeps the gradient of a power below 1 finite where score and target are equal.
const TINY: f64 = 1e-30;

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Focal {
    /// The power of |score - target|; 0 is plain cross-entropy.
    #[schemars(range(min = 0.0, max = 10.0))]
    gamma: f64,
    /// Weight of a target of 1; one of 0 has 1 - alpha. Below 0 both have 1.
    #[schemars(range(min = -1.0, max = 1.0))]
    alpha: f64,
}

impl Default for Focal {
    fn default() -> Self {
        Self { gamma: 1.5, alpha: 0.25 }
    }
}

impl Focal {
    /// Summed over anchors and classes.
    fn sum(self, logits: &Tensor, goals: &Tensor) -> Result<Tensor> {
        let mut loss = logits.binary_cross_entropy_with_logits(goals, None, None, Reduction::None)?;
        if self.gamma > 0.0 {
            let wrong = logits.sigmoid()?.sub(goals)?.abs()?.clamp(TINY, 1.0)?;
            loss = loss.mul(&wrong.pow_scalar(self.gamma)?)?;
        }
        if self.alpha >= 0.0 {
            let weight = goals.mul_scalar(2.0 * self.alpha - 1.0)?.add_scalar(1.0 - self.alpha)?;
            loss = loss.mul(&weight)?;
        }
        loss.sum()
    }
}

// ANCHOR: loss
impl Loss for Focal {
    fn terms(&mut self, terms: &mut Terms, preds: &Predictions, targets: &Targets, _cx: &LossContext) -> Result<()> {
        let (focal, logits, goals, normaliser) = (*self, preds.scores()?, targets.scores()?, targets.normaliser()?);
        terms.offer("cls", move || focal.sum(&logits, &goals)?.div(&normaliser))
    }
}
// ANCHOR_END: loss

// ANCHOR: export
export_plugin! {
    loss "focal" "replaces the class term by focal loss for soft targets": Focal,
    alias "fl_gamma" = "gamma"
}
// ANCHOR_END: export

#[cfg(test)]
mod tests {
    use trainer_sdk::testing::{self, LossBench};

    const TARGETS: [f64; 4] = [0.8, 0.0, 0.0, 1.0];
    const LOGITS: [f64; 4] = [0.5, -2.0, 3.0, 0.0];

    /// The term for two anchors and two classes, whose normaliser is 1.8.
    fn term(options: &str) -> f64 {
        let mut loss = testing::component("loss", "focal").make_loss(options).unwrap();
        let mut bench = LossBench::new(testing::tensor(&TARGETS, &[1, 2, 2]))
            .prediction("scores", testing::tensor(&LOGITS, &[1, 2, 2]))
            .offer("cls", || panic!("the built-in term is computed in vain"));
        bench.terms(loss.as_mut()).unwrap();
        assert_eq!(bench.names(), ["cls"]);
        bench.value("cls").unwrap()
    }

    /// Sum of cross-entropy times `weight(score, target)` / 1.8.
    fn wanted(weight: impl Fn(f64, f64) -> f64) -> f64 {
        let one = |(x, t): (&f64, &f64)| {
            let score = 1.0 / (1.0 + (-x).exp());
            -(t * score.ln() + (1.0 - t) * (1.0 - score).ln()) * weight(score, *t)
        };
        LOGITS.iter().zip(&TARGETS).map(one).sum::<f64>() / 1.8
    }

    #[test]
    fn without_focus_it_is_the_built_in_term() {
        testing::assert_close(&[term(r#"{"gamma": 0, "alpha": -1}"#)], &[wanted(|_, _| 1.0)], 1e-12);
    }

    #[test]
    fn what_is_right_counts_by_its_distance_to_the_power_of_gamma() {
        let distance = |score: f64, t: f64| (score - t).abs();
        testing::assert_close(&[term(r#"{"alpha": -1}"#)], &[wanted(|s, t| distance(s, t).powf(1.5))], 1e-12);
        testing::assert_close(&[term(r#"{"gamma": 2, "alpha": -1}"#)], &[wanted(|s, t| distance(s, t).powi(2))], 1e-12);
    }

    #[test]
    fn alpha_weighs_objects_against_background() {
        let alpha = |t: f64| 0.25 * t + 0.75 * (1.0 - t);
        testing::assert_close(&[term(r#"{"gamma": 0}"#)], &[wanted(|_, t| alpha(t))], 1e-12);
        testing::assert_close(&[term("{}")], &[wanted(|s, t| alpha(t) * (s - t).abs().powf(1.5))], 1e-12);
    }

    #[test]
    fn a_term_that_is_dropped_is_not_computed() {
        let mut loss = testing::component("loss", "focal").make_loss("{}").unwrap();
        let mut bench = LossBench::new(testing::tensor(&TARGETS, &[1, 2, 2]))
            .prediction("scores", testing::tensor(&LOGITS, &[1, 4])); // of another size: computing it would fail
        bench.terms(loss.as_mut()).unwrap();
        assert!(bench.value("cls").is_err());
    }

    #[test]
    fn options_are_checked() {
        let component = testing::component("loss", "focal");
        assert_eq!(component.options_default(), serde_json::json!({"gamma": 1.5, "alpha": 0.25}));
        assert!(component.make_loss(r#"{"gamma": -1}"#).is_err());
        assert!(component.make_loss(r#"{"alpha": 2}"#).is_err());
        assert_eq!(component.component().aliases, [("fl_gamma", "gamma")]);
    }
}
