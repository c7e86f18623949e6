//! What came of a check.

use serde::{Deserialize, Serialize};

/// What came of one check of one component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Passed,
    /// It does not apply.
    Skipped,
    Failed,
    /// The process ended or had to be ended.
    Crashed,
    /// The file was not loaded.
    Refused,
}

impl Outcome {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Refused => "refused",
        }
    }

    /// The exit code that it asks for.
    pub const fn code(self) -> u8 {
        match self {
            Self::Passed | Self::Skipped => 0,
            Self::Failed => 1,
            Self::Crashed | Self::Refused => 2,
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The check's number, from 1.
    pub number: u8,
    /// Its name.
    pub check: String,
    /// Kind and name of the component; nothing where it is about the file.
    pub component: String,
    pub outcome: Outcome,
    pub milliseconds: u64,
    /// Why it was skipped or did not pass, and what to do; what there is to know of one that passed.
    pub reason: String,
}
