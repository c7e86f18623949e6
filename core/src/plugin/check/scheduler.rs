//! Check 11, schedulers: rates are finite and not negative, momenta in [0, 1), over runs of every length.

use anyhow::{Result, ensure};

use super::{
    schedules::{Shape, rates},
    subject::Subject,
};

const SHAPES: [Shape; 6] = [
    Shape { epochs: 1, steps_per_epoch: 1 },
    Shape { epochs: 1, steps_per_epoch: 250 },
    Shape { epochs: 3, steps_per_epoch: 1 },
    Shape { epochs: 300, steps_per_epoch: 1 },
    Shape { epochs: 300, steps_per_epoch: 7 },
    Shape { epochs: 10, steps_per_epoch: 150 },
];

pub fn check(subject: &Subject) -> Result<()> {
    for shape in SHAPES {
        let steps = shape.epochs * shape.steps_per_epoch;
        let all = rates(&mut *subject.scheduler()?, shape, 0, steps)?;
        for (step, groups) in all.iter().enumerate() {
            for ((lr, momentum), group) in groups.iter().zip(["weight", "norm", "bias"]) {
                let place = format!("step {step} of {} epochs x {} steps", shape.epochs, shape.steps_per_epoch);
                ensure!(
                    lr.is_finite() && *lr >= 0.0,
                    "lr of group {group} is {lr} at {place}; a rate is finite and not negative"
                );
                ensure!(
                    (0.0..1.0).contains(momentum),
                    "momentum of group {group} is {momentum} at {place}; it lies in 0 to 1, 1 excluded"
                );
            }
        }
    }
    Ok(())
}
