//! Check 9: what is saved is all that matters, and what is no state does no harm.

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Done,
    runs::{self, Running},
    subject::{Subject, is_panic, words},
};

/// Steps before the state is saved and after: schedules that watch figures react in the second part.
const BEFORE: usize = 14;
const AFTER: usize = 12;
const RANDOM: u64 = 60;

pub fn check(subject: &Subject) -> Result<Done> {
    match subject.kind.as_str() {
        "exporter" => of_exporter(subject),
        _ => goes_on(subject),
    }
}

/// Runs, saves, and goes on in a fresh instance as in the old one.
fn goes_on(subject: &Subject) -> Result<Done> {
    if runs::steady_trace(subject, AFTER)?.is_none() {
        return Ok(Done::Skipped("it is not deterministic, so that nothing can be compared: see check 8".into()));
    }
    let fresh = || Running::new(subject)?.context("an exporter does not run step by step");
    let mut first = fresh()?;
    for _ in 0..BEFORE {
        first.step(subject.seed)?;
    }
    let state = first.save().context("`save` fails")?;
    let mut second = fresh()?;
    second.load(&state, BEFORE).context("`load` refuses what `save` wrote")?;
    same(&state, &second.save()?)?;
    for step in 0..AFTER {
        let (a, b) = (first.step(subject.seed)?, second.step(subject.seed)?);
        ensure!(
            a == b,
            "a fresh instance with the saved state goes on differently in step {} after {BEFORE}; write all that has \
             changed since construction in `save`, and read it in `load`",
            step + 1
        );
    }
    wrong(subject, &state, |bytes| fresh()?.load(bytes, 0))?;
    Ok(Done::Passed)
}

fn of_exporter(subject: &Subject) -> Result<Done> {
    let state = subject.exporter()?.save().context("`save` fails")?;
    let mut second = subject.exporter()?;
    second.load(&state).context("`load` refuses what `save` wrote")?;
    same(&state, &second.save()?)?;
    wrong(subject, &state, |bytes| subject.exporter()?.load(bytes))?;
    Ok(Done::Passed)
}

fn same(saved: &[u8], again: &[u8]) -> Result<()> {
    ensure!(
        saved == again,
        "`save` after `load` writes other bytes ({} and {}); write the same state the same way",
        saved.len(),
        again.len()
    );
    Ok(())
}

/// States that are cut off or made up are an error; one that is changed may be a state too. Never a panic.
fn wrong(subject: &Subject, state: &[u8], load: impl Fn(&[u8]) -> Result<()>) -> Result<()> {
    let tried = |what: String, bytes: &[u8]| match load(bytes) {
        Err(error) if is_panic(&error) => bail!("`load` panics on {what}: {}; return an error instead", words(&error)),
        Ok(()) if bytes.len() != state.len() => bail!(
            "`load` accepts {what}; begin a state with its version, and refuse what is none (where there is no state: \
             all but an empty one)"
        ),
        _ => Ok(()),
    };
    for length in (0..state.len()).step_by(state.len().div_ceil(64).max(1)) {
        tried(format!("its state cut off after {length} bytes"), &state[..length])?;
    }
    for number in 0..RANDOM {
        let mut rng = subject.rng(number);
        let what = format!("bytes (number {number} of --seed {})", subject.seed);
        let random: Vec<u8> = (0..rng.below(400)).map(|_| rng.next_u64() as u8).collect();
        tried(format!("random {what}"), &random)?;
        if !state.is_empty() {
            let mut changed = state.to_vec();
            let at = rng.below(changed.len());
            changed[at] ^= 1 << rng.below(8);
            tried(format!("changed {what}"), &changed)?;
        }
    }
    Ok(())
}
