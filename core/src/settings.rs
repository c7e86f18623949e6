//! From what the user wrote (a run file, plugin files, `key=value` words) to a resolved [`RunConfig`]. Every refusal
//! names the key or the line.

mod check;
mod run_file;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize as _;
use serde_json::Value;
use trainer_loader::Plugin;
use trainer_sdk::component;

use crate::{
    augment::recipe,
    config::{ComponentConfig, RunConfig},
    near::near,
    registry::Registry,
};
use check::{Refused, check};
use run_file::RunFile;

/// What the user wrote.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The run file.
    pub file: Option<PathBuf>,
    /// Plugins named on the command line.
    pub plugins: Vec<PathBuf>,
    /// Which of their components take part.
    pub join: Join,
    /// Keys with their values, in order.
    pub keys: Vec<(String, String)>,
}

/// Which components of the plugins named on the command line take part in what is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// All, for training.
    All,
    /// Exporters only.
    Exporters,
    /// None; they are available to be named.
    #[default]
    None,
}

/// Keys of the command line and the places in the configuration that they set.
pub const KEYS: [(&str, &str); 39] = [
    ("data", "data.path"),
    ("fraction", "data.fraction"),
    ("single_cls", "data.single_cls"),
    ("workers", "data.workers"),
    ("cache", "data.cache"),
    ("cache_dir", "data.cache_dir"),
    ("rect", "data.rect"),
    ("model", "model.name"),
    ("weights", "model.weights"),
    ("imgsz", "model.imgsz"),
    ("optimizer", "optimizer.name"),
    ("lr0", "optimizer.lr0"),
    ("momentum", "optimizer.momentum"),
    ("weight_decay", "optimizer.weight_decay"),
    ("nbs", "optimizer.nbs"),
    ("schedule", "schedule.use"),
    ("epochs", "train.epochs"),
    ("batch", "train.batch"),
    ("multi_scale", "train.multi_scale"),
    ("amp", "train.amp"),
    ("gradient_checkpointing", "train.gradient_checkpointing"),
    ("device", "train.device"),
    ("seed", "train.seed"),
    ("patience", "train.patience"),
    ("box", "train.gains.box"),
    ("cls", "train.gains.cls"),
    ("dfl", "train.gains.dfl"),
    ("project", "train.project"),
    ("name", "train.name"),
    ("exist_ok", "train.exist_ok"),
    ("plots", "train.plots"),
    ("conf", "val.conf"),
    ("iou", "val.iou"),
    ("max_det", "val.max_det"),
    ("on_error", "data.on_error"),
    ("format", "export.format"),
    ("out", "export.out"),
    ("plugin_policy", "plugin_policy"),
    ("plugins_lock", "plugins_lock"),
];

/// The keys that plugins are loaded by, and that are therefore set before any is.
const LOADING: [&str; 2] = ["plugin_policy", "plugins_lock"];

/// Keys that YOLO users know and that this version does not offer yet.
const NOT_YET: [&str; 14] = [
    "ddp",
    "deterministic",
    "dynamic",
    "freeze",
    "half",
    "opset",
    "quantize",
    "resume",
    "save_period",
    "sync_bn",
    "time",
    "verbose",
    "compile",
    "dropout",
];

/// The defaults of a training run: smaller ones where no data is named, for the demo data.
#[must_use]
pub fn training(has_data: bool) -> RunConfig {
    if has_data { RunConfig::default() } else { RunConfig::demo() }
}

/// Resolves a request; loads the plugins that it names. `defaults` is told whether the request names data.
///
/// # Errors
/// Whatever in the request cannot be meant; the message names the key, or file and line.
pub fn resolve(
    request: &Request,
    defaults: impl FnOnce(bool) -> RunConfig,
    registry: &mut Registry,
) -> Result<RunConfig> {
    let file = request.file.as_deref().map(RunFile::read).transpose()?;
    let has_data = request.keys.iter().any(|(key, _)| key == "data")
        || file.as_ref().is_some_and(|file| file.values.pointer("/data/path").is_some());
    let mut tree = serde_json::to_value(defaults(has_data))?;
    if let Some(file) = &file {
        merge(&mut tree, file.values.clone());
    }
    let mut config: RunConfig = serde_json::from_value(tree)?;

    let (loading, keys): (Vec<_>, Vec<_>) = request.keys.iter().partition(|(key, _)| LOADING.contains(&key.as_str()));
    for (key, text) in loading {
        config = set(config, registry, key, text)?;
    }
    registry.load_options.policy = config.plugin_policy;
    registry.load_options.lock = config.plugins_lock.clone();
    if let Some(file) = &file {
        for (i, name) in config.plugins.iter().enumerate() {
            registry.load(name).with_context(|| file.locate(&format!("plugins.{i}")))?;
        }
    }
    for name in &request.plugins {
        match request.join {
            Join::All => join(&mut config, registry.load(name)?)?,
            Join::Exporters => {
                let plugin = registry.load(name)?;
                let exporters = plugin.components.iter().filter(|component| component.entry.kind == "exporter");
                config.exporter.extend(exporters.map(|component| ComponentConfig::named(&component.entry.name)));
            }
            Join::None => registry.load(name).map(|_| ())?,
        }
    }
    for (key, text) in keys {
        config = set(config, registry, key, text)?;
    }
    if file.as_ref().is_none_or(|file| file.values.get("augment").is_none()) {
        recipe::order(&mut config.augment);
    }
    recipe::fill(&mut config.augment, &config.model.name);
    let checked = complete(&mut config, registry).and_then(|()| check(&config));
    checked.map_err(|refused| refused.locate(file.as_ref(), &config))?;
    config.plugins = registry.plugins().iter().map(|plugin| plugin.path.clone()).collect();
    Ok(config)
}

