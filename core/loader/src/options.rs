//! What the caller decides about loading, and where the user's files lie if it does not say.

use std::path::PathBuf;

use etcetera::BaseStrategy as _;
use rustix::process::{geteuid, getuid};

use crate::Policy;

/// How plugins are loaded. The default suits everything but tests and settings of the user.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// The policy for every file; by default `warn` for files that the user named or put beside the executable, and
    /// `lock` for those found in other folders.
    pub policy: Option<Policy>,
    /// The lock file; by default `trainer/plugins.lock` in the user's configuration folder.
    pub lock: Option<PathBuf>,
    /// The folder of keys (`*.pub`); by default `trainer/keys` in the user's configuration folder.
    pub keys: Option<PathBuf>,
    /// The folder of copies and probe results; by default `trainer` in the user's cache folder.
    pub cache: Option<PathBuf>,
    /// The program that tries plugins out; by default `trainer-probe` beside the executable or one folder above.
    pub probe: Option<PathBuf>,
}

impl LoadOptions {
    /// The lock file; none for a process without a home folder.
    #[must_use]
    pub fn lock_file(&self) -> Option<PathBuf> {
        self.lock.clone().or_else(|| Some(user_folders()?.config_dir().join("trainer/plugins.lock")))
    }

    pub(crate) fn keys_folder(&self) -> Option<PathBuf> {
        self.keys.clone().or_else(|| Some(user_folders()?.config_dir().join("trainer/keys")))
    }

    pub(crate) fn cache_folder(&self) -> Option<PathBuf> {
        self.cache.clone().or_else(|| Some(user_folders()?.cache_dir().join("trainer")))
    }
}

/// The user's folders, of which the environment tells: a set-uid process must not believe it and has none.
pub(crate) fn user_folders() -> Option<impl etcetera::BaseStrategy> {
    if is_set_uid() { None } else { etcetera::choose_base_strategy().ok() }
}

/// Whether the process has rights that its caller lacks.
pub(crate) fn is_set_uid() -> bool {
    geteuid() != getuid()
}
