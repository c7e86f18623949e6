//! A component of any kind, run on its small cases: what it does as bytes, so that two runs can be compared.

use anyhow::Result;
use tch::Kind;
use trainer_sdk::{Augmentation, Scheduler};

use super::{
    cases::{Case, Scene},
    losses::LossRun,
    samples,
    schedules::{self, Shape},
    subject::Subject,
};

/// The run that schedulers are followed over.
pub const SHAPE: Shape = Shape { epochs: 40, steps_per_epoch: 5 };

/// An instance under way.
pub enum Running {
    Loss(LossRun, Case),
    Scheduler(Box<dyn Scheduler>, usize),
    Augmentation(Box<dyn Augmentation>, u64),
}

impl Running {
    /// A fresh instance; none of an exporter.
    pub fn new(subject: &Subject) -> Result<Option<Self>> {
        Ok(match subject.kind.as_str() {
            "loss" => Some(Self::Loss(LossRun::new(subject, Kind::Double)?, Case::new(Kind::Double, Scene::Plain))),
            "scheduler" => Some(Self::Scheduler(subject.scheduler()?, 0)),
            "augmentation" => Some(Self::Augmentation(subject.augmentation()?, 0)),
            _ => None,
        })
    }

    /// One step: a batch, an epoch of a schedule, a sample. What came out.
    pub fn step(&mut self, seed: u64) -> Result<Vec<u64>> {
        match self {
            Self::Loss(run, case) => run.trace(case),
            Self::Scheduler(scheduler, at) => {
                let to = *at + SHAPE.steps_per_epoch;
                let rates = schedules::rates(&mut **scheduler, SHAPE, *at, to)?;
                *at = to;
                Ok(rates.into_iter().flatten().flat_map(|(lr, momentum)| [lr.to_bits(), momentum.to_bits()]).collect())
            }
            Self::Augmentation(augmentation, number) => {
                let sample = samples::apply(&**augmentation, *number, seed)?;
                *number += 1;
                Ok(samples::bytes(&sample).into_iter().map(u64::from).collect())
            }
        }
    }

    /// Its state; none of an augmentation.
    pub fn save(&self) -> Result<Vec<u8>> {
        match self {
            Self::Loss(run, _) => run.save(),
            Self::Scheduler(scheduler, _) => scheduler.save(),
            Self::Augmentation(..) => Ok(Vec::new()),
        }
    }

    /// Takes a state over, and goes on where `steps` steps were made.
    pub fn load(&mut self, state: &[u8], steps: usize) -> Result<()> {
        match self {
            Self::Loss(run, _) => run.load(state, steps),
            Self::Scheduler(scheduler, at) => {
                *at = steps * SHAPE.steps_per_epoch;
                scheduler.load(state)
            }
            Self::Augmentation(..) => Ok(()),
        }
    }
}

/// As [`trace`]; none where it differs from one fresh instance to the next, which is for check 8 to say.
pub fn steady_trace(subject: &Subject, steps: usize) -> Result<Option<Vec<Vec<u64>>>> {
    let (first, second) = (trace(subject, steps)?, trace(subject, steps)?);
    Ok((first == second).then_some(first))
}

/// What a fresh instance does in its first steps.
pub fn trace(subject: &Subject, steps: usize) -> Result<Vec<Vec<u64>>> {
    let Some(mut running) = Running::new(subject)? else { return Ok(Vec::new()) };
    (0..steps).map(|_| running.step(subject.seed)).collect()
}
