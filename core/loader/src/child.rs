//! The process in which a plugin is tried out.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{MemfdFlags, memfd_create},
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};

/// How long a plugin may take to be loaded and to construct its components.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Of larger answers only the beginning is read.
pub(crate) const ANSWER_LIMIT: u64 = 16 << 20;

/// How the process ended.
pub(crate) enum Ended {
    /// It was killed.
    TimedOut,
    /// By itself, or by a signal; `said` is its last line on standard error.
    With { status: ExitStatus, answer: Vec<u8>, said: String },
}

/// Runs the program on the copy. Its output goes into memory, so that no amount of it blocks either side.
pub(crate) fn run(program: &Path, copy: &Path) -> io::Result<Ended> {
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

/// The child's status, or none where its time is over and it was killed.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let ended = ends_in_time(child);
    if !matches!(ended, Ok(true)) {
        child.kill()?;
    }
    let status = child.wait()?;
    ended.map(|in_time| in_time.then_some(status))
}

fn ends_in_time(child: &Child) -> io::Result<bool> {
    let deadline = Instant::now() + PROBE_TIMEOUT;
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut [PollFd::new(&end, PollFlags::IN)], Timespec::try_from(left).ok().as_ref()) {
            Err(Errno::INTR) => {}
            woken => return Ok(woken? > 0),
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
