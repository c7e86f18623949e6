//! Check 8: the same seed gives the same bytes, from however many threads, in every process.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    thread,
};

use anyhow::{Result, anyhow, ensure};

use super::{
    Done,
    outcome::{Outcome, Row},
    runs, samples,
    subject::Subject,
};

const STEADY: &str = "use no random numbers, clocks, addresses or numbers of processes";
const STEPS: usize = 6;
const SAMPLES: u64 = 48;
const THREADS: usize = 4;

pub fn check(subject: &Subject) -> Result<Done> {
    let (first, second) = (runs::trace(subject, STEPS)?, runs::trace(subject, STEPS)?);
    if let Some(step) = first.iter().zip(&second).position(|(a, b)| a != b) {
        let whence = match subject.kind.as_str() {
            "augmentation" => "draw all random numbers from cx.rng",
            _ => STEADY,
        };
        anyhow::bail!("two fresh instances differ in step {step} although all they are given is the same; {whence}");
    }
    if subject.kind == "augmentation" {
        threads(subject)?;
    }
    Ok(Done::Traced(first.iter().map(hash).collect()))
}

fn hash(step: &Vec<u64>) -> u64 {
    let mut hasher = DefaultHasher::new(); // always of the same key
    step.hash(&mut hasher);
    hasher.finish()
}

/// Fails the rows whose traces differ from those of another process.
pub fn compare(mut rows: Vec<Row>, others: &[Row]) -> Vec<Row> {
    for row in &mut rows {
        let of_other = others.iter().find(|it| it.component == row.component).map_or(&[][..], |it| &it.trace);
        if let Some(step) = row.trace.iter().zip(of_other).position(|(a, b)| a != b) {
            row.outcome = Outcome::Failed;
            row.reason =
                format!("two processes differ in step {step} although all they are given is the same; {STEADY}");
        }
        row.trace.clear();
    }
    rows
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
