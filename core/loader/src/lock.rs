//! `plugins.lock`: the plugins that the user trusts, by hash.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    LoadError, LoadOptions, PermissionFault, Policy, PolicyFault,
    file::read_limited,
    permissions,
    pipeline::{self, Checked},
};

const LOCK_LIMIT: u64 = 1 << 20;

/// A plugin that the user trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trusted {
    /// The plugin's id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Where the file lay.
    pub path: PathBuf,
}

/// What the lock file says of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// These bytes are trusted.
    Trusted,
    /// Other bytes at this path were.
    Changed {
        /// Their hash.
        was: String,
    },
    /// Nothing.
    Unknown,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    #[serde(default, rename = "plugin")]
    plugins: Vec<Trusted>,
}

/// The plugins in a lock file, in the order they were trusted; none where there is no file.
///
/// # Errors
/// A file that cannot be read, or that somebody else could have written.
pub fn trusted(lock: &Path) -> Result<Vec<Trusted>, PolicyFault> {
    let damaged = |reason: String| PolicyFault::LockDamaged { lock: lock.into(), reason };
    let bytes = match read_limited(lock, LOCK_LIMIT) {
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|reason| damaged(reason.to_string()))?,
    };
    if let Some(fault) = others_write(lock).map_err(|reason| damaged(reason.to_string()))? {
        return Err(PolicyFault::LockUnsafe { lock: lock.into(), fault });
    }
    let text = String::from_utf8(bytes).map_err(|reason| damaged(reason.to_string()))?;
    let entries: Entries = toml::from_str(&text).map_err(|reason| damaged(reason.to_string().replace('\n', " ")))?;
    Ok(entries.plugins)
}

/// Why the user's own settings at `path` may not be the user's.
pub(crate) fn others_write(path: &Path) -> io::Result<Option<PermissionFault>> {
    let path = path.canonicalize()?;
    let mut faults = permissions::faults(&path, &path.metadata()?).into_iter();
    // A group's folder above the user's own is common and not ours to judge.
    Ok(faults.find(|fault| !matches!(fault, PermissionFault::GroupWritableFolder(_))))
}

/// What `entries` say of the file with that path and hash.
pub(crate) fn trust_of(entries: &[Trusted], path: &Path, sha256: &str) -> Trust {
    if entries.iter().any(|entry| entry.sha256 == sha256) {
        return Trust::Trusted;
    }
    let known = entries.iter().find(|entry| entry.path == path);
    known.map_or(Trust::Unknown, |entry| Trust::Changed { was: entry.sha256.clone() })
}

/// Trusts a plugin file as it is now. Runs none of its code.
///
/// # Errors
/// A file that no policy would load, or a lock file that cannot be written.
pub fn trust(file: &Path, options: &LoadOptions) -> Result<Trusted, LoadError> {
    let Checked { file, manifest, .. } = pipeline::check_as(file, Policy::Off, options)?;
    let entry = Trusted { id: manifest.id, version: manifest.version, sha256: file.sha256, path: file.path };
    let path = entry.path.clone();
    change(options, |entries| {
        entries.retain(|known| known.path != entry.path);
        entries.push(entry.clone());
        entry
    })
    .map_err(|reason| LoadError::Policy { path, reason })
}

/// Trusts a plugin no longer: the entries with that id, or trusted at that path. Returns them; none if there was none.
///
/// # Errors
/// A lock file that cannot be read or written.
pub fn untrust(name: &str, options: &LoadOptions) -> Result<Vec<Trusted>, LoadError> {
    let path = Path::new(name).canonicalize().unwrap_or_else(|_| name.into());
    let is_meant = |entry: &Trusted| entry.id == name || entry.path == path;
    change(options, |entries| entries.extract_if(.., |entry| is_meant(entry)).collect())
        .map_err(|reason| LoadError::Policy { path: name.into(), reason })
}

/// Reads the lock file, changes it and writes it, with no other process doing so in between.
fn change<T>(options: &LoadOptions, change: impl FnOnce(&mut Vec<Trusted>) -> T) -> Result<T, PolicyFault> {
    let lock = options.lock_file().ok_or(PolicyFault::NoHome)?;
    let failed = |reason: io::Error| PolicyFault::LockUnwritable { lock: lock.clone(), reason };
    let folder = lock.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let guard = File::open(folder).map_err(failed)?;
    guard.lock().map_err(failed)?;
    let mut entries = Entries { plugins: trusted(&lock)? };
    let outcome = change(&mut entries.plugins);
    let text = toml::to_string(&entries).map_err(|reason| failed(io::Error::other(reason)))?;
    write_at_once(&lock, text.as_bytes(), 0o600).map_err(failed)?;
    Ok(outcome)
}

/// Writes beside `path`, syncs, renames: a reader sees the old file or the new one.
pub(crate) fn write_at_once(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut scratch = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    scratch.write_all(bytes)?;
    scratch.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    scratch.as_file().sync_all()?;
    scratch.persist(path).map_err(|failed| failed.error)?;
    File::open(folder)?.sync_all()
}