/// Puts the values of `over` in the place of those of `under`; lists as a whole.
fn merge(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Value::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}

/// Places each component of a plugin that the run does not place yet.
fn join(config: &mut RunConfig, plugin: &Plugin) -> Result<()> {
    for component in &plugin.components {
        let (kind, name) = (component.entry.kind.as_str(), component.entry.name.as_str());
        if components(config).any(|(known, placed)| known == kind && placed.name == name) {
            continue;
        }
        let new = ComponentConfig::named(name);
        match kind {
            "augmentation" => {
                // Before the stage that brings samples to their final format, where the run has one at its end.
                let last = config.augment.len();
                let is_format = |stage: &ComponentConfig| stage.name == "letterbox";
                config.augment.insert(if config.augment.last().is_some_and(is_format) { last - 1 } else { last }, new);
            }
            "scheduler" => place_scheduler(config, plugin, new)?,
            "exporter" => config.exporter.push(new),
            _ => config.loss.push(new),
        }
    }
    Ok(())
}

/// A plugin's scheduler takes the place of a built-in one; two of plugins are more than a run has room for.
fn place_scheduler(config: &mut RunConfig, plugin: &Plugin, new: ComponentConfig) -> Result<()> {
    let old = &config.schedule.name;
    if !component::all().iter().any(|built_in| built_in.maker.kind() == "scheduler" && built_in.name == old) {
        bail!(
            "plugin {} brings the scheduler {}, but the run has {old} already, and a run has one: give one plugin, or \
             list both under `plugins` in a run file and name the scheduler in its [schedule]",
            plugin.path.display(),
            new.name
        );
    }
    config.schedule = new;
    Ok(())
}

/// Sets one key.
fn set(config: RunConfig, registry: &mut Registry, key: &str, text: &str) -> Result<RunConfig> {
    let written = || format!("{key}={text}");
    let text = match (key, text) {
        ("multi_scale", "True" | "true") => "0.5",
        ("multi_scale", "False" | "false") => "0",
        ("multi_scale", share) if share.parse::<f64>().is_err() => {
            bail!("multi_scale={share} must be True (0.5), False or a share from 0 to below 1")
        }
        _ => text,
    };
    if let Some((_, place)) = KEYS.iter().find(|(known, _)| *known == key) {
        return set_place(&config, place, text).with_context(written);
    }
    if key == "cos_lr" {
        let on = parse(text, Some(&Value::Bool(false))).with_context(written)? == Value::Bool(true);
        return set_place(&config, "schedule.use", if on { "cosine" } else { "linear" });
    }
    if NOT_YET.contains(&key) {
        bail!("`{key}` is not offered by this version of the trainer yet; leave it out");
    }
    let mut config = config;
    if let Some((component, option)) = key.split_once('.') {
        return set_option(config, component, option, text).with_context(written);
    }
    if is_claimed(&config, registry, key) {
        return set_alias(config, registry, key, text);
    }
    if let Some(found) = trainer_loader::find_alias(key) {
        registry.load_found(&found).and_then(|plugin| join(&mut config, plugin)).with_context(written)?;
        if is_claimed(&config, registry, key) {
            return set_alias(config, registry, key, text);
        }
    }
    if let Some(owner) = registry.entries().iter().find(|entry| entry.aliases.contains_key(key)) {
        bail!("`{key}` is an option of {} {}, which this run does not use", owner.kind, owner.name);
    }
    let aliases = registry.entries().iter().flat_map(|entry| entry.aliases.keys().map(String::as_str));
    let known = KEYS.iter().map(|(key, _)| *key).chain(["cos_lr"]).chain(aliases);
    let hint = match near(key, known) {
        near if !near.is_empty() => near,
        _ => {
            let places = trainer_loader::search_path();
            let places = places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ");
            format!(", and no plugin in {places} claims it; name its plugin by --plugin FILE.so")
        }
    };
    bail!("unknown key `{key}`{hint}")
}

/// The placed components that claim `key`, each with the option it stands for.
fn claims(config: &RunConfig, registry: &Registry, key: &str) -> Vec<(String, String)> {
    let claim = |(kind, component): (&str, &ComponentConfig)| {
        let option = registry.find(kind, &component.name)?.aliases.get(key)?;
        Some((component.name.clone(), option.clone()))
    };
    components(config).filter_map(claim).collect()
}

