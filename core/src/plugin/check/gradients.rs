//! Gradients of a loss against central differences in double precision.
//!
//! What a loss holds constant on purpose is held constant here too: targets (they are made without gradients) and the
//! results of `detach`. Entries at a kink, where the differences of both sides disagree, tell nothing and are left out;
//! there must be others.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use tch::Kind;
use trainer_sdk::Tensor;

use super::{
    cases::{Case, Scene},
    host,
    losses::{LossRun, Memory, Named},
    subject::Subject,
};
use crate::loss::LossValues;

/// Half the distance of the two points of a difference, and what may differ then.
struct Grain {
    step: f64,
    /// As a share of the entry.
    relative: f64,
    /// As a share of the term's largest gradient, or of 1.
    absolute: f64,
    /// By how much the differences of both sides may disagree, as a share, before there is a kink.
    bend: f64,
}

const FINE: Grain = Grain { step: 1e-5, relative: 1e-4, absolute: 1e-6, bend: 1e-2 };
/// For values whose last bits are noise, because something was computed in single precision.
const COARSE: Grain = Grain { step: 1e-2, relative: 1e-2, absolute: 1e-4, bend: 0.1 };
/// A second step that no rounding to multiples can tell the same story as the first.
const WIDER: f64 = std::f64::consts::E;

/// Entries that are tried of each prediction: those of largest gradient, and random ones.
const LARGEST: usize = 8;
const RANDOM: usize = 8;

/// What is held constant.
struct Held {
    predictions: Named,
    detached: Vec<Tensor>,
}

impl Held {
    /// One evaluation of a fresh instance.
    fn step(&self, subject: &Subject, case: &Case, gains: &BTreeMap<String, f64>) -> Result<LossValues> {
        let mut run = LossRun::with(subject, Kind::Double, gains, Some(&self.predictions))?;
        host::holding_detached(&self.detached, || run.step(case))
    }

    /// The value of a term at a batch.
    fn term(&self, subject: &Subject, case: &Case, name: &str) -> Result<f64> {
        let values = self.step(subject, case, &BTreeMap::new())?;
        let found = values.terms.iter().find(|(known, _)| known == name);
        Ok(found.with_context(|| format!("term `{name}` is made in some calls only"))?.1.double_value(&[]))
    }

    /// The gradients by distribution and scores of the term whose gain alone is not 0.
    fn gradients(&self, subject: &Subject, case: &Case, gains: &BTreeMap<String, f64>) -> Result<[Vec<f64>; 2]> {
        let case = case.fresh();
        self.step(subject, &case, gains)?.total.f_backward()?;
        let images = case.raw.scores.size()[0] as f64; // the chain multiplies by them
        let [distribution, scores] = case.gradients().map(|gradient| Case::numbers(&(gradient / images)));
        Ok([distribution?, scores?])
    }
}

/// Compares the gradients of every term that the loss makes. Returns the terms whose gradient is 0 everywhere.
pub fn check(subject: &Subject) -> Result<Vec<String>> {
    let case = Case::new(Kind::Double, Scene::Plain);
    let mut run = LossRun::new(subject, Kind::Double)?;
    let (values, detached) = host::noting_detached(|| run.step(&case));
    let names: Vec<String> = values?.terms.into_iter().map(|(name, _)| name).collect();
    let Memory { predictions, made, .. } = run.take_memory();
    let held = Held { predictions, detached };
    // In the trainer's own `box`, the weight of the aspect is held constant where this check cannot see it.
    let own = |name: &&String| made.contains(*name) && !(subject.plugin.is_none() && *name == "box");
    let mut still = Vec::new();
    for name in names.iter().filter(own) {
        let gains = names.iter().map(|other| (other.clone(), f64::from(u8::from(other == name)))).collect();
        let gradients = held.gradients(subject, &case, &gains)?;
        if gradients.iter().flatten().all(|&x| x == 0.0) {
            still.push(name.clone());
        }
        for (of_scores, gradient) in [false, true].into_iter().zip(gradients) {
            compare(subject, &case, &held, name, of_scores, &gradient)?;
        }
    }
    Ok(still)
}

