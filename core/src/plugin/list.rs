//! `trainer plugin list`: every component that can be named, and what would become of its plugin's file. Runs no code of
//! any plugin.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use trainer_loader::{ComponentEntry, Inspected, LoadError, LoadOptions, Policy};

use super::{status::Status, table::table};
use crate::{registry::Registry, report::print_result};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The built-in components alone
    #[arg(long)]
    builtin: bool,
    /// Judge by this policy: off, warn, lock or signed
    #[arg(long, value_name = "POLICY")]
    policy: Option<Policy>,
    /// The lock file, in place of the user's
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// One component.
#[derive(Serialize)]
pub(crate) struct Row {
    /// None where the file's manifest cannot be read.
    pub kind: Option<String>,
    /// As `kind`.
    pub name: Option<String>,
    version: Option<String>,
    doc: Option<String>,
    /// The plugin's file; none for a built-in.
    file: Option<PathBuf>,
    pub status: Status,
    /// Why it is not ok, whole.
    pub reason: Option<String>,
    /// The refusal's stable name.
    code: Option<&'static str>,
    /// Whether the file was tried out before.
    probed: bool,
}

pub(super) fn list(args: &Args) -> Result<u8> {
    let built_in = built_in();
    let options = LoadOptions { policy: args.policy, lock: args.lock.clone(), ..LoadOptions::default() };
    let seen = if args.builtin { Vec::new() } else { trainer_loader::list(&options) };
    let mut rows = plugins(&seen, &built_in);
    rows.splice(0..0, built_in);
    if args.json {
        let document = json!({ "components": rows, "search_path": trainer_loader::search_path() });
        print_result(&document.to_string());
        return Ok(0);
    }
    let cells = |row: &Row| {
        let file = row.file.as_ref().map_or("built in".into(), |file| file.display().to_string());
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        [text(&row.kind), text(&row.name), text(&row.version), row.status.word().into(), file]
    };
    let cells: Vec<_> = rows.iter().map(cells).collect();
    table(["kind", "name", "version", "status", "file"], &cells).iter().for_each(|line| print_result(line));
    let mut reasons: Vec<_> = rows.iter().filter_map(|row| row.reason.as_deref()).collect();
    reasons.dedup();
    reasons.iter().for_each(|reason| print_result(&format!("\n{reason}")));
    if !args.builtin && seen.is_empty() {
        let places = trainer_loader::search_path();
        let places: Vec<_> = places.iter().map(|place| format!("  {}", place.display())).collect();
        print_result(&format!("\nno plugins in\n{}", places.join("\n")));
    }
    Ok(0)
}

/// The components of all plugin files that can be found, and the folders that were searched.
pub(crate) fn found() -> (Vec<Row>, Vec<PathBuf>) {
    let seen = trainer_loader::list(&LoadOptions::default());
    (plugins(&seen, &built_in()), trainer_loader::search_path())
}

fn built_in() -> Vec<Row> {
    let registry = Registry::built_in();
    let row = |entry: &crate::registry::Entry| Row {
        kind: Some(entry.kind.clone()),
        name: Some(entry.name.clone()),
        version: Some(env!("CARGO_PKG_VERSION").into()),
        doc: Some(entry.doc.clone()),
        file: None,
        status: Status::Ok,
        reason: None,
        code: None,
        probed: true,
    };
    registry.entries().iter().map(row).collect()
}

/// A row for each component of each file, in the order of the search path.
fn plugins(seen: &[Inspected], built_in: &[Row]) -> Vec<Row> {
    let mut owners: BTreeMap<_, String> =
        built_in.iter().map(|row| ((row.kind.clone(), row.name.clone()), "the trainer itself".into())).collect();
    let mut rows = Vec::new();
    for file in seen {
        for mut row in components(file) {
            let shown = file.path.display();
            let owner = owners.entry((row.kind.clone(), row.name.clone())).or_insert_with(|| shown.to_string());
            if let (Some(kind), Some(name), Status::Ok) = (&row.kind, &row.name, row.status)
                && *owner != shown.to_string()
            {
                row.reason =
                    Some(format!("{kind} {name} of {shown} is shadowed: {owner} has that name and comes first"));
                row.status = Status::Shadowed;
            }
            rows.push(row);
        }
    }
    rows
}

/// The rows of one file; one without names where its manifest cannot be read.
fn components(file: &Inspected) -> Vec<Row> {
    let row = |version: Option<&String>, component: Option<&ComponentEntry>| Row {
        kind: component.map(|it| it.kind.clone()),
        name: component.map(|it| it.name.clone()),
        version: version.cloned(),
        doc: component.map(|it| it.doc.clone()),
        file: Some(file.path.clone()),
        status: Status::of(file),
        reason: file.refusal.as_ref().map(ToString::to_string),
        code: file.refusal.as_ref().map(LoadError::code),
        probed: file.probed.is_some(),
    };
    match &file.manifest {
        None => vec![row(None, None)],
        Some(manifest) => manifest.components.iter().map(|it| row(Some(&manifest.version), Some(it))).collect(),
    }
}
