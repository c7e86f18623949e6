//! The run file as the user wrote it, TOML or YAML by its name, and where in it a value stands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use serde_saphyr::{MessageFormatter as _, UserMessageFormatter};
use toml::de::{DeTable, DeValue};

use crate::{config::RunConfig, near::near};

/// A run file whose sections, keys and types are right.
pub(super) struct RunFile {
    path: PathBuf,
    text: String,
    /// What it says; nothing that it leaves out.
    pub values: Value,
}

impl RunFile {
    /// Reads a file and checks it against [`RunConfig`].
    ///
    /// # Errors
    /// A file that is missing or cannot be meant; the message names file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).with_context(|| format!("cannot read the run file {shown}"))?;
        let yaml = path.extension().is_some_and(|suffix| suffix == "yaml" || suffix == "yml");
        let parsed = if yaml { parse_yaml(&text) } else { parse_toml(&text) };
        match parsed {
            Ok(values) => Ok(Self { path: path.to_owned(), text, values }),
            Err((line, message)) if message.starts_with("unknown field") => {
                bail!("{shown}:{line}: {message}{}", nearest_field(&message))
            }
            Err((line, message)) => {
                let source = text.lines().nth(line - 1).unwrap_or_default().trim();
                bail!("{shown}:{line}: cannot read `{source}`: {message}")
            }
        }
    }

    /// `FILE:LINE` of a place such as `loss.1.epsilon`, or of the nearest place around it (a YAML file has no lines).
    pub fn locate(&self, place: &str) -> String {
        let line = self.line(place).map_or_else(String::new, |line| format!(":{line}"));
        format!("{}{line}", self.path.display())
    }

    fn line(&self, place: &str) -> Option<usize> {
        let mut at = DeValue::Table(DeTable::parse(&self.text).ok()?.into_inner());
        let mut line = None;
        for part in place.split('.') {
            let (start, inner) = match &at {
                DeValue::Table(table) => {
                    let Some((key, value)) = table.get_key_value(part) else { break };
                    (key.span().start, value.get_ref().clone())
                }
                DeValue::Array(list) => {
                    let Some(value) = part.parse().ok().and_then(|i: usize| list.get(i)) else { break };
                    (value.span().start, value.get_ref().clone())
                }
                _ => break,
            };
            line = Some(line_at(&self.text, start));
            at = inner;
        }
        line
    }
}

/// The line of a position, from 1.
fn line_at(text: &str, position: usize) -> usize {
    1 + text[..position].matches('\n').count()
}

fn parse_toml(text: &str) -> Result<Value, (usize, String)> {
    let located =
        |error: toml::de::Error| (error.span().map_or(1, |span| line_at(text, span.start)), error.message().to_owned());
    let _: RunConfig = toml::from_str(text).map_err(located)?;
    toml::from_str(text).map_err(located)
}

fn parse_yaml(text: &str) -> Result<Value, (usize, String)> {
    let options = serde_saphyr::options! { with_snippet: false };
    let located = |error: serde_saphyr::Error| {
        let line = error.location().map_or(1, |at| at.line().max(1) as usize);
        (line, UserMessageFormatter.format_message(&error).into_owned())
    };
    let _: RunConfig = serde_saphyr::from_str_with_options(text, options.clone()).map_err(located)?;
    serde_saphyr::from_str_with_options(text, options).map_err(located)
}

/// serde says "unknown field `x`, expected one of `a`, `b`", with the marks or without: names the nearest.
fn nearest_field(message: &str) -> String {
    let parts = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once("`, expected "));
    let Some((unknown, known)) = parts else { return String::new() };
    let known = known.split_whitespace().map(|word| word.trim_matches(['`', ',']));
    near(unknown, known.filter(|word| !["one", "of", "or"].contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> Result<RunFile> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(name), text).unwrap();
        RunFile::read(&dir.path().join(name))
    }

    fn message(name: &str, text: &str) -> String {
        let message = file(name, text).err().unwrap().to_string();
        message[message.find(name).unwrap()..].to_owned()
    }

    #[test]
    fn values_are_found_again() {
        let text = "plugins = [\n  'a.so',\n  'b.so',\n]\n[[loss]]\nuse = 'x'\n[[loss]]\nuse = 'y'\n\nepsilon = 1\n";
        let run = file("run.toml", text).unwrap();
        let line = |place| run.line(place);
        assert_eq!((line("plugins"), line("plugins.1"), line("loss.1.epsilon")), (Some(1), Some(3), Some(10)));
        assert_eq!((line("loss.1.gamma"), line("train.batch")), (Some(7), None), "the nearest place around it");
    }

    #[test]
    fn refusals_name_the_line() {
        let fields = "epochs, batch, multi_scale, amp, gradient_checkpointing, device, attention, deterministic, threads, wait, seed, patience, gains, project, name, exist_ok, plots; did you mean `epochs`?";
        let yaml = message("run.yaml", "train:\n  batch: 2\n  epoch: 1\n");
        assert_eq!(yaml, format!("run.yaml:3: unknown field `epoch`, expected one of {fields}"));
        let toml = message("run.toml", "[train]\nbatch = 2\nepoch = 1\n");
        assert!(toml.starts_with("run.toml:3: unknown field `epoch`, expected one of `epochs`"), "{toml}");
        assert!(toml.ends_with("; did you mean `epochs`?"), "{toml}");
        assert_eq!(message("run.toml", "[train\n"), "run.toml:1: cannot read `[train`: unclosed table, expected `]`");
        let batch = "run.toml:3: cannot read `batch = 'x'`: invalid type: string \"x\", expected usize";
        assert_eq!(message("run.toml", "\n[train]\nbatch = 'x'\n"), batch);
        assert_eq!(message("run.yml", "train:\n  batch: x\n"), "run.yml:2: cannot read `batch: x`: invalid u64");
    }
}
