//! Check 8: the same seed gives the same bytes, from however many threads.

use std::thread;

use anyhow::{Result, anyhow, ensure};

use super::{Done, runs, samples, subject::Subject};

const STEPS: usize = 6;
const SAMPLES: u64 = 48;
const THREADS: usize = 4;

pub fn check(subject: &Subject) -> Result<Done> {
    let (first, second) = (runs::trace(subject, STEPS)?, runs::trace(subject, STEPS)?);
    if let Some(step) = first.iter().zip(&second).position(|(a, b)| a != b) {
        let whence = match subject.kind.as_str() {
            "augmentation" => "draw all random numbers from cx.rng",
            _ => "use no random numbers, clocks or addresses",
        };
        anyhow::bail!("two fresh instances differ in step {step} although all they are given is the same; {whence}");
    }
    if subject.kind == "augmentation" {
        threads(subject)?;
    }
    Ok(Done::Passed)
}

/// One instance, asked by one thread and by four.
fn threads(subject: &Subject) -> Result<()> {
    let augmentation = &*subject.augmentation()?;
    let one = |number| Ok(samples::bytes(&samples::apply(augmentation, number, subject.seed)?));
    let alone = (0..SAMPLES).map(one).collect::<Result<Vec<_>>>()?;
    let together = thread::scope(|scope| {
        let work = |first: usize| (first as u64..SAMPLES).step_by(THREADS).map(one).collect::<Result<Vec<_>>>();
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || work(first))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
            .collect::<Result<Vec<_>>>()
    })?;
    let same = (0..SAMPLES as usize).all(|at| alone[at] == together[at % THREADS][at / THREADS]);
    ensure!(same, "it does otherwise from {THREADS} threads than from one; keep no state between calls");
    Ok(())
}
