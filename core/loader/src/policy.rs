//! How much trust a plugin file needs before anything of it runs.

use std::{io, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    LoadOptions, PermissionFault, Provenance, Trust,
    file::{PluginFile, prefix},
    lock::{trust_of, trusted},
    permissions::quoted,
    signature,
};

/// How much trust a plugin file needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// None.
    Off,
    /// None, but what is missing for `lock` is said.
    Warn,
    /// Its hash stands in the lock file.
    Lock,
    /// A signature by one of the user's keys lies beside it.
    Signed,
}

impl Policy {
    /// The policy for files found that way, where nobody chose one.
    #[must_use]
    pub const fn default_for(provenance: Provenance) -> Self {
        match provenance {
            Provenance::Explicit => Self::Warn,
            Provenance::Searched => Self::Lock,
        }
    }

    pub(crate) const fn is_strict(self) -> bool {
        matches!(self, Self::Lock | Self::Signed)
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "warn" => Ok(Self::Warn),
            "lock" => Ok(Self::Lock),
            "signed" => Ok(Self::Signed),
            _ => Err(format!("unknown policy `{text}`; known are off, warn, lock, signed")),
        }
    }
}

/// What a file lacks under its policy. Each message reads after the file's name.
#[derive(Debug, Error)]
pub enum PolicyFault {
    /// Never trusted.
    #[error("is not trusted (sha256 {}): only plugins in {} are loaded from here; see where it comes from, then run `trainer plugin trust {}`", prefix(sha256), lock.display(), quoted(file))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// Its hash.
        sha256: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// Trusted with other content.
    #[error(
        "has changed since it was trusted (sha256 {} then, {} now); if that was meant, run `trainer plugin trust {}`",
        prefix(was),
        prefix(sha256),
        quoted(file)
    )]
    Changed {
        /// The file.
        file: PathBuf,
        /// The hash that is trusted.
        was: String,
        /// The file's hash.
        sha256: String,
    },
    /// The lock file says nothing that can be understood.
    #[error("cannot be looked up in {}: {reason}; correct that file, or remove it and trust your plugins again", lock.display())]
    LockDamaged {
        /// The lock file.
        lock: PathBuf,
        /// What the parser found.
        reason: String,
    },
    /// Others could have written the lock file.
    #[error("cannot be looked up, since {} {fault}", lock.display())]
    LockUnsafe {
        /// The lock file.
        lock: PathBuf,
        /// How.
        fault: PermissionFault,
    },
    /// The lock file cannot be written.
    #[error("cannot be entered into {}: {reason}; make that file writable for you", lock.display())]
    LockUnwritable {
        /// The lock file.
        lock: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// Nobody signed it.
    #[error("has no signature: {} is missing; ask its author for it, or sign it with `minisign -Sm {}`", signature.display(), quoted(file))]
    NoSignature {
        /// The file.
        file: PathBuf,
        /// Where the signature would be.
        signature: PathBuf,
    },
    /// Signed by somebody the user does not know.
    #[error("is signed with a key that is not among the {known} in {}; put the author's public key there as NAME.pub if you trust it", keys.display())]
    UnknownKey {
        /// The folder of keys.
        keys: PathBuf,
        /// How many it holds.
        known: usize,
    },
    /// Not the file that was signed.
    #[error("does not match its signature {}: {reason}; one of the two was changed, get both again", signature.display())]
    BadSignature {
        /// The signature's file.
        signature: PathBuf,
        /// What the check found.
        reason: String,
    },
    /// A key file that is none, or that others could have written.
    #[error("cannot be checked: the key {} {reason}", key.display())]
    BadKey {
        /// The key's file.
        key: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No home folder, so no lock file and no keys.
    #[error("cannot be looked up: this process has no home folder; set HOME or XDG_CONFIG_HOME")]
    NoHome,
}

impl PolicyFault {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "not-trusted",
            Self::Changed { .. } => "changed-since-trusted",
            Self::LockDamaged { .. } => "lock-file-damaged",
            Self::LockUnsafe { .. } => "lock-file-unsafe",
            Self::LockUnwritable { .. } => "lock-file-unwritable",
            Self::NoSignature { .. } => "no-signature",
            Self::UnknownKey { .. } => "unknown-key",
            Self::BadSignature { .. } => "bad-signature",
            Self::BadKey { .. } => "bad-key",
            Self::NoHome => "no-home-folder",
        }
    }
}

/// Refuses the file under the policy. Returns what the lock file says of it, where that was asked.
pub(crate) fn check(file: &PluginFile, policy: Policy, options: &LoadOptions) -> Result<Trust, PolicyFault> {
    match policy {
        Policy::Off => Ok(Trust::Trusted),
        Policy::Signed => signature::check(file, options).map(|()| Trust::Trusted),
        Policy::Warn => match options.lock_file() {
            Some(lock) => Ok(trust_of(&trusted(&lock)?, &file.path, &file.sha256)),
            None => Ok(Trust::Unknown),
        },
        Policy::Lock => {
            let lock = options.lock_file().ok_or(PolicyFault::NoHome)?;
            let (path, sha256) = (file.path.clone(), file.sha256.clone());
            match trust_of(&trusted(&lock)?, &path, &sha256) {
                Trust::Trusted => Ok(Trust::Trusted),
                Trust::Changed { was } => Err(PolicyFault::Changed { file: path, was, sha256 }),
                Trust::Unknown => Err(PolicyFault::Unknown { file: path, sha256, lock }),
            }
        }
    }
}

/// The line for a file under `warn` that `lock` would refuse.
pub(crate) fn warning(id: &str, file: &PluginFile, trust: &Trust) -> Option<String> {
    let (now, path) = (prefix(&file.sha256), quoted(&file.path));
    match trust {
        Trust::Trusted => None,
        Trust::Unknown => Some(format!(
            "plugin {id} is not trusted (sha256 {now}); `trainer plugin trust {path}` says that it is and that it must \
             not change"
        )),
        Trust::Changed { was } => Some(format!(
            "plugin {id} has changed since it was trusted (sha256 {} then, {now} now); if that was meant, run \
             `trainer plugin trust {path}`",
            prefix(was)
        )),
    }
}
