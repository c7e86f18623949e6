//! One check in a process of its own: a plugin that crashes, exits or hangs there does so alone.

use std::{
    cell::RefCell,
    env,
    ffi::OsString,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::fcntl_dupfd_cloexec,
    process::{Pid, Resource, Rlimit, Signal, kill_process_group, setrlimit},
    stdio::{dup2_stdout, stdout},
};
use serde::{Deserialize, Serialize};

use super::{
    list::Check,
    outcome::{Outcome, Row},
    work::{Component, Work},
};
use crate::crash;

/// What the process says on its standard output, a line each.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Begin(String),
    Row(Row),
    End,
}

/// The process's side: runs the check, says what comes of it. What plugins print goes into memory.
pub fn serve(mut work: Work, components: &[Component]) -> Result<()> {
    let mut out = File::from(fcntl_dupfd_cloexec(stdout(), 3)?);
    let printed = File::from(memfd_create("printed", MemfdFlags::CLOEXEC)?);
    dup2_stdout(&printed)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    work.printed = Some(printed);
    let say = RefCell::new(|said: Said| -> Result<()> {
        let mut line = serde_json::to_vec(&said)?;
        line.push(b'\n');
        Ok(out.write_all(&line)?)
    });
    // A parent that no longer listens has ended, and its children with it.
    let begin = |label: &str| drop(say.borrow_mut()(Said::Begin(label.into())));
    let end = |row| drop(say.borrow_mut()(Said::Row(row)));
    work.run(components, begin, end)?;
    say.borrow_mut()(Said::End)
}

/// The parent's side: runs the check on all components, in a new process after each crash. `words` are the arguments
/// that lead a process to [`serve`].
pub fn run(check: &Check, words: &[OsString], components: &[Component], limit: Duration) -> Result<Vec<Row>> {
    let (mut rows, mut rest) = (Vec::new(), components);
    loop {
        let Ended { rows: told, bad, at_end, milliseconds } = one(check, words, rest, limit)?;
        let done = told.len();
        rows.extend(told);
        let row = |component, outcome, reason| Row { component, outcome, milliseconds, reason, ..Row::of(check) };
        rows.extend(at_end.map(|(outcome, reason)| row(String::new(), outcome, reason)));
        let Some((component, reason)) = bad else { return Ok(rows) };
        rest = rest.get(done + 1..).unwrap_or_default();
        let is_last = component.is_empty() || rest.is_empty();
        rows.push(row(component, Outcome::Crashed, reason));
        if is_last {
            return Ok(rows);
        }
    }
}

/// What came of one process.
struct Ended {
    rows: Vec<Row>,
    /// The component that it died in, and how.
    bad: Option<(String, String)>,
    /// What was wrong with its end, after the check was through.
    at_end: Option<(Outcome, String)>,
    milliseconds: u64,
}

fn one(check: &Check, words: &[OsString], components: &[Component], limit: Duration) -> Result<Ended> {
    let errors = File::from(memfd_create("errors", MemfdFlags::CLOEXEC)?);
    let mut group = Group::start(command(check, words, components).stderr(errors.try_clone()?))?;
    let output = BufReader::new(group.child.stdout.take().context("the child has no output")?);
    let (sender, said) = mpsc::channel();
    thread::spawn(move || {
        let lines = output.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str::<Said>(&line).ok());
        lines.map_while(|said| sender.send(said).ok()).for_each(drop);
    });
    let (mut rows, mut at, mut start, mut is_through) = (Vec::new(), String::new(), Instant::now(), false);
    // Until it begins with a component, it loads the file, which may have to be tried out first.
    let patience = |at: &str| if at.is_empty() { limit + trainer_loader::PROBE_TIMEOUT } else { limit };
    let answers = loop {
        match said.recv_timeout(patience(&at)) {
            Ok(Said::Begin(label)) => (at, start) = (label, Instant::now()),
            Ok(Said::Row(row)) => rows.push(row),
            Ok(Said::End) => is_through = true,
            Err(RecvTimeoutError::Timeout) => break false,
            Err(RecvTimeoutError::Disconnected) => break true,
        }
        if is_through {
            break true;
        }
    };
    let status = if answers { group.wait(limit)? } else { None };
    let milliseconds = start.elapsed().as_millis() as u64;
    let is_alone = group.end()?;
    let mut ended = Ended { rows, bad: None, at_end: None, milliseconds };
    let words = LastWords::of(errors, &at)?;
    if !is_through {
        let how = words.report.unwrap_or_else(|| how(status, patience(&at), words.is_own));
        ended.bad = Some((at, format!("{how}{}", words.said)));
    } else if !status.is_some_and(|status| status.success()) {
        let how = how(status, limit, words.is_own);
        let advice = "after all was done; look at destructors of static objects, handlers of exit, and threads";
        ended.at_end = Some((Outcome::Crashed, format!("{how}, {advice}{}", words.said)));
    } else if !is_alone {
        let reason = "it leaves a process behind; wait for each process that it starts, or do without";
        ended.at_end = Some((Outcome::Failed, reason.into()));
    }
    Ok(ended)
}

