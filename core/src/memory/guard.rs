//! Panics that say that memory is out become errors. tch has them where a Rust number is an argument of an operator that
//! fails, and in its functions without a result.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
};

use anyhow::{Result, anyhow};

use super::says_so;
use crate::data::decode::panic_text;

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, whose panics are errors if memory was out; others go on.
///
/// # Errors
/// Those of `work`.
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outer = IS_GUARDED.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work)); // what it leaves half done is taken back, or nobody uses it
    IS_GUARDED.set(outer);
    done.unwrap_or_else(|panic| match panic_text(&*panic) {
        text if says_so(text) => {
            let text = text.split_once("Torch(\"").map_or(text, |(_, text)| text); // an error that was shown for debugging
            Err(anyhow!(text.replace("\\n", "\n")))
        }
        _ => panic::resume_unwind(panic),
    })
}

/// Whether a panic is going to be an error, so that nothing is to be said of it.
#[must_use]
pub fn is_guarded(panic: &PanicHookInfo) -> bool {
    IS_GUARDED.get() && says_so(panic_text(panic.payload()))
}
