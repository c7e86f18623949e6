//! Finds, checks and loads plugins. A file's way in: [`resolve`] its name, read and hash it once, ask who could have
//! written it and whether the [`Policy`] allows it, read its [`Manifest`] and its ELF headers without running anything,
//! copy it into the user's cache, try the copy out in another process, then open it, compare layouts both ways and hand
//! the host over. [`load`] does all of it, [`inspect`] and [`list`] all that runs no code.

mod answer;
mod build_fault;
mod cache;
mod child;
pub mod conformance;
mod elf;
mod error;
mod file;
mod guest;
mod host;
mod kinds;
mod layout;
mod list;
mod locate;
mod lock;
mod machine;
mod manifest;
mod no_tensors;
mod open;
mod option_table;
mod options;
mod permissions;
mod pipeline;
mod plain;
mod policy;
mod probe;
mod probe_fault;
mod resolve;
mod signature;
mod system;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

pub use answer::{Answer, Probed, ProbedComponent};
pub use build_fault::{BuildFault, Version};
pub use cache::CacheFault;
pub use child::PROBE_TIMEOUT;
pub use elf::needed;
pub use error::{LoadError, PluginFailure};
pub use guest::{Guest, Visit, visit};
pub use kinds::LoadedFactory;
pub use list::{Inspected, inspect, list};
#[doc(hidden)]
pub use locate::locate;
pub use lock::{Trust, Trusted, trust, trusted, untrust};
pub use manifest::{ComponentEntry, Manifest};
#[doc(hidden)]
pub use no_tensors::install_no_tensors;
pub use options::LoadOptions;
pub use permissions::PermissionFault;
pub use pipeline::{load, try_out};
pub use policy::{Policy, PolicyFault};
pub use probe::forget_probe;
pub use probe_fault::{ProbeFault, signal_name};
pub use resolve::{Found, Provenance, find_alias, libraries, resolve, search_path};

/// A plugin that is in memory. Libraries are never unloaded.
pub struct Plugin {
    /// The file that was loaded, by way of a copy in the user's cache.
    pub path: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// What the file says about itself.
    pub manifest: Manifest,
    /// Its components, ready to be made.
    pub components: Vec<LoadedComponent>,
    /// What the user should know about it, a line each.
    pub warnings: Vec<String>,
    /// How long loading took, with trying out where that was needed.
    pub load_time: Duration,
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

/// Opens a library without any check, as `trainer-probe` does: never in a process that matters.
///
/// # Errors
/// As for [`load`].
#[doc(hidden)]
pub fn open_unchecked(path: &Path) -> Result<Vec<LoadedComponent>, LoadError> {
    let bytes = fs::read(path).map_err(|reason| LoadError::Unreadable { path: path.into(), reason })?;
    open::open(path, path, &Manifest::read(path, &bytes)?)
}

/// Writes out what C code has put into its buffered streams; for `trainer-probe`.
#[doc(hidden)]
pub fn flush_c_streams() {
    system::flush_c_streams();
}
