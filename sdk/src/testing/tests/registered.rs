//! Components are found by name, and their options taken as the trainer takes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Loss, Result, Terms,
    testing::{self, LossBench},
};

/// Adds a constant term.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Constant {
    #[schemars(range(min = -1.0, max = 1.0))]
    value: f64,
}

impl Default for Constant {
    fn default() -> Self {
        Self { value: 0.5 }
    }
}

impl Loss for Constant {
    fn terms(
        &mut self,
        terms: &mut Terms,
        _: &crate::Predictions,
        _: &crate::Targets,
        _: &crate::LossContext,
    ) -> Result<()> {
        terms.set("constant", &testing::tensor(&[self.value], &[]))
    }
}

crate::component! { loss "constant" "adds a constant term": Constant }

fn value(options: &str) -> Result<f64> {
    let mut loss = testing::component("loss", "constant").make_loss(options)?;
    let mut bench = LossBench::new(testing::tensor(&[], &[0, 0, 1]));
    bench.terms(loss.as_mut())?;
    bench.value("constant")
}

#[test]
fn options_are_checked_and_filled_in() {
    let constant = testing::component("loss", "constant");
    assert_eq!(constant.component().doc, "adds a constant term");
    assert_eq!(constant.options_default()["value"], 0.5);
    assert_eq!(constant.schema()["properties"]["value"]["minimum"], -1.0);
    assert_eq!((value("{}").unwrap(), value(r#"{"value": -1}"#).unwrap()), (0.5, -1.0));
    let message = |options| format!("{:#}", value(options).unwrap_err());
    assert_eq!(message(r#"{"value": 1.5}"#), "option `constant.value`: 1.5 is greater than the maximum of 1");
    assert_eq!(message(r#"{"value": -2}"#), "option `constant.value`: -2 is less than the minimum of -1");
    assert_eq!(message(r#"{"valeu": 0}"#), "unknown option `constant.valeu`; there are value");
    assert!(message(r#"{"value": "much"}"#).starts_with("cannot take these options"));
    assert!(message("0.5").starts_with("options are a JSON object"));
}

#[test]
#[should_panic(expected = "no loss `constnat` is registered; there are loss constant")]
fn an_unknown_name_lists_the_known() {
    let _ = testing::component("loss", "constnat");
}