fn compare(subject: &Subject, case: &Case, held: &Held, term: &str, of_scores: bool, gradient: &[f64]) -> Result<()> {
    let of = if of_scores { "scores" } else { "distribution" };
    let largest = gradient.iter().fold(1.0, |most: f64, x| most.max(x.abs()));
    let base = held.term(subject, case, term)?;
    let entries = entries(subject, gradient);
    let mut bent = 0;
    for &entry in &entries {
        let value_at = |by| held.term(subject, &case.moved(of_scores, entry as i64, by)?, term);
        match judge(gradient[entry], largest, base, value_at)? {
            Judged::Right => {}
            Judged::Bent => bent += 1,
            Judged::Wrong(wanted) => bail!(
                "the gradient of term `{term}` by {of}[{entry}] is {:.6e}, central differences say {wanted:.6e}; mend \
                 the backward, or cut off with `detach` what is meant to be constant",
                gradient[entry]
            ),
        }
    }
    ensure!(
        bent < entries.len(),
        "term `{term}` jumps or bends at all {bent} entries of {of} that were tried, so that no gradient can be right; \
         make it smooth"
    );
    Ok(())
}

enum Judged {
    Right,
    /// At a kink: the differences tell nothing.
    Bent,
    /// What the differences say.
    Wrong(f64),
}

/// Judges an entry of a gradient by the values of the term around `base`.
fn judge(got: f64, largest: f64, base: f64, value_at: impl Fn(f64) -> Result<f64>) -> Result<Judged> {
    let slope = |step| Ok::<_, anyhow::Error>((value_at(step)? - value_at(-step)?) / (2.0 * step));
    let with = |grain: &Grain, noise: f64| {
        let (low, high) = (value_at(-grain.step)?, value_at(grain.step)?);
        let (left, right) = ((base - low) / grain.step, (high - base) / grain.step);
        let wanted = (left + right) / 2.0;
        let scale = wanted.abs().max(got.abs());
        let floor = grain.absolute * largest + noise * base.abs() / grain.step;
        Ok::<_, anyhow::Error>(if (wanted - got).abs() <= grain.relative * scale + floor {
            Judged::Right
        } else if (left - right).abs() > grain.bend * scale.max(floor) {
            Judged::Bent
        } else {
            Judged::Wrong(wanted)
        })
    };
    let judged = with(&FINE, 0.0)?;
    if matches!(judged, Judged::Right) {
        return Ok(judged);
    }
    let (first, second) = (slope(FINE.step)?, slope(FINE.step * WIDER)?);
    let noise = 64.0 * f64::EPSILON * base.abs() / FINE.step;
    let is_smooth = first != 0.0 && (first - second).abs() <= 1e-6 * first.abs() + noise;
    if is_smooth { Ok(judged) } else { with(&COARSE, 4.0 * f64::from(f32::EPSILON)) }
}

/// The entries that are tried.
fn entries(subject: &Subject, gradient: &[f64]) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..gradient.len()).collect();
    by_size.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
    let mut rng = subject.rng(gradient.len() as u64);
    let random: Vec<usize> = (0..RANDOM).map(|_| rng.below(gradient.len())).collect();
    by_size.into_iter().take(LARGEST).chain(random).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(got: f64, at: f64, f: impl Fn(f64) -> f64) -> &'static str {
        match judge(got, 1.0, f(at), |by| Ok(f(at + by))).unwrap() {
            Judged::Right => "right",
            Judged::Bent => "bent",
            Judged::Wrong(_) => "wrong",
        }
    }

    #[test]
    fn double_precision_is_judged_strictly_and_single_by_larger_steps() {
        let single = |x: f64| f64::from(((1000.0 + x * x) as f32) / 3.0) * 3.0;
        for (got, strict, loose) in [(4.0, "right", "right"), (4.01, "wrong", "right"), (8.0, "wrong", "wrong")] {
            assert_eq!(judged(got, 2.0, |x| 1000.0 + x * x), strict, "{got}");
            assert_eq!(judged(got, 2.0, single), loose, "{got} in single precision");
        }
        assert_eq!(judged(1.0, 0.3, |_| 7.0), "wrong", "the value does not depend on the entry");
    }

    #[test]
    fn kinks_and_jumps_tell_nothing() {
        assert_eq!(judged(1.0, 0.0, f64::abs), "bent");
        assert_eq!(judged(-37.0, 0.5, |x| (x * 1e6).sin()), "bent");
    }
}
