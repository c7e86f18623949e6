//! Tries a plugin out in a process to spare, once for each content of a file: what crashes, exits or hangs there does
//! not do so in the trainer.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    process::{Pid, PidfdFlags, pidfd_open},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    LoadError, LoadOptions, LoadedComponent,
    file::{PluginFile, read_limited},
    lock::write_at_once,
    permissions::quoted,
    resolve::own_folder,
};

/// How long a plugin may take to be loaded and to construct its components.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Larger answers and cached results are not read.
const ANSWER_LIMIT: u64 = 16 << 20;

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

/// What a plugin was when it was tried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// Its components, in the order of the manifest.
    pub components: Vec<ProbedComponent>,
    /// Bytes that it wrote to standard output.
    pub printed: u64,
    /// Threads that it left running after its components were constructed.
    pub threads: usize,
}

/// A component that was constructed with its default options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProbedComponent {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What it does.
    pub doc: String,
    /// The JSON Schema of its options.
    pub schema: serde_json::Value,
}

impl ProbedComponent {
    /// What is compared of a loaded component.
    #[must_use]
    pub fn of(component: &LoadedComponent) -> Self {
        let entry = &component.entry;
        let (kind, name, doc) = (entry.kind.clone(), entry.name.clone(), entry.doc.clone());
        Self { kind, name, doc, schema: component.schema.clone() }
    }
}

impl Probed {
    /// Refuses a library whose components are not those of the probe.
    pub(crate) fn compare(&self, loaded: &[LoadedComponent]) -> Result<(), ProbeFault> {
        let loaded: Vec<_> = loaded.iter().map(ProbedComponent::of).collect();
        if loaded.len() != self.components.len() {
            let what = format!("{} components then, {} now", self.components.len(), loaded.len());
            return Err(ProbeFault::Differs { what });
        }
        match self.components.iter().zip(&loaded).find(|(then, now)| then != now) {
            Some((then, now)) if (&then.kind, &then.name) != (&now.kind, &now.name) => {
                let what = format!("{} {} then, {} {} now", then.kind, then.name, now.kind, now.name);
                Err(ProbeFault::Differs { what })
            }
            Some((then, _)) => Err(ProbeFault::Differs { what: format!("the options of {} {}", then.kind, then.name) }),
            None => Ok(()),
        }
    }

    /// What the user should know of a plugin that loads all the same.
    pub(crate) fn warning(&self, id: &str) -> Option<String> {
        (self.printed > 0).then(|| {
            format!(
                "plugin {id} wrote {} bytes to standard output when it was loaded; it should log instead",
                self.printed
            )
        })
    }
}

/// What `trainer-probe` writes to its standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Everything was constructed.
    Ok(Probed),
    /// [`LoadError::Open`].
    CannotOpen(String),
    /// [`LoadError::Layout`].
    AbiLayout(String),
    /// [`LoadError::Init`].
    InitFailed(String),
    /// A component cannot be constructed.
    Component(String),
}

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
    let kept = match run(&program, copy).map_err(|reason| unusable(format!("cannot be run: {reason}")))? {
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

enum Ended {
    TimedOut,
    With { status: ExitStatus, answer: Vec<u8>, said: String },
}

/// Runs the program on the copy. Its output goes into memory, so that no amount of it blocks either side.
fn run(program: &Path, copy: &Path) -> io::Result<Ended> {
    let memory = || Ok::<_, io::Error>(File::from(memfd_create("trainer-probe", MemfdFlags::CLOEXEC)?));
    let (mut answer, mut errors) = (memory()?, memory()?);
    let mut child = Command::new(program)
        .arg(copy)
        .stdin(Stdio::null())
        .stdout(answer.try_clone()?)
        .stderr(errors.try_clone()?)
        .spawn()?;
    let Some(status) = wait(&mut child)? else { return Ok(Ended::TimedOut) };
    Ok(Ended::With { status, answer: content(&mut answer)?, said: last_line(&content(&mut errors)?) })
}

/// Waits for the child; kills it when its time is over.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let deadline = Instant::now() + PROBE_TIMEOUT;
    let end = pidfd_open(pid, PidfdFlags::empty());
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut wake = [PollFd::new(end.as_ref().map_err(|&reason| reason)?, PollFlags::IN)];
        match poll(&mut wake, Timespec::try_from(left).ok().as_ref()) {
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(reason) => return Err(reason.into()),
        }
    }
}

fn content(memory: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    memory.rewind()?;
    memory.take(ANSWER_LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last line of what a plugin wrote, cut to what a message can carry.
fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
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
