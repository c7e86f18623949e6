//! Whether a plugin file would be loaded as it lies there, in a word that scripts can read.

use serde::Serialize;
use trainer_loader::{Inspected, LoadError};

/// What becomes of a plugin file that somebody names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// It would be loaded.
    Ok,
    /// Its policy asks for more trust than it has, or others could have written it.
    Untrusted,
    /// It failed when it was tried out.
    Quarantined,
    /// It does not fit this trainer.
    Incompatible,
    /// Another one provides the same name and is found before it.
    Shadowed,
}

impl Status {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Untrusted => "untrusted",
            Self::Quarantined => "quarantined",
            Self::Incompatible => "incompatible",
            Self::Shadowed => "shadowed",
        }
    }

    /// The status of a file by itself.
    pub const fn of(seen: &Inspected) -> Self {
        match &seen.refusal {
            None => Self::Ok,
            Some(LoadError::Permission { .. } | LoadError::Policy { .. }) => Self::Untrusted,
            Some(LoadError::Probe { .. }) => Self::Quarantined,
            Some(_) => Self::Incompatible,
        }
    }
}
