//! What can take a socket, by kind and name: built-ins, then the components of loaded plugins. Nobody else asks where
//! a component comes from.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value};
use thiserror::Error;
use trainer_loader::{Found, LoadOptions, LoadedFactory, Plugin};
use trainer_sdk::{
    Augmentation, Exporter, Loss, Scheduler,
    component::{self, Maker},
};

use crate::near::near;

/// Bytes of an option's value that a message repeats.
const LONGEST_SHOWN: usize = 200;

/// Options of a component, by name.
pub type Options = Map<String, Value>;

/// One component that can be named in a run.
pub struct Entry {
    /// `augmentation`, `scheduler`, `loss` or `exporter`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// One sentence on what it does.
    pub doc: String,
    /// Keys that stand for one of its options.
    pub aliases: BTreeMap<String, String>,
    /// The plugin it belongs to; none for a built-in.
    pub plugin: Option<String>,
    schema: Value,
    maker: AnyMaker,
}

enum AnyMaker {
    BuiltIn(Maker),
    Loaded(LoadedFactory),
}

/// An option that a component cannot take.
#[derive(Debug, Error)]
#[error("{reason}")]
pub struct OptionError {
    /// The option's name; `use` where no component has the name.
    pub option: String,
    /// What is wrong with it, the name included.
    pub reason: String,
}

/// All components, and the plugins they came from.
pub struct Registry {
    entries: Vec<Entry>,
    plugins: Vec<Plugin>,
    /// How plugins are loaded from here on.
    pub load_options: LoadOptions,
}

impl Registry {
    /// The built-ins alone.
    #[must_use]
    pub fn built_in() -> Self {
        crate::torch::install();
        let entry = |component: &&component::Component| Entry {
            kind: component.maker.kind().into(),
            name: component.name.into(),
            doc: component.doc.into(),
            aliases: component.aliases.iter().map(|&(key, option)| (key.into(), option.into())).collect(),
            plugin: None,
            schema: (component.schema)(),
            maker: AnyMaker::BuiltIn(component.maker),
        };
        Self {
            entries: component::all().iter().map(entry).collect(),
            plugins: Vec::new(),
            load_options: LoadOptions::default(),
        }
    }

    /// Loads a plugin file and adds its components; the file found for `name` is added once however often it is named.
    /// Returns the plugin.
    ///
    /// # Errors
    /// Why the file was refused, or that it provides a name that is taken.
    pub fn load(&mut self, name: &Path) -> Result<&Plugin> {
        self.load_found(&trainer_loader::resolve(name, &trainer_loader::search_path())?)
    }

    /// As [`load`](Self::load), for a file that was found already.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_found(&mut self, found: &Found) -> Result<&Plugin> {
        let path = &found.path;
        if let Some(known) = self.plugins.iter().position(|plugin| plugin.path == *path) {
            return Ok(&self.plugins[known]);
        }
        crate::torch::install();
        let plugin = trainer_loader::load(found, &self.load_options)?;
        plugin.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let mut entries: Vec<Entry> = Vec::new();
        for component in &plugin.components {
            let entry = &component.entry;
            let what = format!("plugin {} provides {} `{}`", path.display(), entry.kind, entry.name);
            if let Some(taken) = self.find(&entry.kind, &entry.name) {
                let owner = taken.plugin.as_deref().map_or("the trainer itself".into(), |id| format!("plugin {id}"));
                bail!("{what}, which {owner} provides already; load only one of them");
            }
            if entries.iter().any(|it| it.kind == entry.kind && it.name == entry.name) {
                bail!("{what} more than once; its author must name each component once");
            }
            entries.push(Entry {
                kind: entry.kind.clone(),
                name: entry.name.clone(),
                doc: entry.doc.clone(),
                aliases: entry.aliases.clone(),
                plugin: Some(plugin.manifest.id.clone()),
                schema: component.schema.clone(),
                maker: AnyMaker::Loaded(component.factory.clone()),
            });
        }
        self.entries.append(&mut entries);
        self.plugins.push(plugin);
        Ok(self.plugins.last().expect("just pushed"))
    }

    /// The plugins, in the order they were loaded.
    #[must_use]
    pub fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }

    /// All components, built-ins first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The component of that kind and name.
    #[must_use]
    pub fn find(&self, kind: &str, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.kind == kind && entry.name == name)
    }

    fn known(&self, kind: &str, name: &str) -> Result<&Entry> {
        let names = || self.entries.iter().filter(|entry| entry.kind == kind).map(|entry| entry.name.as_str());
        self.find(kind, name).ok_or_else(|| {
            anyhow!(
                "unknown {kind} `{name}`, known are {}{}",
                names().collect::<Vec<_>>().join(", "),
                near(name, names())
            )
        })
    }

    /// Checks options against the component's schema and fills in its defaults.
    ///
    /// # Errors
    /// If there is no such component, or an option is unknown, of the wrong type or out of range; the message names
    /// the option.
    pub fn effective(&self, kind: &str, name: &str, options: &Options) -> Result<Options, OptionError> {
        let entry = self.known(kind, name);
        let entry = entry.map_err(|error| OptionError { option: "use".into(), reason: error.to_string() })?;
        entry.effective(options)
    }

    /// Makes a loss.
    ///
    /// # Errors
    /// If there is none of that name or it refuses the options (JSON).
    pub fn loss(&self, name: &str, options: &str) -> Result<Box<dyn Loss>> {
        match &self.known("loss", name)?.maker {
            AnyMaker::BuiltIn(Maker::Loss(make)) => make(options),
            AnyMaker::Loaded(factory) => factory.loss(options),
            AnyMaker::BuiltIn(_) => Err(anyhow!("`{name}` is no loss")),
        }
        .with_context(|| format!("loss {name}"))
    }

    /// Makes an augmentation.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn augmentation(&self, name: &str, options: &str) -> Result<Box<dyn Augmentation>> {
        match &self.known("augmentation", name)?.maker {
            AnyMaker::BuiltIn(Maker::Augmentation(make)) => make(options),
            AnyMaker::Loaded(factory) => factory.augmentation(options),
            AnyMaker::BuiltIn(_) => Err(anyhow!("`{name}` is no augmentation")),
        }
        .with_context(|| format!("augmentation {name}"))
    }

    /// Makes a scheduler.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn scheduler(&self, name: &str, options: &str) -> Result<Box<dyn Scheduler>> {
        match &self.known("scheduler", name)?.maker {
            AnyMaker::BuiltIn(Maker::Scheduler(make)) => make(options),
            AnyMaker::Loaded(factory) => factory.scheduler(options),
            AnyMaker::BuiltIn(_) => Err(anyhow!("`{name}` is no scheduler")),
        }
        .with_context(|| format!("scheduler {name}"))
    }

    /// Makes an exporter.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn exporter(&self, name: &str, options: &str) -> Result<Box<dyn Exporter>> {
        match &self.known("exporter", name)?.maker {
            AnyMaker::BuiltIn(Maker::Exporter(make)) => make(options),
            AnyMaker::Loaded(factory) => factory.exporter(options),
            AnyMaker::BuiltIn(_) => Err(anyhow!("`{name}` is no exporter")),
        }
        .with_context(|| format!("exporter {name}"))
    }
}

