//! The user's own folder of copies: what is loaded is a copy that nobody else can change, so that nothing happens to
//! the bytes between their hash and their loading.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};
use thiserror::Error;

use crate::{
    LoadOptions, PermissionFault,
    file::PluginFile,
    lock::write_at_once,
    permissions::{self, quoted},
};

const NOT_THE_USERS: u32 = 0o077;
const OTHERS_WRITE: u32 = 0o022;

/// Why no copy can be kept. Each message reads after the file's name.
#[derive(Debug, Error)]
pub enum CacheFault {
    /// No home folder.
    #[error("cannot be copied: this process has no cache folder; set HOME or XDG_CACHE_HOME")]
    NoHome,
    /// A folder that others can change.
    #[error("cannot be copied into {}: {reason}", folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// What is wrong, and the command that mends it.
        reason: String,
    },
    /// The system refused.
    #[error("cannot be copied into {}: {reason}; make room, or set XDG_CACHE_HOME to a folder that you can write", folder.display())]
    Unwritable {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
}

impl CacheFault {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoHome => "no-cache-folder",
            Self::NotOurs { .. } => "cache-unsafe",
            Self::Unwritable { .. } => "cache-unwritable",
        }
    }
}

/// The user's cache, made and checked.
pub(crate) struct Cache(PathBuf);

impl Cache {
    /// Makes the folder where it is missing, and refuses it where others can change it.
    pub fn open(options: &LoadOptions) -> Result<Self, CacheFault> {
        let folder = options.cache_folder().ok_or(CacheFault::NoHome)?;
        let failed = |reason: io::Error| CacheFault::Unwritable { folder: folder.clone(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let folder = folder.canonicalize().map_err(failed)?;
        check_folder(&folder, OTHERS_WRITE)?;
        let metadata = folder.metadata().map_err(failed)?;
        let mut above = permissions::faults(&folder, &metadata).into_iter();
        match above.find(|fault| matches!(fault, PermissionFault::WorldWritableFolder(_))) {
            Some(fault) => Err(CacheFault::NotOurs { folder, reason: format!("it {fault}") }),
            None => Ok(Self(folder)),
        }
    }

    /// A folder of the user alone inside the cache.
    fn private(&self, name: &Path) -> Result<PathBuf, CacheFault> {
        let folder = self.0.join(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(reason) if reason.kind() != io::ErrorKind::AlreadyExists => {
                Err(CacheFault::Unwritable { folder, reason })
            }
            _ => check_folder(&folder, NOT_THE_USERS).map(|()| folder),
        }
    }

    /// The copy of a plugin file, made where it is missing or differs from the bytes that were hashed.
    pub fn copy(&self, file: &PluginFile) -> Result<PathBuf, CacheFault> {
        self.private(Path::new("plugins"))?;
        let folder = self.private(&Path::new("plugins").join(&file.sha256))?;
        let copy = folder.join(file.path.file_name().unwrap_or("plugin.so".as_ref()));
        if !is_same(&copy, &file.bytes).unwrap_or(false) {
            let failed = |reason| CacheFault::Unwritable { folder, reason };
            write_at_once(&copy, &file.bytes, 0o500).map_err(failed)?;
        }
        Ok(copy)
    }

    /// The folder of probe results.
    pub fn probes(&self) -> Result<PathBuf, CacheFault> {
        self.private(Path::new("probes"))
    }
}

/// The folder of probe results, without making or checking anything.
pub(crate) fn probes_unchecked(options: &LoadOptions) -> Option<PathBuf> {
    Some(options.cache_folder()?.join("probes"))
}

/// Refuses what is no folder of the user's, and modes with one of the `forbidden` bits.
fn check_folder(folder: &Path, forbidden: u32) -> Result<(), CacheFault> {
    let failed = |reason| CacheFault::Unwritable { folder: folder.into(), reason };
    let metadata = fs::symlink_metadata(folder).map_err(failed)?;
    let (me, shown) = (geteuid().as_raw(), quoted(folder));
    let reason = if !metadata.is_dir() {
        format!("it is no folder; remove it with `rm {shown}`")
    } else if metadata.uid() != me {
        format!("it belongs to user {}, not to you; set XDG_CACHE_HOME to a folder of yours", metadata.uid())
    } else if metadata.mode() & forbidden != 0 {
        format!(
            "others have rights on it; run `chmod {} {shown}`",
            if forbidden == OTHERS_WRITE { "go-w" } else { "700" }
        )
    } else {
        return Ok(());
    };
    Err(CacheFault::NotOurs { folder: folder.into(), reason })
}

/// Bytes of a copy that are compared at a time.
const PIECE: usize = 64 << 10;

/// Whether `copy` is a file of the user's alone that holds exactly `bytes`.
fn is_same(copy: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut file = OpenOptions::new().read(true).custom_flags(OFlags::NOFOLLOW.bits() as i32).open(copy)?;
    let metadata = file.metadata()?;
    let is_ours = metadata.is_file() && metadata.uid() == geteuid().as_raw() && metadata.mode() & OTHERS_WRITE == 0;
    if !is_ours || metadata.len() != bytes.len() as u64 {
        return Ok(false);
    }
    // Piece by piece: memory that was not used before costs more time than the reading.
    let mut piece = vec![0; PIECE];
    for wanted in bytes.chunks(PIECE) {
        let found = &mut piece[..wanted.len()];
        file.read_exact(found)?;
        if found != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}
