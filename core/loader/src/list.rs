//! What can be said of plugin files without running any of them.

use std::path::PathBuf;

use crate::{
    Found, LoadError, LoadOptions, Manifest, Policy, Probed, Provenance, Trust,
    cache::probes_unchecked,
    file::PluginFile,
    lock::{trust_of, trusted},
    pipeline::check_file,
    probe, search_path,
};

/// A plugin file as it lies there.
#[derive(Debug)]
pub struct Inspected {
    /// The canonical path.
    pub path: PathBuf,
    /// How it was found.
    pub provenance: Provenance,
    /// The policy it falls under.
    pub policy: Policy,
    /// SHA-256 in hexadecimal; none where the file cannot be read.
    pub sha256: Option<String>,
    /// What it says about itself; none where that cannot be read.
    pub manifest: Option<Manifest>,
    /// What the lock file says of it.
    pub trust: Trust,
    /// What an earlier probe found; none where it was not tried out yet, or failed.
    pub probed: Option<Probed>,
    /// Why it would not be loaded: a quarantine after a failed probe included.
    pub refusal: Option<LoadError>,
    /// What the user would be told if it were loaded.
    pub warnings: Vec<String>,
}

/// Looks at one file: all the steps of [`load`](crate::load) that run none of its code.
#[must_use]
pub fn inspect(found: &Found, options: &LoadOptions) -> Inspected {
    let policy = options.policy.unwrap_or(Policy::default_for(found.provenance));
    let mut seen = Inspected {
        path: found.path.clone(),
        provenance: found.provenance,
        policy,
        sha256: None,
        manifest: None,
        trust: Trust::Unknown,
        probed: None,
        refusal: None,
        warnings: Vec::new(),
    };
    let file = match PluginFile::read(&found.path) {
        Ok(file) => file,
        Err(refusal) => {
            seen.refusal = Some(refusal);
            return seen;
        }
    };
    seen.sha256 = Some(file.sha256.clone());
    seen.manifest = Manifest::read(&file.path, &file.bytes).ok();
    let entries = options.lock_file().and_then(|lock| trusted(&lock).ok()).unwrap_or_default();
    seen.trust = trust_of(&entries, &file.path, &file.sha256);
    let result = probes_unchecked(options).map(|results| probe::result_file(&results, &file.sha256));
    match check_file(file, policy, options) {
        Ok(checked) => seen.warnings = checked.warnings,
        Err(refusal) => seen.refusal = Some(refusal),
    }
    match result.and_then(|result| probe::cached(&result)) {
        Some(Ok(probed)) => {
            let id = seen.manifest.as_ref().map_or("", |manifest| &manifest.id);
            seen.warnings.extend(probed.warning(id));
            seen.probed = Some(probed);
        }
        Some(Err(reason)) if seen.refusal.is_none() => {
            seen.refusal = Some(LoadError::Probe { path: found.path.clone(), reason });
        }
        _ => {}
    }
    seen
}

/// Looks at every library of the search path, in its order. Libraries that are no plugins are left out.
#[must_use]
pub fn list(options: &LoadOptions) -> Vec<Inspected> {
    let found = search_path().into_iter().flat_map(|dir| crate::libraries(&dir));
    let seen = found.map(|found| inspect(&found, options));
    seen.filter(|it| !matches!(it.refusal, Some(LoadError::NotPlugin { .. }))).collect()
}