fn is_claimed(config: &RunConfig, registry: &Registry, key: &str) -> bool {
    !claims(config, registry, key).is_empty()
}

/// Sets the option that `key` stands for in every placed component that claims it (`close_mosaic` closes four).
fn set_alias(config: RunConfig, registry: &Registry, key: &str, text: &str) -> Result<RunConfig> {
    let claims = claims(&config, registry, key);
    claims.iter().try_fold(config, |config, (name, option)| set_option(config, name, option, text))
}

/// All placed components with their kinds.
fn components(config: &RunConfig) -> impl Iterator<Item = (&'static str, &ComponentConfig)> {
    let augment = config.augment.iter().map(|component| ("augmentation", component));
    let loss = config.loss.iter().map(|component| ("loss", component));
    let exporter = config.exporter.iter().map(|component| ("exporter", component));
    augment.chain(loss).chain([("scheduler", &config.schedule)]).chain(exporter)
}

/// The same with the place of each.
fn components_mut(config: &mut RunConfig) -> impl Iterator<Item = (String, &'static str, &mut ComponentConfig)> {
    let augment = config.augment.iter_mut().enumerate();
    let augment = augment.map(|(i, component)| (format!("augment.{i}"), "augmentation", component));
    let loss = config.loss.iter_mut().enumerate().map(|(i, component)| (format!("loss.{i}"), "loss", component));
    let exporter = config.exporter.iter_mut().enumerate();
    let exporter = exporter.map(|(i, component)| (format!("exporter.{i}"), "exporter", component));
    augment.chain(loss).chain([("schedule".to_owned(), "scheduler", &mut config.schedule)]).chain(exporter)
}

fn set_option(mut config: RunConfig, component: &str, option: &str, text: &str) -> Result<RunConfig> {
    let names = components(&config).map(|(_, component)| component.name.clone()).collect::<Vec<_>>();
    let Some((_, _, placed)) = components_mut(&mut config).find(|(_, _, placed)| placed.name == component) else {
        bail!(
            "{component} takes no part in this run, a plugin joins it by --plugin FILE.so{}",
            near(component, names.iter().map(String::as_str))
        );
    };
    placed.options.insert(option.to_owned(), parse(text, None)?);
    Ok(config)
}

/// Sets a dotted place of the configuration, in the type that it has.
fn set_place(config: &RunConfig, place: &str, text: &str) -> Result<RunConfig> {
    let mut tree = serde_json::to_value(config)?;
    let (sections, field) = place.rsplit_once('.').unwrap_or(("", place));
    let mut path = sections.split('.').filter(|section| !section.is_empty());
    let section = path.try_fold(&mut tree, |tree, section| tree.get_mut(section));
    let section = section.and_then(Value::as_object_mut).with_context(|| format!("no section {sections}"))?;
    let value = parse(text, section.get(field))?;
    section.insert(field.to_owned(), value);
    if place == "schedule.use" {
        section.retain(|key, _| key == "use"); // options of another schedule
    }
    Ok(serde_json::from_value(tree)?)
}

/// A value as people type it, in the type of the one that it replaces if there is one.
fn parse(text: &str, old: Option<&Value>) -> Result<Value> {
    let boolean = match text {
        "True" | "true" => Some(true),
        "False" | "false" => Some(false),
        _ => None,
    };
    let number = || {
        let whole = text.parse::<i64>().ok().map(Value::from);
        whole.or_else(|| text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number))
    };
    let as_in_a_run_file = || {
        let written = text.starts_with(['[', '{']).then(|| toml::de::ValueDeserializer::parse(text))?;
        written.and_then(Value::deserialize).ok()
    };
    let words = || {
        let list = text.starts_with(['(', '[']).then(|| text.trim_matches(['(', ')', '[', ']']).split(','))?;
        list.map(str::trim).filter(|word| !word.is_empty()).map(|word| parse(word, None).ok()).collect::<Option<_>>()
    };
    match old {
        Some(Value::Bool(_)) => boolean.map(Value::Bool).context("neither True nor False"),
        Some(Value::Number(_)) => number().context("not a number"),
        Some(Value::String(_)) => Ok(Value::String(text.to_owned())),
        _ if text == "None" => Ok(Value::Null),
        _ => {
            let list = as_in_a_run_file().or_else(|| words().filter(|_| old.is_none()).map(Value::Array));
            let value = list.or(boolean.map(Value::Bool)).or_else(number);
            Ok(value.unwrap_or_else(|| Value::String(text.to_owned())))
        }
    }
}

/// Checks every component's options and fills in their defaults.
fn complete(config: &mut RunConfig, registry: &Registry) -> Result<(), Refused> {
    for (place, kind, component) in components_mut(config) {
        let effective = registry.effective(kind, &component.name, &component.options);
        component.options = effective
            .map_err(|refused| Refused { place: format!("{place}.{}", refused.option), reason: refused.reason })?;
    }
    Ok(())
}
