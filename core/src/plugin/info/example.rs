//! How a component is written into a run: a run file that can be pasted, and a command line.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use trainer_loader::ComponentEntry;

use crate::config::{ComponentConfig, RunConfig};

/// Both forms.
pub(super) struct Example {
    pub run_file: String,
    pub command: String,
}

impl Example {
    /// With every option at its default; the component's neighbours are those of a run that says nothing.
    pub fn of(entry: &ComponentEntry, schema: Option<&Value>, file: Option<&Path>) -> Self {
        let properties = schema.and_then(|it| it.get("properties")?.as_object());
        let defaults = properties.into_iter().flatten().filter_map(|(key, option)| {
            Some((key.clone(), option.get("default").filter(|value| !value.is_null())?.clone()))
        });
        let options: Vec<_> = defaults.collect();
        // Lists and tables are better written in the run file.
        let typed = options.iter().find(|(_, value)| !value.is_array() && !value.is_object());
        Self { run_file: run_file(entry, &options, file), command: command(entry, typed, file) }
    }
}

/// The sections that name a component, as in [`RunConfig`].
#[derive(Default, Serialize)]
struct RunFile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<[&'a Path; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    augment: Vec<ComponentConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    loss: Vec<ComponentConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<ComponentConfig>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exporter: Vec<ComponentConfig>,
}

fn run_file(entry: &ComponentEntry, options: &[(String, Value)], file: Option<&Path>) -> String {
    let own = ComponentConfig { name: entry.name.clone(), options: options.iter().cloned().collect() };
    let with_own = |mut chain: Vec<ComponentConfig>| {
        match chain.iter_mut().find(|it| it.name == own.name) {
            Some(same) => *same = own.clone(),
            None => chain.push(own.clone()),
        }
        chain
    };
    let (config, mut run) = (RunConfig::default(), RunFile { plugins: file.map(|file| [file]), ..RunFile::default() });
    match entry.kind.as_str() {
        "augmentation" => run.augment = with_own(config.augment),
        "loss" => run.loss = with_own(config.loss),
        "exporter" => run.exporter = with_own(config.exporter),
        _ => run.schedule = Some(own),
    }
    toml::to_string(&run).unwrap_or_default().trim_end().to_owned()
}

fn command(entry: &ComponentEntry, option: Option<&(String, Value)>, file: Option<&Path>) -> String {
    let ComponentEntry { kind, name, .. } = entry;
    let mut words = match kind.as_str() {
        "exporter" => vec!["trainer export weights=best.safetensors format=FORMAT".to_owned()],
        _ => vec!["trainer data=data.yaml".to_owned()],
    };
    match file {
        Some(file) => words.push(format!("--plugin {}", quoted(&file.display().to_string()))),
        None if kind == "scheduler" => words.push(format!("schedule={name}")),
        None => {}
    }
    words.extend(option.map(|(key, value)| match value {
        Value::String(text) => format!("{name}.{key}={}", quoted(text)),
        value => format!("{name}.{key}={}", quoted(&value.to_string())),
    }));
    words.join(" ")
}

/// A word as a shell takes it.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+=:@%,".contains(c));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example(kind: &str, name: &str, file: Option<&str>) -> (String, String) {
        let entry =
            ComponentEntry { kind: kind.into(), name: name.into(), doc: String::new(), aliases: Default::default() };
        let schema =
            json!({ "properties": { "a": { "default": 0.5 }, "b": { "default": null }, "c": { "default": "x y" } } });
        let Example { run_file, command } = Example::of(&entry, Some(&schema), file.map(Path::new));
        (run_file, command)
    }

    #[test]
    fn a_loss_stands_behind_the_built_in_one() {
        let (run_file, command) = example("loss", "mine", Some("/my dir/mine.so"));
        assert_eq!(command, "trainer data=data.yaml --plugin '/my dir/mine.so' mine.a=0.5");
        let wanted = "plugins = [\"/my dir/mine.so\"]\n\n[[loss]]\nuse = \"detection\"\n\n\
                      [[loss]]\nuse = \"mine\"\na = 0.5\nc = \"x y\"";
        assert_eq!(run_file, wanted);
        let parsed: RunConfig = toml::from_str(&run_file).unwrap();
        assert_eq!(parsed.loss.len(), 2);
    }

    #[test]
    fn a_list_stands_in_the_run_file_alone() {
        let entry = ComponentEntry {
            kind: "loss".into(),
            name: "mine".into(),
            doc: String::new(),
            aliases: Default::default(),
        };
        let schema = json!({ "properties": { "a": { "default": [1.0] }, "b": { "default": 2 } } });
        let Example { run_file, command } = Example::of(&entry, Some(&schema), Some(Path::new("mine.so")));
        assert_eq!(command, "trainer data=data.yaml --plugin mine.so mine.b=2");
        assert!(run_file.ends_with("use = \"mine\"\na = [1.0]\nb = 2"), "{run_file}");
    }

    #[test]
    fn a_built_in_takes_its_own_place() {
        let (run_file, command) = example("scheduler", "cosine", None);
        assert_eq!(command, "trainer data=data.yaml schedule=cosine cosine.a=0.5");
        assert_eq!(run_file, "[schedule]\nuse = \"cosine\"\na = 0.5\nc = \"x y\"");
        let parsed: RunConfig = toml::from_str(&example("augmentation", "hsv", None).0).unwrap();
        let names: Vec<_> = parsed.augment.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, crate::augment::recipe::STAGES);
        let own = parsed.augment.iter().find(|it| it.name == "hsv").unwrap();
        assert_eq!(own.options["a"], 0.5);
    }

    #[test]
    fn an_exporter_is_named_by_its_format() {
        let command = example("exporter", "npy", Some("npy.so")).1;
        assert_eq!(command, "trainer export weights=best.safetensors format=FORMAT --plugin npy.so npy.a=0.5");
    }
}
