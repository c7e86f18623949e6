//! What came of a check.

use serde::{Deserialize, Serialize};

use super::list::Check;

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
    /// What came out, for a comparison between processes; in no report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<u64>,
}

impl Row {
    /// A check that passed without a word, in no time.
    pub fn of(check: &Check) -> Self {
        Self {
            number: check.number,
            check: check.name.into(),
            component: String::new(),
            outcome: Outcome::Passed,
            milliseconds: 0,
            reason: String::new(),
            trace: Vec::new(),
        }
    }

    /// Whether it is in vain to run other checks.
    pub fn is_end(&self) -> bool {
        self.outcome == Outcome::Refused || self.outcome == Outcome::Crashed && self.component.is_empty()
    }
}

/// A text that terminals and XML take: without control characters, which a plugin's words may hold.
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !['\u{fffe}', '\u{ffff}'].contains(c)).collect()
}
