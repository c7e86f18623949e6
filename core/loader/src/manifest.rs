//! The manifest: what a plugin says about itself, read from an ELF section before any of its code runs.

use std::{collections::BTreeMap, path::Path};

use object::{Endianness, Object as _, ObjectSection as _, read::elf::ElfFile64};
use serde::{Deserialize, Serialize};

use crate::{BuildFault, LoadError, elf};

/// What a plugin's file says about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the manifest's own format, 1.
    pub schema: u32,
    /// The plugin's id, the name of its crate.
    pub id: String,
    /// The plugin's version.
    pub version: String,
    /// SPDX licence expression; may be empty.
    pub license: String,
    /// The ABI version it was built for.
    pub abi: String,
    /// The compiler that built it.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// `unwind` or `abort`.
    pub panic: String,
    /// What it provides.
    pub components: Vec<ComponentEntry>,
}

/// One component in a manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ComponentEntry {
    /// `loss`, `augmentation`, `scheduler` or `exporter`.
    pub kind: String,
    /// Its name in run files.
    pub name: String,
    /// One sentence on what it does.
    pub doc: String,
    /// Keys that stand for one of its options.
    pub aliases: BTreeMap<String, String>,
}

impl Manifest {
    /// Larger manifests are refused unread.
    pub(crate) const LIMIT: u64 = 1 << 20;

    /// Reads the manifest out of a library's bytes and compares the ABI's major version.
    ///
    /// # Errors
    /// If the bytes are no ELF library for this machine, have no or a damaged manifest, or are for another ABI major.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self, LoadError> {
        Self::of(path, &elf::parse(path, bytes)?)
    }

    pub(crate) fn of(path: &Path, elf: &ElfFile64<Endianness>) -> Result<Self, LoadError> {
        let section = elf
            .section_by_name(trainer_abi::MANIFEST_SECTION)
            .ok_or_else(|| LoadError::NotPlugin { path: path.into() })?;
        if section.size() > Self::LIMIT {
            let reason = BuildFault::ManifestTooLarge { size: section.size() };
            return Err(LoadError::Build { path: path.into(), reason });
        }
        let damaged = |reason: String| LoadError::Manifest { path: path.into(), reason };
        let text = section.data().map_err(|reason| damaged(reason.to_string()))?;
        let manifest: Self = serde_json::from_slice(text).map_err(|reason| damaged(reason.to_string()))?;
        if major(&manifest.abi) != major(trainer_abi::VERSION) {
            return Err(LoadError::AbiMajor { path: path.into(), theirs: manifest.abi });
        }
        Ok(manifest)
    }
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}
