//! The files of a new project, from the templates beside this folder.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Kind, Language, name::camel_case};

/// The SDK that this trainer was built from, if that is still there.
const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk");

/// A file of the templates' folder.
macro_rules! template {
    ($name:literal) => {
        include_str!(concat!("../templates/", $name))
    };
}

/// A project that is not written yet.
pub(super) struct Project {
    pub name: String,
    /// Paths (NAME stands for the name) and contents.
    pub files: Vec<(&'static str, String)>,
    /// The commands to type next, and what they do.
    pub next: Vec<(String, &'static str)>,
}

impl Project {
    /// The project of a plugin of that name.
    pub fn new(name: &str, kind: Kind, lang: Language) -> Result<Self> {
        let source = match (lang, kind) {
            (Language::Rust, Kind::Augmentation) => template!("rust/augmentation.rs"),
            (Language::Rust, Kind::Scheduler) => template!("rust/scheduler.rs"),
            (Language::Rust, Kind::Loss) => template!("rust/loss.rs"),
            (Language::Rust, Kind::Exporter) => template!("rust/exporter.rs"),
            (Language::C, Kind::Augmentation) => template!("c/augmentation.c"),
            (Language::C, Kind::Scheduler) => template!("c/scheduler.c"),
            (Language::C, Kind::Loss) => template!("c/loss.c"),
            (Language::C, Kind::Exporter) => template!("c/exporter.c"),
        };
        let type_name = camel_case(name);
        let mut words = source.split(|c: char| !c.is_alphanumeric() && c != '_');
        if lang == Language::Rust && words.any(|word| word == type_name) {
            bail!(
                "`{name}` would name the type {type_name}, which the code uses already; take another, e.g. my_{name}"
            );
        }
        let files = match lang {
            Language::Rust => vec![
                ("Cargo.toml", template!("rust/manifest.toml")),
                ("src/lib.rs", source),
                ("README.md", template!("rust/README.md")),
                (".github/workflows/ci.yml", template!("rust/ci.yml")),
                (".gitignore", template!("rust/gitignore")),
                ("rustfmt.toml", template!("rust/rustfmt.toml")),
            ],
            Language::C => vec![
                ("NAME.c", source),
                ("Makefile", template!("c/Makefile")),
                ("README.md", template!("c/README.md")),
                (".github/workflows/ci.yml", template!("c/ci.yml")),
                (".gitignore", template!("c/gitignore")),
                ("trainer_plugin.h", include_str!("../../../../sdk/include/trainer_plugin.h")),
                ("trainer_helpers.h", include_str!("../../../../sdk/include/trainer_helpers.h")),
            ],
        };
        let (dependency, note) = sdk();
        let usage = usage(name, kind, lang);
        let fill = |text: &str| {
            let text =
                text.replace("plugin_sdk", &dependency).replace("plugin_note", note).replace("plugin_use", &usage);
            let text = text.replace("plugin_title", title(kind)).replace("PluginName", &type_name);
            text.replace("plugin_name", name).trim_end().to_owned() + "\n"
        };
        let files = files.into_iter().map(|(file, text)| (file, fill(text))).collect();
        Ok(Self { name: name.to_owned(), files, next: next(name, lang, usage) })
    }
}

/// The dependency's line in Cargo.toml, and what the README says about it.
fn sdk() -> (String, &'static str) {
    let version = env!("CARGO_PKG_VERSION");
    match Path::new(SDK).canonicalize().ok().filter(|sdk| sdk.join("Cargo.toml").is_file()) {
        Some(sdk) => {
            let path = toml::Value::String(sdk.display().to_string());
            let line = format!("# On other machines: trainer-sdk = \"{version}\"\ntrainer-sdk = {{ path = {path} }}");
            let note = "\n`Cargo.toml` names the SDK by its place on this machine; other machines, CI included, take \
                        the released one as\nits comment says.";
            (line, note)
        }
        None => (format!("trainer-sdk = \"{version}\""), ""),
    }
}

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Augmentation => "An augmentation",
        Kind::Scheduler => "A learning-rate schedule",
        Kind::Loss => "A loss",
        Kind::Exporter => "An exporter",
    }
}

/// The built library, seen from the project's folder.
fn library(name: &str, lang: Language) -> String {
    match lang {
        Language::Rust => format!("target/release/lib{name}.so"),
        Language::C => format!("{name}.so"),
    }
}

/// The command that uses the plugin, with its option set.
fn usage(name: &str, kind: Kind, lang: Language) -> String {
    let library = library(name, lang);
    let option = match (kind, lang) {
        (Kind::Augmentation, _) => "strength=0.1",
        (Kind::Scheduler, _) => "power=1",
        (Kind::Loss, _) => "factor=0.8",
        (Kind::Exporter, Language::Rust) => "digits=3",
        (Kind::Exporter, Language::C) => "metadata=False",
    };
    match kind {
        Kind::Exporter => {
            format!("trainer export weights=best.safetensors format={name} --plugin {library} {name}.{option}")
        }
        _ => format!("trainer --plugin {library} {name}.{option}"),
    }
}

fn next(name: &str, lang: Language, usage: String) -> Vec<(String, &'static str)> {
    let check = (format!("trainer plugin check {}", library(name, lang)), "everything a plugin must keep to");
    let usage = (usage, "use it");
    match lang {
        Language::Rust => vec![
            ("cargo test --release".into(), "its unit test"),
            ("cargo build --release".into(), "the library"),
            check,
            usage,
        ],
        Language::C => vec![("make".into(), "the library"), check, usage],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: Kind, lang: Language) -> String {
        Project::new("my_plugin", kind, lang)
            .unwrap()
            .files
            .into_iter()
            .find(|(file, _)| file.contains('.') && (file.ends_with(".rs") || file.ends_with(".c")))
            .unwrap()
            .1
    }

    #[test]
    fn the_smallest_loss_has_at_most_25_lines() {
        let source = source(Kind::Loss, Language::Rust);
        let code = source.split("#[cfg(test)]").next().unwrap().trim_end();
        assert!(code.lines().count() <= 25, "{code}");
    }

    #[test]
    fn no_placeholder_is_left() {
        for kind in [Kind::Augmentation, Kind::Scheduler, Kind::Loss, Kind::Exporter] {
            for lang in [Language::Rust, Language::C] {
                for (file, text) in Project::new("mine", kind, lang).unwrap().files {
                    let found =
                        ["plugin_name", "PluginName", "plugin_sdk", "plugin_use", "plugin_title", "plugin_note"];
                    assert!(!found.iter().any(|it| text.contains(it)), "{file}: {text}");
                }
            }
        }
    }

    #[test]
    fn types_do_not_hide_those_of_the_code() {
        let message = |name: &str| Project::new(name, Kind::Loss, Language::Rust).err().unwrap().to_string();
        assert_eq!(
            message("targets"),
            "`targets` would name the type Targets, which the code uses already; take another, e.g. my_targets"
        );
        Project::new("targets", Kind::Loss, Language::C).unwrap();
    }
}
