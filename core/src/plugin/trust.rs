//! `trainer plugin trust`: enters plugin files into the lock file, by hash, or takes them out again.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use trainer_loader::{LoadOptions, Trusted};

use super::table::table;
use crate::report::print_result;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Plugin files; with --remove also ids
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Trust them no longer
    #[arg(long)]
    remove: bool,
    /// The lock file, in place of the user's
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn trust(args: &Args) -> Result<u8> {
    let options = LoadOptions { lock: args.lock.clone(), ..LoadOptions::default() };
    let lock = options.lock_file().context("this process has no home folder; name the lock file by --lock FILE")?;
    let mut entries = Vec::new();
    if args.remove {
        for file in &args.files {
            entries.extend(remove(file, &lock, &options)?);
        }
    } else {
        // All are found before one is entered.
        let found = args.files.iter().map(|file| trainer_loader::resolve(file, &trainer_loader::search_path()));
        for found in found.collect::<Result<Vec<_>, _>>()? {
            entries.push(trainer_loader::trust(&found.path, &options)?);
        }
    }
    let verb = if args.remove { "removed" } else { "trusted" };
    if args.json {
        print_result(&json!({ "lock": lock, verb: entries }).to_string());
        return Ok(0);
    }
    let cells = |entry: &Trusted| {
        [entry.id.clone(), entry.version.clone(), entry.sha256[..12].to_owned(), entry.path.display().to_string()]
    };
    let cells: Vec<_> = entries.iter().map(cells).collect();
    table([verb, "version", "sha256", "file"], &cells).iter().for_each(|line| print_result(line));
    let preposition = if args.remove { "out of" } else { "in" };
    print_result(&format!("\n{preposition} {}", lock.display()));
    Ok(0)
}

/// Takes out what `name` means: an id, a path, or a file of the search path.
fn remove(name: &Path, lock: &Path, options: &LoadOptions) -> Result<Vec<Trusted>> {
    let mut removed = trainer_loader::untrust(&name.to_string_lossy(), options)?;
    if removed.is_empty()
        && let Ok(found) = trainer_loader::resolve(name, &trainer_loader::search_path())
    {
        removed = trainer_loader::untrust(&found.path.to_string_lossy(), options)?;
    }
    if removed.is_empty() {
        let known = trainer_loader::trusted(lock).unwrap_or_default();
        let known: Vec<_> = known.iter().map(|entry| format!("{} ({})", entry.id, entry.path.display())).collect();
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        bail!("{} is not trusted; {} holds {known}", name.display(), lock.display());
    }
    Ok(removed)
}
