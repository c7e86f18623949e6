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
    ensure!(semver::Version::parse(version).is_ok(), "the version `{version}` is not of the form 1.2.3");
    ensure!(!components.is_empty(), "it exports no component; export at least one");
    Ok(())
}
