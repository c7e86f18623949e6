//! Check 6: instances know nothing of each other and leave nothing behind.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use tch::Kind;

use super::{
    Done,
    cases::{Case, Scene},
    host,
    losses::LossRun,
    runs::{self, Running},
    subject::Subject,
};

const STEPS: usize = 4;
const MADE: usize = 1000;
/// Instances that are made before memory is looked at: allocators and caches settle.
const WARM: usize = 200;
/// Growth of the process that 1000 instances may leave, in KiB. All components that ship leave 0 (measured).
const GROWTH: u64 = 256;

pub fn check(subject: &Subject) -> Result<Done> {
    independent(subject)?;
    let options = subject.defaults()?;
    let make = |count| (0..count).try_for_each(|_| subject.construct(options.as_bytes()));
    make(WARM)?;
    let (handles, memory) = (host::live(), resident()?);
    make(MADE)?;
    no_handles(handles, &format!("{MADE} instances"))?;
    let grown = resident()?.saturating_sub(memory);
    tracing::debug!("{MADE} instances of {} leave {grown} KiB", subject.name);
    ensure!(grown <= GROWTH, "{MADE} instances leave {grown} KiB behind; free in `Drop` what construction allocates");
    if subject.kind == "loss" {
        calls(subject)?;
    }
    Ok(Done::Passed)
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

/// Calls of a loss keep no tensors, but for a state of constant size, which ends with the instance.
fn calls(subject: &Subject) -> Result<()> {
    let before = host::live();
    let mut run = LossRun::new(subject, Kind::Double)?;
    let mut held = Vec::new();
    for _ in 0..6 {
        run.step(&Case::new(Kind::Double, Scene::Plain))?;
        run.take_memory();
        held.push(host::live());
    }
    drop(run);
    no_handles(before, "6 calls of an instance that has ended")?;
    let grows = held.windows(2).skip(2).all(|pair| pair[1] > pair[0]);
    ensure!(
        !grows,
        "it keeps {} more tensors with every call; keep no tensors, or detached ones in place of the old",
        held[5] - held[4]
    );
    Ok(())
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

/// Memory of the process that is in use, in KiB.
fn resident() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
