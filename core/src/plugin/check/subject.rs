//! The component under test: where it comes from, and instances of it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use trainer_loader::{Plugin, conformance};
use trainer_sdk::{Augmentation, Exporter, Loss, ReadyContext, Rng, Scheduler};

use crate::registry::{Options, Registry};

/// The loss that assigns objects to anchors, the first link of every chain.
pub const FIRST: &str = "detection";

/// One component, and the plugin that it is part of (none for a built-in one).
pub struct Subject<'a> {
    pub registry: &'a Registry,
    pub plugin: Option<&'a Plugin>,
    /// Threads of the process before the plugin was loaded, and how long loading took.
    pub threads: usize,
    pub loading: Duration,
    pub kind: String,
    pub name: String,
    /// Chooses what is random in a check.
    pub seed: u64,
}

impl Subject<'_> {
    /// The JSON Schema of its options.
    pub fn schema(&self) -> Result<&Value> {
        let entry = self.registry.find(&self.kind, &self.name);
        Ok(entry.with_context(|| format!("{} {} was not registered", self.kind, self.name))?.schema())
    }

    /// The sentence on what it does.
    pub fn doc(&self) -> &str {
        self.registry.find(&self.kind, &self.name).map_or("", |entry| &entry.doc)
    }

    /// The options of a run that sets none, as JSON.
    pub fn defaults(&self) -> Result<String> {
        Ok(Value::Object(self.registry.effective(&self.kind, &self.name, &Options::new())?).to_string())
    }

    /// Makes an instance of any bytes and ends it.
    pub fn construct(&self, options: &[u8]) -> Result<()> {
        let loaded = self.plugin.iter().flat_map(|plugin| &plugin.components);
        match loaded.into_iter().find(|it| it.entry.kind == self.kind && it.entry.name == self.name) {
            Some(component) => conformance::construct(&component.factory, options),
            None => {
                let options = String::from_utf8_lossy(options);
                match self.kind.as_str() {
                    "loss" => self.registry.loss(&self.name, &options).map(drop),
                    "augmentation" => self.registry.augmentation(&self.name, &options).map(drop),
                    "scheduler" => self.registry.scheduler(&self.name, &options).map(drop),
                    _ => self.registry.exporter(&self.name, &options).map(drop),
                }
            }
        }
    }

    /// An instance that knows the run.
    pub fn loss(&self) -> Result<Box<dyn Loss>> {
        let mut made = self.registry.loss(&self.name, &self.defaults()?)?;
        made.ready(&run())?;
        Ok(made)
    }

    /// An instance that knows the run.
    pub fn augmentation(&self) -> Result<Box<dyn Augmentation>> {
        let mut made = self.registry.augmentation(&self.name, &self.defaults()?)?;
        made.ready(&run())?;
        Ok(made)
    }

    /// An instance that knows the run.
    pub fn scheduler(&self) -> Result<Box<dyn Scheduler>> {
        let mut made = self.registry.scheduler(&self.name, &self.defaults()?)?;
        made.ready(&run())?;
        Ok(made)
    }

    /// An instance that knows the run.
    pub fn exporter(&self) -> Result<Box<dyn Exporter>> {
        let mut made = self.registry.exporter(&self.name, &self.defaults()?)?;
        made.ready(&run())?;
        Ok(made)
    }

    /// The trainer's own loss, the first link of every chain, in its place.
    pub fn own_loss(&self) -> Self {
        Self { kind: "loss".into(), name: FIRST.into(), plugin: None, ..*self }
    }

    /// Whether it was written in Rust, with the SDK.
    pub fn is_rust(&self) -> bool {
        self.plugin.is_none_or(|plugin| plugin.manifest.rustc.starts_with("rustc"))
    }

    /// Random numbers of this check, the same for the same seed.
    pub fn rng(&self, what: u64) -> Rng {
        Rng::from_key(&[self.seed, what])
    }
}

/// The run that every instance is told of.
fn run() -> ReadyContext {
    let mut run = ReadyContext::default();
    run.model = "yolo12n".into();
    run.class_names = ["a", "b", "c"].map(String::from).into();
    (run.imgsz, run.batch, run.epochs, run.num_images) = (640, 2, 10, 20);
    run
}

/// An error's words on one line; whether it began as a panic.
pub fn words(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a component panicked.
pub fn is_panic(error: &anyhow::Error) -> bool {
    let begins = |text: &str| text.starts_with("panicked");
    let told = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref::<trainer_loader::PluginFailure>() {
        Some(failure) => begins(&failure.reason),
        None => begins(&cause.to_string()),
    };
    error.chain().any(told)
}
