//! Check 6: instances know nothing of each other and leave nothing behind.

use anyhow::{Result, ensure};

use super::{
    Done, exports, host,
    runs::{self, Running},
    samples,
    subject::Subject,
    usage::{Usage, no_threads, threads},
};

const STEPS: usize = 4;
const MADE: usize = 1000;
/// Instances that are made before memory is looked at: allocators and caches settle.
const WARM: usize = 200;
/// Calls before and after that.
const CALLS: usize = 24;
/// The number of a sample of 33 x 31 pixels with an object.
const SMALL: u64 = 11;
/// Exports of each format, which take longer.
const EXPORTS: usize = 6;

pub fn check(subject: &Subject) -> Result<Done> {
    if subject.kind == "loss" {
        runs::trace(&subject.own_loss(), 1)?; // whatever threads libtorch starts on its way back, it has started
    }
    let running = threads()?.len();
    independent(subject)?;
    let options = subject.defaults()?;
    lasting(&format!("{MADE} instances"), WARM, MADE, || subject.construct(options.as_bytes()))?;
    match subject.kind.as_str() {
        "exporter" => lasting(&format!("{EXPORTS} exports"), 2, EXPORTS, || export(subject))?,
        "augmentation" => {
            let augmentation = subject.augmentation()?;
            let small = || samples::apply(&*augmentation, SMALL, subject.seed).map(drop);
            lasting(&format!("{CALLS} calls"), CALLS, CALLS, small)?;
        }
        _ => calls(subject)?,
    }
    no_threads(running)?;
    Ok(Done::Passed)
}

/// Does something `warm` times, then `count` times, after which no more is in use than before: `what` are these.
fn lasting(what: &str, warm: usize, count: usize, act: impl Fn() -> Result<()>) -> Result<()> {
    (0..warm).try_for_each(|_| act())?;
    let (handles, usage) = (host::live(), Usage::now()?);
    (0..count).try_for_each(|_| act())?;
    no_handles(handles, what)?;
    usage.has_not_grown(what)
}

/// Every format once. Whether that goes well is for check 12 to say.
fn export(subject: &Subject) -> Result<()> {
    for format in exports::formats(&*subject.exporter()?)? {
        let place = tempfile::tempdir()?;
        let _ = exports::export(&mut *subject.exporter()?, &format, place.path(), exports::model());
    }
    Ok(())
}

/// Two instances in turn do what one does alone.
fn independent(subject: &Subject) -> Result<()> {
    let Some(alone) = runs::steady_trace(subject, STEPS)? else { return Ok(()) };
    let pair = (Running::new(subject)?, Running::new(subject)?);
    let (Some(mut a), Some(mut b)) = pair else { return Ok(()) };
    for (step, wanted) in alone.iter().enumerate() {
        let got = (a.step(subject.seed)?, b.step(subject.seed)?);
        ensure!(
            got.0 == *wanted && got.1 == *wanted,
            "two instances in turn do otherwise in step {step} than one alone; keep all state in the instance"
        );
    }
    Ok(())
}

/// Calls of a loss or a scheduler keep nothing, but for a state of constant size, which ends with the instance.
fn calls(subject: &Subject) -> Result<()> {
    let before = host::live();
    let Some(mut run) = Running::new(subject)? else { return Ok(()) };
    (0..CALLS).try_for_each(|_| run.step(subject.seed).map(drop))?;
    let (handles, usage) = (host::live(), Usage::now()?);
    (0..CALLS).try_for_each(|_| run.step(subject.seed).map(drop))?;
    let kept = host::live() - handles;
    let usage = usage.has_not_grown(&format!("{CALLS} calls"));
    drop(run);
    no_handles(before, &format!("{} calls of an instance that has ended", 2 * CALLS))?;
    ensure!(
        kept < CALLS as i64,
        "it keeps {} more tensors with every call; keep no tensors, or detached ones in place of the old",
        kept / CALLS as i64
    );
    usage
}

/// Handles are as many as before.
pub fn no_handles(before: i64, after: &str) -> Result<()> {
    let left = host::live() - before;
    ensure!(
        left == 0,
        "{} tensor handles are {} after {after}; release every handle once (in Rust: forget none)",
        left.abs(),
        if left > 0 { "left" } else { "released too often" }
    );
    Ok(())
}
