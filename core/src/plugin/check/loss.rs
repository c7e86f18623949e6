//! Check 10: a loss makes finite scalars with right gradients, in every precision, and never waits for the device.

use anyhow::{Context as _, Result, ensure};
use tch::Kind;

use super::{
    Done,
    cases::{Case, Scene},
    gradients, host,
    losses::LossRun,
    runs,
    subject::{Subject, words},
};

const SCENES: [Scene; 4] = [Scene::Plain, Scene::OneEmpty, Scene::AllEmpty, Scene::Extreme];

const ADVICE: &str = "look for logarithms, roots and divisions at 0, and clamp before them";

pub fn check(subject: &Subject) -> Result<Done> {
    for scene in SCENES {
        finite(subject, Kind::Double, scene)?;
    }
    finite(subject, Kind::Float, Scene::Plain)?;
    without_gradients(subject)?;
    let mut notes = Vec::new();
    match half_fails(subject) {
        None => finite(subject, Kind::BFloat16, Scene::Plain)?,
        Some(reason) => notes.push(format!("bfloat16 was not tried, for the trainer's own loss fails in it: {reason}")),
    }
    let waits = waits(subject)?;
    if waits > 0 {
        notes.push(format!("it synchronises the device {waits} times a call, to compute gradients of its own"));
    }
    match runs::steady_trace(subject, 3)? {
        Some(_) => notes.extend(gradients::check(subject)?.iter().map(|term| {
            format!("term `{term}` has a gradient of 0 by all predictions, so that it trains nothing of the network")
        })),
        None => notes.push("gradients were not compared, since it is not deterministic: see check 8".into()),
    }
    Ok(if notes.is_empty() { Done::Passed } else { Done::Noted(notes.join("; ")) })
}

/// Terms and gradients are finite.
fn finite(subject: &Subject, kind: Kind, scene: Scene) -> Result<()> {
    let case = Case::new(kind, scene);
    let place = || format!("on {} in {}", scene.words(), precision(kind));
    let values = LossRun::new(subject, kind)?.step(&case).with_context(place)?;
    for (name, term) in &values.terms {
        let value = term.double_value(&[]);
        ensure!(value.is_finite(), "{}: term `{name}` is {value}; {ADVICE}", place());
    }
    values.total.f_backward().with_context(place)?;
    for (gradient, of) in case.gradients().iter().zip(["distribution", "scores"]) {
        let is_finite = Case::numbers(gradient)?.iter().all(|value| value.is_finite());
        ensure!(is_finite, "{}: the gradient by {of} is not finite; {ADVICE}", place());
    }
    Ok(())
}

fn precision(kind: Kind) -> &'static str {
    match kind {
        Kind::Double => "double precision",
        Kind::Float => "single precision",
        _ => "bfloat16",
    }
}

/// As in validation.
fn without_gradients(subject: &Subject) -> Result<()> {
    let place = "without gradients, as in validation";
    let mut case = Case::new(Kind::Float, Scene::Plain);
    case.raw.scores = case.raw.scores.detach();
    case.raw.distribution = case.raw.distribution.detach();
    let mut run = LossRun::new(subject, Kind::Float)?;
    tch::no_grad(|| run.step(&case)).context(place)?.values().context(place)?;
    Ok(())
}

/// Why the trainer's own loss fails in bfloat16, so that one behind it cannot be asked to run in it.
fn half_fails(subject: &Subject) -> Option<String> {
    let run = LossRun::new(&subject.own_loss(), Kind::BFloat16);
    let values = run.and_then(|mut run| run.step(&Case::new(Kind::BFloat16, Scene::Plain)));
    values.err().map(|error| words(&error))
}

/// How often a call reads a value or a size off the device. Only a loss that brings gradients of its own may: it computes
/// outside of libtorch.
fn waits(subject: &Subject) -> Result<usize> {
    let case = Case::new(Kind::Float, Scene::Plain);
    let mut run = LossRun::new(subject, Kind::Float)?;
    let mut most = 0;
    for _ in 0..2 {
        host::take_waits();
        run.step(&case)?;
        let waits = host::take_waits();
        ensure!(
            waits.is_empty() || run.take_memory().has_gradients,
            "it synchronises the device {} times a call, first by {}; keep values in tensors, and mask instead of selecting",
            waits.len(),
            waits[0]
        );
        most = most.max(waits.len());
    }
    Ok(most)
}
