//! How trying a plugin out can end badly.

use std::path::PathBuf;

use thiserror::Error;

use crate::{PROBE_TIMEOUT, permissions::quoted};

/// How the process that tried a plugin out ended, if not well. Each message reads after the file's name.
#[derive(Debug, Error)]
pub enum ProbeFault {
    /// The program is not there.
    #[error("cannot be tried out: trainer-probe is neither in {}; install it beside the trainer", .searched.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(" nor in "))]
    Missing {
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// The program cannot be run.
    #[error("cannot be tried out: {} {reason}; build it with the trainer", program.display())]
    Unusable {
        /// The program.
        program: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// A component refuses its own defaults, or panics over them.
    #[error("{reason}; a component must accept its default options")]
    Refused {
        /// The component and its own words.
        reason: String,
    },
    /// It crashed.
    #[error("crashed with {}{} when it was tried out in another process; rebuild it, or delete {} to try it again", signal_name(*signal), said(said_last), quoted(result))]
    Crashed {
        /// The signal.
        signal: i32,
        /// Its last line on standard error.
        said_last: String,
        /// The cached result.
        result: PathBuf,
    },
    /// It ended the process.
    #[error(
        "ended its process with exit code {code}{} when it was tried out; a plugin must not call exit: rebuild it, or delete {} to try it again",
        said(said_last),
        quoted(result)
    )]
    Exited {
        /// The exit code.
        code: i32,
        /// Its last line on standard error.
        said_last: String,
        /// The cached result.
        result: PathBuf,
    },
    /// It did not come back.
    #[error("was not ready after {} s when it was tried out; a plugin must load and construct at once: rebuild it, or delete {} to try it again", PROBE_TIMEOUT.as_secs(), quoted(result))]
    TimedOut {
        /// The cached result.
        result: PathBuf,
    },
    /// It is not in this process what it was in the other.
    #[error("differs from what it was when it was tried out: {what}; a plugin must be the same each time")]
    Differs {
        /// What differs.
        what: String,
    },
}

impl ProbeFault {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "probe-missing",
            Self::Unusable { .. } => "probe-unusable",
            Self::Refused { .. } => "probe-refused",
            Self::Crashed { .. } => "probe-crashed",
            Self::Exited { .. } => "probe-exited",
            Self::TimedOut { .. } => "probe-timed-out",
            Self::Differs { .. } => "probe-differs",
        }
    }
}

fn said(last: &str) -> String {
    if last.is_empty() { String::new() } else { format!(" (`{last}`)") }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGABRT => "SIGABRT",
        libc::SIGILL => "SIGILL",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGKILL => "SIGKILL",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXFSZ => "SIGXFSZ, having written too much,",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal} ({name})")
}
