//! Check 4: names and sentences of a component.

use anyhow::{Result, ensure};

use super::{Done, subject::Subject};

pub fn check(subject: &Subject) -> Result<Done> {
    let Subject { kind, name, .. } = subject;
    let is_snake = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    ensure!(is_snake, "the name `{name}` is not lower_snake; take lower-case letters, digits and _");
    ensure!(!subject.doc().trim().is_empty(), "it has no sentence on what it does; write one after its name");
    let schema = subject.schema()?;
    let options = schema.get("properties").and_then(|it| it.as_object());
    let known = |option: &String| options.is_some_and(|all| all.contains_key(option));
    let entry = subject.registry.find(kind, name);
    let aliases = entry.into_iter().flat_map(|entry| &entry.aliases);
    for (alias, option) in aliases {
        ensure!(known(option), "alias `{alias}` stands for the option `{option}`, which does not exist");
    }
    Ok(Done::Passed)
}
