//! Check 2: loading and construction are quick, start no threads and print nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{Done, subject::Subject, usage::no_threads};

/// How long loading may take, and a construction.
const QUICK: Duration = Duration::from_millis(500);

pub fn check(subject: &Subject) -> Result<Done> {
    quick("loading", subject.loading)?;
    let start = Instant::now();
    let options = subject.defaults()?;
    subject.construct(options.as_bytes())?;
    quick("construction", start.elapsed())?;
    no_threads(subject.threads)?;
    Ok(Done::Passed)
}

fn quick(what: &str, taken: Duration) -> Result<()> {
    ensure!(
        taken < QUICK,
        "{what} takes {} ms, more than {}; put work into `ready` or the first call",
        taken.as_millis(),
        QUICK.as_millis()
    );
    Ok(())
}
