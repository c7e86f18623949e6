//! Why a plugin file was refused. Every message names the file, what was found and what to do, and ends in a code that
//! never changes its meaning.

use std::{io, path::PathBuf};

use thiserror::Error;
use trainer_abi::VERSION;

use crate::{BuildFault, CacheFault, PermissionFault, PolicyFault, ProbeFault};

/// A plugin file that was refused (exit code 2).
#[derive(Debug, Error)]
pub enum LoadError {
    /// No file of that name anywhere.
    #[error("plugin {name} not found; looked for it in {} [{}]", searched.join(", "), self.code())]
    Missing {
        /// The name as the user wrote it.
        name: String,
        /// The places tried, in order.
        searched: Vec<String>,
    },
    /// The file is there but cannot be read.
    #[error("plugin {} cannot be read: {reason} [{}]", path.display(), self.code())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// Somebody else could have written the file.
    #[error("plugin {} {reason} [{}]", path.display(), self.code())]
    Permission {
        /// The file.
        path: PathBuf,
        /// Who, and how to stop it.
        reason: PermissionFault,
    },
    /// The policy asks for more trust than the file has.
    #[error("plugin {} {reason} [{}]", path.display(), self.code())]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: PolicyFault,
    },
    /// Some other kind of file.
    #[error("{} is not a dynamic library: {reason}; build the plugin with `cargo build --release` and give the .so file [{}]", path.display(), self.code())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// A library without a manifest.
    #[error("{} is a library but no Trainer plugin: it has no {} section; a plugin ends in `export_plugin! {{ … }}` [{}]", path.display(), trainer_abi::MANIFEST_SECTION, self.code())]
    NotPlugin {
        /// The file.
        path: PathBuf,
    },
    /// A manifest that cannot be read.
    #[error("plugin {} has a damaged manifest: {reason}; rebuild it [{}]", path.display(), self.code())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// Built for another major version of the ABI.
    #[error("plugin {} was built for plugin ABI {theirs}, this trainer has {VERSION}: the major versions must be equal; rebuild it with the trainer-sdk of this trainer [{}]", path.display(), self.code())]
    AbiMajor {
        /// The file.
        path: PathBuf,
        /// The ABI version in its manifest.
        theirs: String,
    },
    /// Built in a way that cannot work here.
    #[error("plugin {} {reason} [{}]", path.display(), self.code())]
    Build {
        /// The file.
        path: PathBuf,
        /// What its ELF headers and symbols say.
        reason: BuildFault,
    },
    /// No place for the copy that is loaded.
    #[error("plugin {} {reason} [{}]", path.display(), self.code())]
    Cache {
        /// The file.
        path: PathBuf,
        /// What is wrong with the cache folder.
        reason: CacheFault,
    },
    /// It failed in the process that tries plugins out.
    #[error("plugin {} {reason} [{}]", path.display(), self.code())]
    Probe {
        /// The file.
        path: PathBuf,
        /// How that process ended.
        reason: ProbeFault,
    },
    /// The system's loader refused it.
    #[error("plugin {} cannot be loaded: {reason} [{}]", path.display(), self.code())]
    Open {
        /// The file.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
    /// The tables in memory are laid out differently.
    #[error("plugin {} does not fit this trainer's plugin ABI {VERSION}: {reason}; rebuild it with the trainer-sdk of this trainer [{}]", path.display(), self.code())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// It refused to start.
    #[error("plugin {} failed to start: {reason} [{}]", path.display(), self.code())]
    Init {
        /// The file.
        path: PathBuf,
        /// The plugin's own words.
        reason: String,
    },
}

impl LoadError {
    /// The refusal's stable name, as at the end of its message.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "not-found",
            Self::Unreadable { .. } => "unreadable",
            Self::Permission { reason, .. } => reason.code(),
            Self::Policy { reason, .. } => reason.code(),
            Self::NotElf { .. } => "not-elf",
            Self::NotPlugin { .. } => "no-manifest",
            Self::Manifest { .. } => "damaged-manifest",
            Self::AbiMajor { .. } => "abi-major",
            Self::Build { reason, .. } => reason.code(),
            Self::Cache { reason, .. } => reason.code(),
            Self::Probe { reason, .. } => reason.code(),
            Self::Open { .. } => "cannot-open",
            Self::Layout { .. } => "abi-layout",
            Self::Init { .. } => "init-failed",
        }
    }
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
