//! A host that fails on demand: calls of a component into the trainer are counted, and one of them can be told to fail.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// What a call that was told to fail says.
pub const WORDS: &str = "the host failed as `trainer plugin check` told it to";

const NEVER: u64 = u64::MAX;

static CALLS: AtomicU64 = AtomicU64::new(0);
static FAILS: AtomicU64 = AtomicU64::new(NEVER);
static FAILED: Mutex<String> = Mutex::new(String::new());

/// Counts the calls of `f` from 0 on and lets the one of that number fail. Returns what `f` does, how many calls there
/// were, and the name of the one that failed, if it came so far.
pub fn injected<T>(number: Option<u64>, f: impl FnOnce() -> T) -> (T, u64, Option<String>) {
    CALLS.store(0, Ordering::SeqCst);
    FAILS.store(number.unwrap_or(NEVER), Ordering::SeqCst);
    let result = f();
    let fails = FAILS.swap(NEVER, Ordering::SeqCst);
    let name = std::mem::take(&mut *FAILED.lock().unwrap_or_else(PoisonError::into_inner));
    let calls = CALLS.load(Ordering::SeqCst);
    (result, calls, (fails < calls).then_some(name))
}

/// Counts a call; whether it is to fail.
pub fn is_due(name: impl FnOnce() -> String) -> bool {
    let is_due = CALLS.fetch_add(1, Ordering::SeqCst) == FAILS.load(Ordering::SeqCst);
    if is_due {
        *FAILED.lock().unwrap_or_else(PoisonError::into_inner) = name();
    }
    is_due
}

/// As [`is_due`], as an error.
pub fn check(name: &str) -> anyhow::Result<()> {
    anyhow::ensure!(!is_due(|| name.to_owned()), "{WORDS}");
    Ok(())
}
