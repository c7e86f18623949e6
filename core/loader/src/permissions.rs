//! Who else could have written a file: its own mode and owner, and those of the folders above it.

use std::{
    fs::Metadata,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
use thiserror::Error;

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const ALL_WRITE: u32 = 0o002;

/// A way for others to have written the file. Each message reads after the file's name.
#[derive(Debug, Error)]
pub enum PermissionFault {
    /// A folder, a device, a pipe.
    #[error("is not a regular file; give the .so file itself")]
    NotRegular,
    /// The file itself.
    #[error("can be changed by every user; run `chmod o-w {}`", quoted(.0))]
    WorldWritable(PathBuf),
    /// A folder above it, without the sticky bit.
    #[error("can be replaced by every user, through a folder above it; run `chmod o-w {}`", quoted(.0))]
    WorldWritableFolder(PathBuf),
    /// The file itself.
    #[error("can be changed by its group; run `chmod g-w {}`", quoted(.0))]
    GroupWritable(PathBuf),
    /// A folder above it, without the sticky bit.
    #[error("can be replaced by a group, through a folder above it; run `chmod g-w {}`", quoted(.0))]
    GroupWritableFolder(PathBuf),
    /// The file belongs to another user.
    #[error("belongs to user {owner}, who is neither root nor you; check it, then run `chown {} {}` as root", geteuid().as_raw(), quoted(path))]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
}

impl PermissionFault {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotRegular => "not-regular-file",
            Self::WorldWritable(_) => "world-writable",
            Self::WorldWritableFolder(_) => "world-writable-folder",
            Self::GroupWritable(_) => "group-writable",
            Self::GroupWritableFolder(_) => "group-writable-folder",
            Self::ForeignOwner { .. } => "foreign-owner",
        }
    }

    /// Whether no policy lets it pass.
    pub(crate) const fn is_fatal(&self) -> bool {
        matches!(self, Self::NotRegular | Self::WorldWritable(_) | Self::WorldWritableFolder(_))
    }
}

/// All faults of the file at the canonical `path`, the fatal ones first.
pub(crate) fn faults(path: &Path, file: &Metadata) -> Vec<PermissionFault> {
    let mut faults = Vec::new();
    if file.mode() & ALL_WRITE != 0 {
        faults.push(PermissionFault::WorldWritable(path.into()));
    } else if file.mode() & GROUP_WRITES != 0 {
        faults.push(PermissionFault::GroupWritable(path.into()));
    }
    for folder in path.ancestors().skip(1) {
        let mode = folder.metadata().map_or(0, |folder| folder.mode()); // unreadable folders are not ours to judge
        if mode & STICKY != 0 {
            continue;
        } else if mode & ALL_WRITE != 0 {
            faults.push(PermissionFault::WorldWritableFolder(folder.into()));
        } else if mode & GROUP_WRITES != 0 {
            faults.push(PermissionFault::GroupWritableFolder(folder.into()));
        }
    }
    if ![0, geteuid().as_raw()].contains(&file.uid()) {
        faults.push(PermissionFault::ForeignOwner { path: path.into(), owner: file.uid() });
    }
    faults.sort_by_key(|fault| !fault.is_fatal());
    faults
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+=:@%,".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}
