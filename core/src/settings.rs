//! From what the user wrote (a run file, plugin files, `key=value` words) to a resolved [`RunConfig`]. Every refusal
//! names the key or the line.

use std::{fs, path::Path, path::PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::{
    config::{ComponentConfig, RunConfig},
    model::Scale,
    near::near,
    registry::{Options, Registry},
};

/// What the user wrote.
#[derive(Debug, Default)]
pub struct Request {
    /// The run file.
    pub file: Option<PathBuf>,
    /// Plugins that join the run.
    pub plugins: Vec<PathBuf>,
    /// Keys with their values, in order.
    pub keys: Vec<(String, String)>,
}

/// Keys of the command line and the places in the configuration that they set.
pub const KEYS: [(&str, &str); 26] = [
    ("data", "data.path"),
    ("fraction", "data.fraction"),
    ("workers", "data.workers"),
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
    ("device", "train.device"),
    ("seed", "train.seed"),
    ("patience", "train.patience"),
    ("box", "train.gains.box"),
    ("cls", "train.gains.cls"),
    ("dfl", "train.gains.dfl"),
    ("project", "train.project"),
    ("name", "train.name"),
    ("exist_ok", "train.exist_ok"),
    ("conf", "val.conf"),
    ("iou", "val.iou"),
    ("max_det", "val.max_det"),
];

/// Keys that YOLO users know and that this version does not offer yet.
const NOT_YET: [&str; 26] = [
    "amp", "bgr", "cache", "copy_paste", "cutmix", "ddp", "deterministic", "dynamic", "format", "freeze",
    "gradient_checkpointing", "half", "mixup", "multi_scale", "opset", "plots", "quantize", "rect", "resume",
    "save_period", "single_cls", "sync_bn", "time", "verbose", "compile", "dropout",
];

/// Resolves a request; loads the plugins that it names.
///
/// # Errors
/// Whatever in the request cannot be meant; the message names the key, or file and line.
pub fn resolve(request: &Request, registry: &mut Registry) -> Result<RunConfig> {
    let written = request.file.as_deref().map(read).transpose()?;
    let has_data = request.keys.iter().any(|(key, _)| key == "data")
        || written.as_ref().is_some_and(|file| file.pointer("/data/path").is_some());
    let mut tree = serde_json::to_value(if has_data { RunConfig::default() } else { RunConfig::demo() })?;
    if let Some(file) = written {
        merge(&mut tree, file);
    }
    let mut config: RunConfig = serde_json::from_value(tree)?;

    for name in &config.plugins {
        registry.load(name)?;
    }
    for name in &request.plugins {
        join(&mut config, registry, name)?;
    }
    for (key, text) in &request.keys {
        config = set(config, registry, key, text).with_context(|| format!("{key}={text}"))?;
    }
    complete(&mut config, registry)?;
    check(&config)?;
    config.plugins = registry.plugins().iter().map(|plugin| plugin.path.clone()).collect();
    Ok(config)
}

/// Reads a run file, TOML or YAML by its name, checked against [`RunConfig`].
fn read(path: &Path) -> Result<Value> {
    let place = path.display();
    let text = fs::read_to_string(path).with_context(|| format!("run file {place} cannot be read"))?;
    if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        let _: RunConfig = serde_saphyr::from_str(&text).map_err(|error| anyhow!("run file {place}: {error}"))?;
        return serde_saphyr::from_str(&text).map_err(|error| anyhow!("run file {place}: {error}"));
    }
    let located = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        let message = error.message().to_owned();
        anyhow!("run file {place}, line {line}: {message}{}", nearest_field(&message))
    };
    let _: RunConfig = toml::from_str(&text).map_err(located)?;
    toml::from_str(&text).map_err(located)
}

/// serde's message is "unknown field `x`, expected one of `a`, `b`": names the nearest.
fn nearest_field(message: &str) -> String {
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match names.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") => near(unknown, known.iter().copied()),
        _ => String::new(),
    }
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

/// Loads a plugin and places each of its components that the run does not place yet.
fn join(config: &mut RunConfig, registry: &mut Registry, name: &Path) -> Result<()> {
    for component in &registry.load(name)?.components {
        let (kind, name) = (component.entry.kind.as_str(), component.entry.name.as_str());
        if kind == "loss" && !config.loss.iter().any(|link| link.name == name) {
            config.loss.push(ComponentConfig::named(name));
        }
    }
    Ok(())
}

/// Sets one key.
fn set(config: RunConfig, registry: &mut Registry, key: &str, text: &str) -> Result<RunConfig> {
    if let Some((_, place)) = KEYS.iter().find(|(known, _)| *known == key) {
        return set_place(&config, place, text);
    }
    if key == "cos_lr" {
        let on = parse(text, Some(&Value::Bool(false)))? == Value::Bool(true);
        return set_place(&config, "schedule.use", if on { "cosine" } else { "linear" });
    }
    if NOT_YET.contains(&key) {
        bail!("`{key}` is not offered by this version of the trainer yet; leave it out");
    }
    let mut config = config;
    if let Some((component, option)) = key.split_once('.') {
        return set_option(config, component, option, text);
    }
    if let Some((name, option)) = placed_alias(&config, registry, key) {
        return set_option(config, &name, &option, text);
    }
    if let Some(path) = trainer_loader::find_alias(key) {
        join(&mut config, registry, &path)?;
        if let Some((name, option)) = placed_alias(&config, registry, key) {
            return set_option(config, &name, &option, text);
        }
    }
    if let Some(owner) = registry.entries().iter().find(|entry| entry.aliases.contains_key(key)) {
        bail!("`{key}` is an option of {} {}, which this run does not use", owner.kind, owner.name);
    }
    let aliases = registry.entries().iter().flat_map(|entry| entry.aliases.keys().map(String::as_str));
    let known = KEYS.iter().map(|(key, _)| *key).chain(["cos_lr"]).chain(aliases);
    bail!("unknown key `{key}`{}; if it belongs to a plugin, name its file by --plugin FILE.so", near(key, known))
}

