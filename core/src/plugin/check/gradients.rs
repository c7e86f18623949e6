//! Gradients of a loss against central differences in double precision.
//!
//! What a loss holds constant on purpose is held constant here too: targets (they are made without gradients) and the
//! results of `detach`. Entries at a kink, where the differences of both sides disagree, tell nothing and are left out.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use tch::Kind;
use trainer_sdk::Tensor;

use super::{
    cases::{Case, Scene},
    host,
    losses::{LossRun, Memory, Named},
    subject::Subject,
};
use crate::loss::LossValues;

/// Half the distance of the two points of a difference.
const STEP: f64 = 1e-5;
/// What may differ, as a share of the entry, and of the term's largest gradient.
const RELATIVE: f64 = 1e-4;
const ABSOLUTE: f64 = 1e-6;
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

/// Compares the gradients of every term that the loss makes.
pub fn check(subject: &Subject) -> Result<()> {
    let case = Case::new(Kind::Double, Scene::Plain);
    let mut run = LossRun::new(subject, Kind::Double)?;
    let (values, detached) = host::noting_detached(|| run.step(&case));
    let names: Vec<String> = values?.terms.into_iter().map(|(name, _)| name).collect();
    let Memory { predictions, made, .. } = run.take_memory();
    let held = Held { predictions, detached };
    // In the trainer's own `box`, the weight of the aspect is held constant where this check cannot see it.
    let own = |name: &&String| made.contains(*name) && !(subject.plugin.is_none() && *name == "box");
    for name in names.iter().filter(own) {
        let gains = names.iter().map(|other| (other.clone(), f64::from(u8::from(other == name)))).collect();
        let gradients = held.gradients(subject, &case, &gains)?;
        for (of_scores, gradient) in [false, true].into_iter().zip(gradients) {
            compare(subject, &case, &held, name, of_scores, &gradient)?;
        }
    }
    Ok(())
}

fn compare(subject: &Subject, case: &Case, held: &Held, term: &str, of_scores: bool, gradient: &[f64]) -> Result<()> {
    let largest = gradient.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let base = held.term(subject, case, term)?;
    let at = |entry, by| held.term(subject, &case.moved(of_scores, entry, by)?, term);
    for entry in entries(subject, gradient) {
        let (low, high) = (at(entry as i64, -STEP)?, at(entry as i64, STEP)?);
        let (left, right) = ((base - low) / STEP, (high - base) / STEP);
        let (wanted, got) = ((high - low) / (2.0 * STEP), gradient[entry]);
        let scale = wanted.abs().max(got.abs());
        let is_kink = (left - right).abs() > 1e-2 * scale.max(ABSOLUTE * largest.max(1.0));
        let is_close = (wanted - got).abs() <= RELATIVE * scale + ABSOLUTE * largest.max(1.0);
        ensure!(
            is_kink || is_close,
            "the gradient of term `{term}` by {}[{entry}] is {got:.6e}, central differences say {wanted:.6e}; mend the \
             backward, or cut off with `detach` what is meant to be constant",
            if of_scores { "scores" } else { "distribution" }
        );
    }
    Ok(())
}

/// The entries that are tried.
fn entries(subject: &Subject, gradient: &[f64]) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..gradient.len()).collect();
    by_size.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
    let mut rng = subject.rng(gradient.len() as u64);
    let random: Vec<usize> = (0..RANDOM).map(|_| rng.below(gradient.len())).collect();
    by_size.into_iter().take(LARGEST).chain(random).collect()
}
