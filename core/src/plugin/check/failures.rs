//! Check 7: whichever call into the trainer fails, the component says so, does no harm and leaves nothing behind.

use anyhow::{Context as _, Result, bail, ensure};
use tch::Kind;
use trainer_sdk::{AugmentContext, Rng, sample_store};

use super::{
    Done,
    cases::{Case, Scene},
    exports, faults, faulty, host,
    instances::no_handles,
    losses::LossRun,
    runs, samples,
    subject::{Subject, is_panic, words},
};

/// Files that a failed export has left.
#[derive(Debug, thiserror::Error)]
#[error("leaves {0} behind")]
struct Litter(String);

/// Steps that are compared before and after all failures.
const STEPS: usize = 6;
/// Calls that are told to fail, one after the other; of more, such as lie evenly among them.
const MOST: u64 = 80;
/// Samples on which every call of an augmentation is told to fail.
const SAMPLES: u64 = 24;

pub fn check(subject: &Subject) -> Result<Done> {
    let alone = runs::steady_trace(subject, STEPS)?;
    let tried = match subject.kind.as_str() {
        "loss" => vec![each(|| of_loss(subject))?],
        "augmentation" => {
            let small = (0..SAMPLES).map(|number| number * 6 + 5); // 33 x 31 pixels
            small.map(|number| each(|| of_augmentation(subject, number))).collect::<Result<Vec<_>>>()?
        }
        _ => {
            let formats = exports::formats(&*subject.exporter()?)?;
            formats.iter().map(|format| each(|| of_exporter(subject, format))).collect::<Result<Vec<_>>>()?
        }
    };
    ensure!(
        alone.is_none_or(|alone| runs::trace(subject, STEPS).is_ok_and(|again| again == alone)),
        "another instance does otherwise after failures; keep all state in the instance"
    );
    let fails = tried.iter().find_map(|it| it.fails.as_ref());
    Ok(match (tried.iter().map(|it| it.calls).max(), fails) {
        (Some(calls @ 1..), _) if calls > MOST => Done::Noted(format!("{MOST} of {calls} calls were told to fail")),
        (Some(1..), _) => Done::Passed,
        (_, None) => Done::Skipped("it calls nothing of the trainer that could fail".into()),
        (_, Some(reason)) => Done::Skipped(format!("it fails where nothing was told to: {reason}")),
    })
}

/// What was told to fail.
#[derive(Default)]
struct Tried {
    calls: u64,
    /// Why nothing was, which is for other checks to judge.
    fails: Option<String>,
}

/// Runs once for the number of calls, then once for each call that fails, or for [`MOST`] of them.
fn each(run: impl Fn() -> Result<()>) -> Result<Tried> {
    let before = host::live();
    let (outcome, calls, _) = faults::injected(None, &run);
    match outcome {
        Err(error) if is_panic(&error) => return Err(error),
        Err(error) => return Ok(Tried { calls: 0, fails: Some(words(&error)) }),
        Ok(()) => no_handles(before, "a call")?,
    }
    let tried = calls.min(MOST);
    for number in (0..tried).map(|at| at * calls / tried) {
        let (outcome, _, failed) = faults::injected(Some(number), &run);
        let Some(name) = failed else { continue };
        let place = format!("where call {number} into the trainer ({name}) fails");
        match outcome {
            Ok(()) => bail!("it goes on {place}; pass the error on, and ask beforehand for what may not be there"),
            Err(error) if is_panic(&error) => bail!("it panics {place}: {}; pass the error on", words(&error)),
            Err(error) if error.is::<Litter>() => bail!("it {error} {place}"),
            Err(_) => {}
        }
        no_handles(before, "a failed call").with_context(|| place.clone())?;
    }
    Ok(Tried { calls, fails: None })
}

fn of_loss(subject: &Subject) -> Result<()> {
    let mut run = LossRun::new(subject, Kind::Double)?;
    run.step(&Case::new(Kind::Double, Scene::Plain)).map(drop)
}

fn of_augmentation(subject: &Subject, number: u64) -> Result<()> {
    let augmentation = subject.augmentation()?;
    let mut rng = Rng::from_key(&[subject.seed, number]);
    let mut sample = samples::sample(number, &mut rng);
    let mut partners: Vec<_> =
        (1..=augmentation.partners() as u64).map(|at| samples::sample(number + at, &mut rng)).collect();
    let mut views: Vec<_> = partners.iter_mut().map(|it| faulty::sample(sample_store::view(it))).collect();
    let mut cx = AugmentContext { rng: &mut rng, epoch: 50, epochs: 100, imgsz: 640 };
    augmentation.apply(&mut faulty::sample(sample_store::view(&mut sample)), &mut views, &mut cx)
}

fn of_exporter(subject: &Subject, format: &trainer_sdk::Format) -> Result<()> {
    let place = tempfile::tempdir()?;
    let outcome = exports::export(&mut *subject.exporter()?, format, place.path(), exports::model()).map(drop);
    let left: Vec<String> = exports::files(place.path())?.into_keys().collect();
    if outcome.is_err() && !left.is_empty() {
        return Err(Litter(left.join(", ")).into());
    }
    outcome
}
