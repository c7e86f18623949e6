//! A plugin's bytes, read once from one descriptor: what is hashed, checked and copied is the same thing.

use std::{
    fs::{File, Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use crate::{BuildFault, LoadError, PermissionFault};

/// Larger files are refused unread.
pub(crate) const FILE_LIMIT: u64 = 256 << 20;

/// A plugin file as it was when it was opened.
pub(crate) struct PluginFile {
    /// The canonical path.
    pub path: PathBuf,
    /// Owner and mode, asked of the descriptor that was read.
    pub metadata: Metadata,
    pub bytes: Vec<u8>,
    /// In hexadecimal.
    pub sha256: String,
}

impl PluginFile {
    /// Reads a regular file; others are refused before anything is read from them.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let unreadable = |reason: io::Error| LoadError::Unreadable { path: path.into(), reason };
        let path = path.canonicalize().map_err(unreadable)?;
        let file = open(&path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(LoadError::Permission { path, reason: PermissionFault::NotRegular });
        }
        let mut bytes = Vec::with_capacity(metadata.len().min(FILE_LIMIT) as usize + 1);
        if metadata.len() <= FILE_LIMIT {
            file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        }
        let size = metadata.len().max(bytes.len() as u64);
        if size > FILE_LIMIT {
            return Err(LoadError::Build { path, reason: BuildFault::TooLarge { size } });
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { path, metadata, bytes, sha256 })
    }
}

/// Without waiting for a writer where the path names a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

/// The beginning of a hash, as people compare it.
pub(crate) fn prefix(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// The bytes of `path`, unless there are more than `limit`.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::other(format!("it is larger than {limit} bytes"))),
        false => Ok(bytes),
    }
}
