//! `trainer plugin info`: what a plugin or a component is, and how it is written into a run.

mod example;
mod options;

use std::{cmp::Ordering, path::Path};

use anyhow::{Result, bail};
use semver::Version;
use serde_json::{Value, json};
use trainer_loader::{ComponentEntry, Found, Inspected, LoadError, LoadOptions, Manifest, Trust};

use super::{status::Status, table::table};
use crate::{near::near, registry::Registry, report::print_result};
use example::Example;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// A component, a plugin's id, or a plugin's file
    #[arg(value_name = "NAME|FILE")]
    name: String,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// A component with its options, if they are known.
struct Component {
    entry: ComponentEntry,
    schema: Option<Value>,
}

pub(super) fn info(args: &Args) -> Result<u8> {
    let options = LoadOptions::default();
    let (file, components) = find(&args.name, &options)?;
    if args.json {
        let component = |it: &Component| {
            let example =
                Example::of(&it.entry, it.schema.as_ref(), file.as_ref().map(|(seen, _)| seen.path.as_path()));
            json!({
                "kind": it.entry.kind, "name": it.entry.name, "doc": it.entry.doc, "aliases": it.entry.aliases,
                "schema": it.schema, "options": it.schema.as_ref().map(options::options),
                "example": { "run_file": example.run_file, "command": example.command },
            })
        };
        let document = json!({
            "plugin": file.as_ref().map(|(seen, manifest)| describe(seen, manifest)),
            "components": components.iter().map(component).collect::<Vec<_>>(),
        });
        print_result(&document.to_string());
        return Ok(0);
    }
    if let Some((seen, manifest)) = &file {
        print_plugin(seen, manifest);
    }
    for (i, component) in components.iter().enumerate() {
        if i > 0 || file.is_some() {
            print_result("");
        }
        print_component(component, file.as_ref().map(|(seen, _)| seen));
    }
    Ok(0)
}

/// What the user means: built-in components of that name, else the first plugin with that id or such a component, else
/// a file.
fn find(name: &str, options: &LoadOptions) -> Result<(Option<(Inspected, Manifest)>, Vec<Component>)> {
    if name.contains('/') || name.ends_with(".so") || Path::new(name).is_file() {
        let found = trainer_loader::resolve(Path::new(name), &trainer_loader::search_path())?;
        return plugin(trainer_loader::inspect(&found, options), options);
    }
    let registry = Registry::built_in();
    let built_in = registry.entries().iter().filter(|entry| entry.name == name).map(|entry| Component {
        entry: ComponentEntry {
            kind: entry.kind.clone(),
            name: entry.name.clone(),
            doc: entry.doc.clone(),
            aliases: entry.aliases.clone(),
        },
        schema: Some(entry.schema().clone()),
    });
    let built_in: Vec<_> = built_in.collect();
    if !built_in.is_empty() {
        return Ok((None, built_in));
    }
    let seen = trainer_loader::list(options);
    let names = |seen: &Inspected| {
        let manifest = seen.manifest.as_ref();
        let components = manifest.into_iter().flat_map(|it| it.components.iter().map(|it| it.name.clone()));
        components.chain(manifest.map(|it| it.id.clone())).collect::<Vec<_>>()
    };
    let known: Vec<_> =
        seen.iter().flat_map(names).chain(registry.entries().iter().map(|it| it.name.clone())).collect();
    match seen.into_iter().find(|seen| names(seen).iter().any(|it| it == name)) {
        Some(seen) => plugin(seen, options),
        None => bail!(
            "no component or plugin is called `{name}`{}; `trainer plugin list` shows all, and a file is named by its \
             path",
            near(name, known.iter().map(String::as_str))
        ),
    }
}

/// A plugin's components; one that may be tried out and was not yet is now, in another process.
fn plugin(mut seen: Inspected, options: &LoadOptions) -> Result<(Option<(Inspected, Manifest)>, Vec<Component>)> {
    if seen.probed.is_none() && seen.refusal.is_none() {
        let found = Found { path: seen.path.clone(), provenance: seen.provenance };
        match trainer_loader::try_out(&found, options) {
            Ok(probed) => seen.probed = Some(probed),
            Err(refusal) => seen.refusal = Some(refusal),
        }
    }
    let Some(manifest) = seen.manifest.clone() else {
        return match seen.refusal {
            Some(refusal) => Err(refusal.into()),
            None => bail!("plugin {} has no manifest", seen.path.display()),
        };
    };
    let probed = seen.probed.as_ref();
    let schema = |entry: &ComponentEntry| {
        let same = probed?.components.iter().find(|it| it.kind == entry.kind && it.name == entry.name)?;
        Some(same.schema.clone())
    };
    let components = manifest.components.iter().map(|entry| Component { entry: entry.clone(), schema: schema(entry) });
    let components = components.collect();
    Ok((Some((seen, manifest)), components))
}