impl Entry {
    /// The JSON Schema of its options.
    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The names of its options.
    pub fn options(&self) -> impl Iterator<Item = &str> {
        self.properties().into_iter().flat_map(|map| map.keys().map(String::as_str))
    }

    fn properties(&self) -> Option<&Options> {
        self.schema.get("properties")?.as_object()
    }

    /// The values of an option that is an enum with a sentence on each.
    fn choices(&self, option: &str) -> Option<Vec<&Value>> {
        let variants = self.properties()?.get(option)?.get("oneOf")?.as_array()?;
        let mut choices = Vec::new();
        for variant in variants {
            match variant.get("const") {
                Some(one) => choices.push(one),
                None => choices.extend(variant.get("enum")?.as_array()?),
            }
        }
        Some(choices)
    }

    fn effective(&self, given: &Options) -> Result<Options, OptionError> {
        let Self { kind, name, .. } = self;
        let refused = |option: &str, reason: String| OptionError { option: option.to_owned(), reason };
        for option in given.keys() {
            if !self.options().any(|known| known == option) {
                let known = self.options().collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "no options" } else { &known };
                let near = near(option, self.options());
                return Err(refused(
                    option,
                    format!("unknown option `{name}.{option}`, {kind} {name} has {known}{near}"),
                ));
            }
        }
        let validator = jsonschema::validator_for(&self.schema)
            .map_err(|reason| refused("use", format!("the option schema of {kind} {name} is not valid: {reason}")))?;
        if let Some(error) = validator.iter_errors(&Value::Object(given.clone())).next() {
            let option = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
            if let (Some(value), Some(choices)) = (given.get(&option), self.choices(&option)) {
                let near =
                    near(value.as_str().unwrap_or_default(), choices.iter().filter_map(|choice| choice.as_str()));
                let choices = choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let value = if value.to_string().len() <= LONGEST_SHOWN { value } else { &Value::from("…") };
                return Err(refused(
                    &option,
                    format!("option `{name}.{option}`: {value} is not one of {choices}{near}"),
                ));
            }
            let is_short = error.instance().as_str().is_none_or(|text| text.len() <= LONGEST_SHOWN);
            let error = if is_short { error.to_string() } else { error.masked().to_string() };
            return Err(refused(&option, format!("option `{name}.{option}`: {error}")));
        }
        let mut options = Options::new();
        for (option, schema) in self.properties().into_iter().flatten() {
            if let Some(value) = given.get(option).or_else(|| schema.get("default")).filter(|value| !value.is_null()) {
                options.insert(option.clone(), value.clone());
            }
        }
        Ok(options)
    }
}
