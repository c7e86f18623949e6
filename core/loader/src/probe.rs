//! Tries a plugin out in a process to spare, once for each content of a file: what crashes, exits or hangs there does
//! not do so in the trainer.

use std::{
    fs, io,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    Answer, LoadError, LoadOptions, ProbeFault, Probed,
    child::{self, ANSWER_LIMIT, Ended},
    file::{PluginFile, read_limited},
    lock::write_at_once,
    resolve::own_folder,
};

/// What is kept of a probe, by the file's hash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    Ok(Probed),
    Crashed { signal: i32, said: String },
    Exited { code: i32, said: String },
    TimedOut,
}

impl Kept {
    fn into_outcome(self, result: &Path) -> Result<Probed, ProbeFault> {
        let result = result.to_owned();
        match self {
            Self::Ok(probed) => Ok(probed),
            Self::Crashed { signal, said } => Err(ProbeFault::Crashed { signal, said_last: said, result }),
            Self::Exited { code, said } => Err(ProbeFault::Exited { code, said_last: said, result }),
            Self::TimedOut => Err(ProbeFault::TimedOut { result }),
        }
    }
}

/// The file of a probe's result; `sha256` is the plugin's.
pub(crate) fn result_file(results: &Path, sha256: &str) -> PathBuf {
    results.join(format!("{sha256}-{}.json", trainer_abi::VERSION))
}

/// What an earlier probe found; none if there was none or its file is damaged.
pub(crate) fn cached(result: &Path) -> Option<Result<Probed, ProbeFault>> {
    let bytes = read_limited(result, ANSWER_LIMIT).ok()?;
    let kept: Kept = serde_json::from_slice(&bytes).ok()?;
    Some(kept.into_outcome(result))
}

/// What the plugin is: as an earlier probe found it, else as a new one does.
pub(crate) fn probe(
    copy: &Path,
    file: &PluginFile,
    results: &Path,
    options: &LoadOptions,
) -> Result<Probed, LoadError> {
    let path = || file.path.clone();
    // The plugin's words name the copy, which nobody but the loader knows.
    let (subject, name) = (format!("plugin {} ", copy.display()), copy.display().to_string());
    let words = |text: String| text.replace(&subject, "it ").replace(&name, &file.path.display().to_string());
    let refused = |reason| LoadError::Probe { path: path(), reason };
    let result = result_file(results, &file.sha256);
    if let Some(outcome) = cached(&result) {
        return outcome.map_err(refused);
    }
    let program = program(options).map_err(refused)?;
    let unusable = |reason: String| refused(ProbeFault::Unusable { program: program.clone(), reason });
    let kept = match child::run(&program, copy).map_err(|reason| unusable(format!("cannot be run: {reason}")))? {
        Ended::TimedOut => Kept::TimedOut,
        Ended::With { status, answer, said } => match (status.signal(), serde_json::from_slice(&answer)) {
            (Some(signal), _) => Kept::Crashed { signal, said },
            (None, Ok(Answer::Ok(probed))) => Kept::Ok(probed),
            (None, Ok(Answer::CannotOpen(reason))) => {
                return Err(LoadError::Open { path: path(), reason: words(reason) });
            }
            (None, Ok(Answer::AbiLayout(reason))) => {
                return Err(LoadError::Layout { path: path(), reason: words(reason) });
            }
            (None, Ok(Answer::InitFailed(reason))) => {
                return Err(LoadError::Init { path: path(), reason: words(reason) });
            }
            (None, Ok(Answer::Component(reason))) => {
                return Err(refused(ProbeFault::Refused { reason: words(reason) }));
            }
            (None, Err(_)) => Kept::Exited { code: status.code().unwrap_or(0), said },
        },
    };
    let text = serde_json::to_vec(&kept).map_err(|reason| unusable(reason.to_string()))?;
    // A result that cannot be kept costs the next start some milliseconds; this one goes on.
    let _ = write_at_once(&result, &text, 0o600);
    kept.into_outcome(&result).map_err(refused)
}

/// `trainer-probe` beside the executable, or above it (test binaries lie one folder deeper).
fn program(options: &LoadOptions) -> Result<PathBuf, ProbeFault> {
    if let Some(program) = &options.probe {
        let folder = program.parent().unwrap_or(program);
        return if program.is_file() {
            Ok(program.clone())
        } else {
            Err(ProbeFault::Missing { searched: vec![folder.into()] })
        };
    }
    let searched: Vec<PathBuf> =
        own_folder().iter().flat_map(|dir| dir.ancestors().take(2)).map(PathBuf::from).collect();
    let found = searched.iter().map(|dir| dir.join("trainer-probe")).find(|program| program.is_file());
    found.ok_or(ProbeFault::Missing { searched })
}

/// Forgets what was found of the plugin with that hash, so that the next load tries it out again. Says whether anything
/// was known.
///
/// # Errors
/// A result that cannot be deleted.
pub fn forget_probe(sha256: &str, options: &LoadOptions) -> io::Result<bool> {
    let Some(results) = crate::cache::probes_unchecked(options) else { return Ok(false) };
    match fs::remove_file(result_file(&results, sha256)) {
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}