/// `same`, `older` or `newer`: the plugin's ABI beside this trainer's.
fn relation(theirs: &str) -> &'static str {
    let parse = |version: &str| Version::parse(version).ok();
    match parse(theirs).zip(parse(trainer_sdk::abi::VERSION)).map(|(theirs, ours)| theirs.cmp(&ours)) {
        Some(Ordering::Equal) => "same",
        Some(Ordering::Less) => "older",
        Some(Ordering::Greater) => "newer",
        None => "unknown",
    }
}

fn describe(seen: &Inspected, manifest: &Manifest) -> Value {
    let trust = match seen.trust {
        Trust::Trusted => "trusted",
        Trust::Changed { .. } => "changed",
        Trust::Unknown => "unknown",
    };
    json!({
        "id": manifest.id, "version": manifest.version, "file": seen.path, "sha256": seen.sha256,
        "status": Status::of(seen), "reason": seen.refusal.as_ref().map(ToString::to_string),
        "code": seen.refusal.as_ref().map(LoadError::code), "warnings": seen.warnings,
        "trust": trust, "policy": seen.policy, "license": manifest.license,
        "abi": { "theirs": manifest.abi, "ours": trainer_sdk::abi::VERSION, "relation": relation(&manifest.abi) },
        "compiler": manifest.rustc, "target": manifest.target, "panic": manifest.panic,
    })
}

fn print_plugin(seen: &Inspected, manifest: &Manifest) {
    let trust = match &seen.trust {
        Trust::Trusted => "trusted".to_owned(),
        Trust::Changed { was } => format!("changed since it was trusted (sha256 {} then)", &was[..was.len().min(12)]),
        Trust::Unknown => "not in plugins.lock".to_owned(),
    };
    let (ours, status) = (trainer_sdk::abi::VERSION, Status::of(seen));
    let reason = seen.refusal.as_ref().map_or_else(String::new, |refusal| format!(": {refusal}"));
    let or_none = |text: &str| if text.is_empty() { "none named".to_owned() } else { text.to_owned() };
    let lines = [
        ("status", format!("{}{reason}", status.word())),
        ("file", seen.path.display().to_string()),
        ("sha256", seen.sha256.clone().unwrap_or_default()),
        ("trust", trust),
        ("licence", or_none(&manifest.license)),
        (
            "abi",
            match relation(&manifest.abi) {
                "same" => format!("{}, this trainer's own", manifest.abi),
                relation => format!("{}, {relation} than this trainer's {ours}", manifest.abi),
            },
        ),
        ("compiler", manifest.rustc.clone()),
        ("target", format!("{}, panic {}", manifest.target, manifest.panic)),
    ];
    print_result(&format!("plugin {} {}", manifest.id, manifest.version));
    lines.iter().for_each(|(key, value)| print_result(&format!("  {key:8}  {value}")));
}

fn print_component(component: &Component, file: Option<&Inspected>) {
    let Component { entry, schema } = component;
    let ComponentEntry { kind, name, doc, aliases } = entry;
    let origin = if file.is_none() { "built-in " } else { "" };
    print_result(&format!("{origin}{kind} {name}: {doc}"));
    match schema {
        None => print_result("  its options are known once it may be tried out"),
        Some(schema) => {
            let options = options::options(schema);
            let row = |it: &options::OptionDoc| {
                [it.key.clone(), it.kind.clone(), it.default.clone(), it.range.clone(), it.doc.clone()]
            };
            let rows: Vec<_> = options.iter().map(row).collect();
            if rows.is_empty() {
                print_result("  no options");
            } else {
                let lines = table(["option", "type", "default", "range", "meaning"], &rows);
                lines.iter().for_each(|line| print_result(&format!("  {line}")));
            }
        }
    }
    for (alias, option) in aliases {
        print_result(&format!("  {alias}=… stands for {name}.{option}=…"));
    }
    let example = Example::of(entry, schema.as_ref(), file.map(|seen| seen.path.as_path()));
    print_result(&format!("\n  on the command line\n    {}\n\n  in a run file", example.command));
    example.run_file.lines().for_each(|line| print_result(format!("    {line}").trim_end()));
}

#[cfg(test)]
mod tests {
    use super::relation;

    #[test]
    fn abis_are_older_newer_or_the_same() {
        let ours = trainer_sdk::abi::VERSION;
        let got = [ours, "1.0.0-rc.1", "1.0.0-alpha", "1.1.0", "one"].map(relation);
        assert_eq!(got, ["same", "older", "older", "newer", "unknown"]);
    }
}