/// The placed component that claims `key`, and the option it stands for.
fn placed_alias(config: &RunConfig, registry: &Registry, key: &str) -> Option<(String, String)> {
    components(config).find_map(|(kind, component)| {
        let option = registry.find(kind, &component.name)?.aliases.get(key)?;
        Some((component.name.clone(), option.clone()))
    })
}

/// All placed components with their kinds.
fn components(config: &RunConfig) -> impl Iterator<Item = (&'static str, &ComponentConfig)> {
    let augment = config.augment.iter().map(|component| ("augmentation", component));
    let loss = config.loss.iter().map(|component| ("loss", component));
    augment.chain(loss).chain([("scheduler", &config.schedule)])
}

fn components_mut(config: &mut RunConfig) -> impl Iterator<Item = (&'static str, &mut ComponentConfig)> {
    let augment = config.augment.iter_mut().map(|component| ("augmentation", component));
    let loss = config.loss.iter_mut().map(|component| ("loss", component));
    augment.chain(loss).chain([("scheduler", &mut config.schedule)])
}

fn set_option(mut config: RunConfig, component: &str, option: &str, text: &str) -> Result<RunConfig> {
    let names = components(&config).map(|(_, component)| component.name.clone()).collect::<Vec<_>>();
    let placed = components_mut(&mut config).find(|(_, placed)| placed.name == component);
    let Some((_, placed)) = placed else {
        bail!(
            "`{component}` takes no part in this run{}; a plugin joins it by --plugin FILE.so",
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
    let section = sections.split('.').try_fold(&mut tree, |tree, section| tree.get_mut(section));
    let section = section.and_then(Value::as_object_mut).with_context(|| format!("no section {sections}"))?;
    let value = parse(text, section.get(field))?;
    section.insert(field.to_owned(), value);
    if place == "schedule.use" {
        section.retain(|key, _| key == "use"); // options of another schedule
    }
    serde_json::from_value(tree).map_err(|reason| anyhow!("not a value for it: {reason}"))
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
    match old {
        Some(Value::Bool(_)) => boolean.map(Value::Bool).with_context(|| format!("`{text}` is neither True nor False")),
        Some(Value::Number(_)) => number().with_context(|| format!("`{text}` is not a number")),
        Some(Value::String(_)) => Ok(Value::String(text.to_owned())),
        _ if text == "None" => Ok(Value::Null),
        _ => Ok(boolean.map(Value::Bool).or_else(number).unwrap_or_else(|| Value::String(text.to_owned()))),
    }
}

/// Checks every component's options and fills in their defaults.
fn complete(config: &mut RunConfig, registry: &Registry) -> Result<()> {
    let gained = &config.train.gains.others;
    ensure!(gained.values().all(|gain| gain.is_finite()), "train.gains must be finite numbers");
    for (kind, component) in components_mut(config) {
        let given: Options = component.options.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        component.options = registry.effective(kind, &component.name, &given)?;
    }
    Ok(())
}

/// Values whose type fits but whose meaning does not.
fn check(config: &RunConfig) -> Result<()> {
    config.model.name.parse::<Scale>()?;
    crate::device::parse(&config.train.device)?;
    let imgsz = config.model.imgsz;
    let near_size = (imgsz.saturating_add(31) / 32).max(1) * 32;
    ensure!(imgsz > 0 && imgsz.is_multiple_of(32), "imgsz={imgsz} is not a multiple of 32; take imgsz={near_size}");
    ensure!(config.train.batch > 0, "batch=0 trains nothing; give at least batch=1");
    ensure!(config.train.epochs > 0, "epochs=0 trains nothing; give at least epochs=1");
    ensure!(config.optimizer.nbs > 0, "nbs=0 never moves the weights; give at least nbs=1");
    let fraction = config.data.fraction;
    ensure!(fraction > 0.0 && fraction <= 1.0, "fraction={fraction} must be above 0 and at most 1");
    for (key, value) in [("conf", config.val.conf), ("iou", config.val.iou)] {
        ensure!((0.0..=1.0).contains(&value), "{key}={value} must lie between 0 and 1");
    }
    let positive = [("lr0", config.optimizer.lr0), ("momentum", config.optimizer.momentum)];
    for (key, value) in positive.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        ensure!(value.is_finite() && value >= 0.0, "{key}={value} must be a number from 0 up");
    }
    let decay = config.optimizer.weight_decay;
    ensure!(decay.is_finite() && decay >= 0.0, "weight_decay={decay} must be a number from 0 up");
    Ok(())
}
