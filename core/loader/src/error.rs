//! Why a plugin file was refused. Every message names the file, what was found and what to do.

use std::{io, path::PathBuf};

use thiserror::Error;
use trainer_abi::VERSION;

/// A plugin file that was refused (exit code 2).
#[derive(Debug, Error)]
pub enum LoadError {
    /// No file of that name anywhere.
    #[error("plugin {name} not found; looked for it in {}", searched.join(", "))]
    Missing {
        /// The name as the user wrote it.
        name: String,
        /// The places tried, in order.
        searched: Vec<String>,
    },
    /// The file is there but cannot be read.
    #[error("plugin {} cannot be read: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// Some other kind of file.
    #[error("{} is not a dynamic library: {reason}; build the plugin with `cargo build --release` and give the .so file", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// A library without a manifest.
    #[error("{} is a library but no Trainer plugin: it has no {} section; a plugin ends in `export_plugin! {{ … }}`", path.display(), trainer_abi::MANIFEST_SECTION)]
    NotPlugin {
        /// The file.
        path: PathBuf,
    },
    /// A manifest that cannot be read.
    #[error("plugin {} has a damaged manifest: {reason}; rebuild it", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// Built for another major version of the ABI.
    #[error("plugin {} was built for plugin ABI {theirs}, this trainer has {VERSION}: the major versions must be equal; rebuild it with the trainer-sdk of this trainer", path.display())]
    AbiMajor {
        /// The file.
        path: PathBuf,
        /// The ABI version in its manifest.
        theirs: String,
    },
    /// The system's loader refused it.
    #[error("plugin {} cannot be loaded: {reason}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
    /// The tables in memory are laid out differently.
    #[error("plugin {} does not fit this trainer's plugin ABI {VERSION}: {reason}; rebuild it with the trainer-sdk of this trainer", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// It refused to start.
    #[error("plugin {} failed to start: {reason}", path.display())]
    Init {
        /// The file.
        path: PathBuf,
        /// The plugin's own words.
        reason: String,
    },
}

/// A plugin that was loaded and then failed (exit code 2).
#[derive(Debug, Error)]
#[error("plugin {} failed in `{entry}`: {reason}", file.display())]
pub struct PluginFailure {
    /// The plugin's file.
    pub file: PathBuf,
    /// The function that failed.
    pub entry: &'static str,
    /// The plugin's own words, with the place where it panicked.
    pub reason: String,
}