fn command(check: &Check, words: &[OsString], components: &[Component]) -> Command {
    // Where the system cannot say, its own name may still be found.
    let mut command = Command::new(env::current_exe().unwrap_or_else(|_| "trainer".into()));
    command.args(["plugin", "check"]).args(words).arg("--child").arg(check.number.to_string());
    command.args(components.iter().flat_map(|(kind, name)| ["--of".into(), format!("{kind}/{name}")]));
    command.env("OMP_NUM_THREADS", "1").env("RUST_BACKTRACE", "0").env("TRAINER_LOG", "error");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// A process, and those that it starts.
struct Group {
    child: Child,
    id: Pid,
}

impl Group {
    fn start(command: &mut Command) -> Result<Self> {
        let child = command.process_group(0).spawn().context("cannot start a process for the check")?;
        let id = Pid::from_child(&child);
        Ok(Self { child, id })
    }

    /// The status of the process, which is to end soon; none if it does not.
    fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            let status = self.child.try_wait()?;
            if status.is_some() || Instant::now() > end {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends what is left of the group; whether nothing was but the process itself.
    fn end(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_none() {
            let _ = kill_process_group(self.id, Signal::KILL);
            self.child.wait()?;
        }
        // A group that is gone cannot be killed.
        Ok(kill_process_group(self.id, Signal::KILL).is_err())
    }
}

/// How a process ended that should have gone on, or gone well.
fn how(status: Option<ExitStatus>, limit: Duration, is_own: bool) -> String {
    let Some(status) = status else { return format!("hangs: no answer after {} s", limit.as_secs()) };
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("crashes with {}", trainer_loader::signal_name(signal)),
        _ if is_own => "ends with an error of the trainer's own".into(),
        (None, code) => format!(
            "ends the process with exit code {}; a plugin must not call exit but return an error",
            code.unwrap_or_default()
        ),
    }
}

/// What stands on the standard error of a process that has ended.
struct LastWords {
    /// The crash report, from the word after the component's name on, with the line of the source.
    report: Option<String>,
    /// The last line before that, cut to what a line can carry, for the end of a sentence.
    said: String,
    /// Whether the trainer itself panicked.
    is_own: bool,
}

impl LastWords {
    fn of(mut errors: File, component: &str) -> Result<Self> {
        let mut bytes = Vec::new();
        errors.rewind()?;
        errors.take(1 << 20).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let name = component.rsplit(' ').next().unwrap_or_default();
        let is_report = |line: &&str| line.starts_with("error: plugin ") || line.starts_with(crash::EXIT);
        let start = lines.iter().rposition(is_report).unwrap_or(lines.len());
        let report = lines[start..].join(" ");
        let report = match report.strip_prefix(crash::EXIT) {
            Some(_) => Some(report.trim_start_matches("error: ").to_owned()),
            None => report.split_once(&format!(" ({name}) ")).map(|(_, report)| report.to_owned()),
        };
        let line = lines[..start].last().copied().unwrap_or_default();
        let line: String = line.chars().take(200).collect();
        let said = if line.is_empty() { line } else { format!("; its last words: {line}") };
        let is_own = text.contains("error: internal: ");
        Ok(Self { report, said, is_own })
    }
}
