//! Finds, checks and loads plugins. A file's way in: [`resolve`] its name, read and hash it, read its [`Manifest`]
//! from the ELF section without running anything, then open it, compare layouts both ways and hand the host over.

mod error;
mod guest;
mod host;
mod kinds;
mod manifest;
mod open;
#[cfg_attr(not(test), expect(dead_code, reason = "host.rs will hand the table out"))]
mod option_table;
#[cfg_attr(not(test), expect(dead_code, reason = "open.rs will look for plain roots"))]
mod plain;
mod resolve;

use std::{fs, path::Path, path::PathBuf};

use sha2::{Digest as _, Sha256};

pub use error::{LoadError, PluginFailure};
pub use guest::{Guest, Visit, visit};
pub use kinds::LoadedFactory;
pub use manifest::{ComponentEntry, Manifest};
pub use resolve::{resolve, search_path};

/// A plugin that is in memory. Libraries are never unloaded.
pub struct Plugin {
    /// Where it was loaded from.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What the file says about itself.
    pub manifest: Manifest,
    /// Its components, ready to be made.
    pub components: Vec<LoadedComponent>,
}

/// One component of a loaded plugin.
pub struct LoadedComponent {
    /// Its line of the manifest: kind, name, sentence, aliases.
    pub entry: ComponentEntry,
    /// The JSON Schema of its options.
    pub schema: serde_json::Value,
    /// Makes instances.
    pub factory: LoadedFactory,
}

/// Loads the plugin at `path`.
///
/// # Errors
/// A [`LoadError`] that names the file and what is wrong with it. Nothing of the file has run if the error is about
/// the file itself, its manifest or its ABI.
pub fn load(path: &Path) -> Result<Plugin, LoadError> {
    let bytes = fs::read(path).map_err(|reason| LoadError::Unreadable { path: path.into(), reason })?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = Manifest::read(path, &bytes)?;
    let components = open::open(path, path, &manifest)?;
    Ok(Plugin { path: path.into(), sha256, manifest, components })
}

/// A plugin file in the search path whose manifest claims `key` as an alias. Runs no code of any plugin.
#[must_use]
pub fn find_alias(key: &str) -> Option<PathBuf> {
    let files = search_path().into_iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
    let mut libraries: Vec<PathBuf> =
        files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "so")).collect();
    libraries.sort();
    libraries.into_iter().find(|path| {
        let manifest = fs::read(path).ok().and_then(|bytes| Manifest::read(path, &bytes).ok());
        manifest.is_some_and(|m| m.components.iter().any(|component| component.aliases.contains_key(key)))
    })
}
