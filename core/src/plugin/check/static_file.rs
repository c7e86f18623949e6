//! Check 1: what the file says before any of its code runs.

use anyhow::{Result, ensure};
use trainer_loader::{Found, LoadOptions, Manifest, inspect};

/// All of the loader's refusals that run no code, then the texts of the manifest.
pub fn check(found: &Found) -> Result<()> {
    let seen = inspect(found, &LoadOptions::default());
    if let Some(refusal) = seen.refusal {
        return Err(refusal.into());
    }
    seen.manifest.as_ref().map_or(Ok(()), texts)
}

fn texts(manifest: &Manifest) -> Result<()> {
    let Manifest { id, version, components, .. } = manifest;
    let is_id = id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c));
    ensure!(is_id, "the id `{id}` is no plain name; take lower-case letters, digits, _ - .");
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    let is_version = numbers.len() == 3 && numbers.iter().all(|part| part.parse::<u64>().is_ok());
    ensure!(is_version, "the version `{version}` is not of the form 1.2.3");
    ensure!(!components.is_empty(), "it exports no component; export at least one");
    Ok(())
}
