//! A file's way in, step by step. Each step has its own refusal, and nothing of the file runs before the probe.

use std::path::Path;

use crate::{
    LoadError, LoadOptions, Manifest, Plugin, Policy, cache::Cache, elf, file::PluginFile, open, permissions, policy,
    probe, resolve::Found,
};

/// A file that may be tried out: read, hashed, allowed, and built for this trainer.
pub(crate) struct Checked {
    pub file: PluginFile,
    pub manifest: Manifest,
    pub warnings: Vec<String>,
}

/// Everything that can be said of a file without running any of it.
pub(crate) fn check_as(path: &Path, policy: Policy, options: &LoadOptions) -> Result<Checked, LoadError> {
    check_file(PluginFile::read(path)?, policy, options)
}

pub(crate) fn check_file(file: PluginFile, policy: Policy, options: &LoadOptions) -> Result<Checked, LoadError> {
    let path = || file.path.clone();
    let mut faults = permissions::faults(&file.path, &file.metadata);
    if faults.first().is_some_and(|fault| fault.is_fatal() || policy.is_strict()) {
        return Err(LoadError::Permission { path: path(), reason: faults.swap_remove(0) });
    }
    let trust = policy::check(&file, policy, options).map_err(|reason| LoadError::Policy { path: path(), reason })?;
    let elf = elf::parse(&file.path, &file.bytes)?;
    let manifest = Manifest::of(&file.path, &elf)?;
    elf::check(&elf, &file.bytes, &manifest).map_err(|reason| LoadError::Build { path: path(), reason })?;

    let mut warnings = Vec::new();
    if policy == Policy::Warn {
        let id = &manifest.id;
        warnings.extend(faults.iter().map(|fault| format!("plugin {id} {fault} [{}]", fault.code())));
        warnings.extend(policy::warning(id, &file, &trust));
    }
    Ok(Checked { file, manifest, warnings })
}

/// Loads a plugin: checks the file, copies it into the user's cache, tries the copy out in another process unless that
/// is known to go well, and opens it. Libraries are never unloaded.
///
/// # Errors
/// A [`LoadError`] that names the file and what is wrong with it. Nothing of the file has run in this process if the
/// error is about the file itself, its manifest, its ABI or the probe.
pub fn load(found: &Found, options: &LoadOptions) -> Result<Plugin, LoadError> {
    let policy = options.policy.unwrap_or(Policy::default_for(found.provenance));
    let Checked { file, manifest, mut warnings, .. } = check_as(&found.path, policy, options)?;
    let path = file.path.clone();
    let not_cached = |reason| LoadError::Cache { path: path.clone(), reason };
    let cache = Cache::open(options).map_err(not_cached)?;
    let copy = cache.copy(&file).map_err(not_cached)?;
    let results = cache.probes().map_err(not_cached)?;

    let probed = probe::probe(&copy, &file, &results, options)?;
    let components = open::open(&path, &copy, &manifest)?;
    probed.compare(&components).map_err(|reason| LoadError::Probe { path: path.clone(), reason })?;
    warnings.extend(probed.warning(&manifest.id));
    Ok(Plugin { path, sha256: file.sha256, manifest, components, warnings })
}
