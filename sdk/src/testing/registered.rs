//! A plugin's component as the trainer finds it: by kind and name, with its schema and the defaults in it.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::{
    Augmentation, Exporter, Loss, Scheduler,
    component::{self, Component, Maker},
};

/// A component that was registered by [`export_plugin!`](crate::export_plugin!) or
/// [`component!`](crate::component!).
pub struct Registered(&'static Component);

/// The registered component of that kind and name.
///
/// # Panics
/// If there is none; the message lists those there are.
#[must_use]
pub fn component(kind: &str, name: &str) -> Registered {
    let all = component::all();
    let found = all.iter().find(|known| (known.maker.kind(), known.name) == (kind, name));
    Registered(found.unwrap_or_else(|| {
        let known: Vec<_> = all.iter().map(|known| format!("{} {}", known.maker.kind(), known.name)).collect();
        panic!("no {kind} `{name}` is registered; there are {}", known.join(", "))
    }))
}

impl Registered {
    /// The registration itself.
    #[must_use]
    pub fn component(&self) -> &'static Component {
        self.0
    }

    /// The JSON Schema of its options.
    #[must_use]
    pub fn schema(&self) -> Value {
        (self.0.schema)()
    }

    /// The options of a run that sets none, from the schema.
    #[must_use]
    pub fn options_default(&self) -> Value {
        let schema = self.schema();
        let defaults =
            properties(&schema).filter_map(|(key, option)| Some((key.clone(), option.get("default")?.clone())));
        Value::Object(defaults.collect())
    }

    /// Makes an augmentation; as [`make_loss`](Self::make_loss).
    ///
    /// # Errors
    /// If the options are refused or the component is no augmentation.
    pub fn make_augmentation(&self, options: &str) -> Result<Box<dyn Augmentation>> {
        let Maker::Augmentation(make) = self.0.maker else { return self.is_no("augmentation") };
        make(&self.effective(options)?.to_string())
    }

    /// Makes a scheduler; as [`make_loss`](Self::make_loss).
    ///
    /// # Errors
    /// If the options are refused or the component is no scheduler.
    pub fn make_scheduler(&self, options: &str) -> Result<Box<dyn Scheduler>> {
        let Maker::Scheduler(make) = self.0.maker else { return self.is_no("scheduler") };
        make(&self.effective(options)?.to_string())
    }

    /// Makes an exporter; as [`make_loss`](Self::make_loss).
    ///
    /// # Errors
    /// If the options are refused or the component is no exporter.
    pub fn make_exporter(&self, options: &str) -> Result<Box<dyn Exporter>> {
        let Maker::Exporter(make) = self.0.maker else { return self.is_no("exporter") };
        make(&self.effective(options)?.to_string())
    }

    fn is_no<T>(&self, kind: &str) -> Result<T> {
        bail!("{} `{}` is no {kind}", self.0.maker.kind(), self.0.name)
    }

    /// Makes a loss from options as JSON. As the trainer does, refuses options that the schema does not have or whose
    /// number is out of its range, and takes those left out from the schema's defaults. (The trainer checks all of
    /// the schema.)
    ///
    /// # Errors
    /// If the options are refused or the component is no loss.
    pub fn make_loss(&self, options: &str) -> Result<Box<dyn Loss>> {
        let Maker::Loss(make) = self.0.maker else { return self.is_no("loss") };
        make(&self.effective(options)?.to_string())
    }

    fn effective(&self, given: &str) -> Result<Value> {
        let given: Map<String, Value> = serde_json::from_str(given).context("options are a JSON object")?;
        let (schema, mut options) = (self.schema(), self.options_default());
        for (key, value) in given {
            let place = format!("{}.{key}", self.0.name);
            let Some((_, option)) = properties(&schema).find(|(known, _)| **known == key) else {
                let known: Vec<_> = properties(&schema).map(|(known, _)| known.as_str()).collect();
                bail!("unknown option `{place}`; there are {}", known.join(", "));
            };
            let limit = |bound, none| option.get(bound).and_then(Value::as_f64).unwrap_or(none);
            if let Some(number) = value.as_f64() {
                let (low, high) = (limit("minimum", f64::NEG_INFINITY), limit("maximum", f64::INFINITY));
                ensure!(number >= low, "option `{place}`: {number} is less than the minimum of {low}");
                ensure!(number <= high, "option `{place}`: {number} is greater than the maximum of {high}");
            }
            options[key] = value;
        }
        Ok(options)
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}
