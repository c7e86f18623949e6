//! Check 2: loading and construction are quick, start no threads and print nothing.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{Done, subject::Subject};

/// How long a construction may take.
const QUICK: Duration = Duration::from_millis(500);
/// How long a thread that is about to end may take for it.
const ENDING: Duration = Duration::from_millis(200);

pub fn check(subject: &Subject) -> Result<Done> {
    let start = Instant::now();
    let options = subject.defaults()?;
    subject.construct(options.as_bytes())?;
    let taken = start.elapsed();
    ensure!(
        taken < QUICK,
        "construction takes {} ms, more than {}; put work into `ready` or the first call",
        taken.as_millis(),
        QUICK.as_millis()
    );
    let end = Instant::now() + ENDING;
    while threads()?.len() > subject.threads && Instant::now() < end {
        std::thread::yield_now();
    }
    let left = threads()?;
    ensure!(
        left.len() <= subject.threads,
        "it leaves threads running ({}); end them, or do without",
        left[subject.threads..].join(", ")
    );
    Ok(Done::Passed)
}

/// The names of this process's threads, oldest first.
pub fn threads() -> Result<Vec<String>> {
    let mut numbered = Vec::new();
    for entry in fs::read_dir("/proc/self/task")?.flatten() {
        let number: u64 = entry.file_name().to_string_lossy().parse()?;
        // A thread that has ended meanwhile is none.
        if let Ok(name) = fs::read_to_string(entry.path().join("comm")) {
            numbered.push((number, name.trim().to_owned()));
        }
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, name)| name).collect())
}
