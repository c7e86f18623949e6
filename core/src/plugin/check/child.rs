//! One check in a process of its own: a plugin that crashes, exits or hangs there does so alone.

use std::{
    cell::RefCell,
    env,
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::fcntl_dupfd_cloexec,
    process::{Resource, Rlimit, setrlimit},
    stdio::{dup2_stdout, stdout},
};
use serde::{Deserialize, Serialize};

use super::{
    list::Check,
    outcome::{Outcome, Row},
    work::{Component, Work},
};

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
pub fn run(check: &Check, words: &[String], components: &[Component], limit: Duration) -> Result<Vec<Row>> {
    let (mut rows, mut rest) = (Vec::new(), components);
    loop {
        let ended = one(check, words, rest, limit)?;
        let done = ended.rows.len();
        rows.extend(ended.rows);
        let Some((component, reason)) = ended.crash else { return Ok(rows) };
        let is_whole = component.is_empty();
        rows.push(Row {
            number: check.number,
            check: check.name.into(),
            component,
            outcome: Outcome::Crashed,
            milliseconds: ended.milliseconds,
            reason,
        });
        rest = rest.get(done + 1..).unwrap_or_default();
        if is_whole || rest.is_empty() {
            return Ok(rows);
        }
    }
}

/// What came of one process.
struct Ended {
    rows: Vec<Row>,
    /// The component that it died in, and how.
    crash: Option<(String, String)>,
    milliseconds: u64,
}

fn one(check: &Check, words: &[String], components: &[Component], limit: Duration) -> Result<Ended> {
    let errors = File::from(memfd_create("errors", MemfdFlags::CLOEXEC)?);
    let mut command = Command::new(env::current_exe().context("cannot find the trainer's own binary")?);
    command.args(["plugin", "check"]).args(words).arg("--child").arg(check.number.to_string());
    command.args(components.iter().flat_map(|(kind, name)| ["--of".into(), format!("{kind}/{name}")]));
    command.env("OMP_NUM_THREADS", "1").env("RUST_BACKTRACE", "0").env("TRAINER_LOG", "error");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors.try_clone()?);
    let mut child = command.spawn().context("cannot start a process for the check")?;
    let output = BufReader::new(child.stdout.take().context("the child has no output")?);
    let (sender, said) = mpsc::channel();
    let reader = thread::spawn(move || {
        let lines = output.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str::<Said>(&line).ok());
        lines.map_while(|said| sender.send(said).ok()).for_each(drop);
    });
    let mut ended = Ended { rows: Vec::new(), crash: None, milliseconds: 0 };
    let (mut at, mut start, mut finished) = (String::new(), Instant::now(), false);
    let hangs = loop {
        match said.recv_timeout(limit) {
            Ok(Said::Begin(label)) => (at, start) = (label, Instant::now()),
            Ok(Said::Row(row)) => ended.rows.push(row),
            Ok(Said::End) => finished = true,
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    let status = if hangs { stop(&mut child)? } else { wait(&mut child, limit)? };
    if !hangs {
        let _ = reader.join();
    }
    ended.milliseconds = start.elapsed().as_millis() as u64;
    if !finished {
        let words = LastWords::of(errors, &at)?;
        let how = match words.report {
            Some(report) => report,
            None if hangs => format!("hangs: no answer after {} s", limit.as_secs()),
            None => how(status),
        };
        ended.crash = Some((at, format!("{how}{}", words.said)));
    }
    Ok(ended)
}

/// The status of a process whose output has ended, which is to end soon itself.
fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(1));
    }
    stop(child)
}

fn stop(child: &mut Child) -> Result<ExitStatus> {
    child.kill()?;
    Ok(child.wait()?)
}

/// How a process ended that did not say so itself.
fn how(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("crashes with {}", trainer_loader::signal_name(signal)),
        (None, Some(101 | 4)) => "ends with an error of the trainer's own".into(),
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
}

impl LastWords {
    fn of(mut errors: File, component: &str) -> Result<Self> {
        let mut bytes = Vec::new();
        errors.rewind()?;
        errors.take(1 << 20).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let name = component.rsplit(' ').next().unwrap_or_default();
        let start = lines.iter().rposition(|line| line.starts_with("error: plugin ")).unwrap_or(lines.len());
        let report = lines[start..].join(" ");
        let report = report.split_once(&format!(" ({name}) ")).map(|(_, report)| report.to_owned());
        let line = lines[..start].last().copied().unwrap_or_default();
        let line: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
        let said = if line.is_empty() { line } else { format!("; its last words: {line}") };
        Ok(Self { report, said })
    }
}
