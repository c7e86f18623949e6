//! Errors and panics become a status and a text: nothing unwinds through the boundary.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Once,
};

use anyhow::{Result, anyhow};

use crate::abi::{Sink, Status};

/// A status and its text as a result.
pub(crate) fn status_to_result(status: Status, error: &[u8]) -> Result<()> {
    if status == Status::OK { Ok(()) } else { Err(anyhow!("{}", String::from_utf8_lossy(error))) }
}

thread_local! {
    static PANIC_TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs `f`; errors and panics become a status and a text in the sink.
pub(crate) fn guarded(error: Sink, f: impl FnOnce() -> Result<()>) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(|| f().map_err(|reason| format!("{reason:#}"))));
    let (status, text) = match outcome {
        Ok(Ok(())) => return Status::OK,
        Ok(Err(text)) => (Status::FAILED, text),
        Err(payload) => (Status::PANICKED, panic_text(&*payload)),
    };
    // SAFETY: the sink lives for the call.
    unsafe { error.put(text.as_bytes()) };
    status
}

/// This library's own panic hook: keeps message and place for [`guarded`] instead of printing them.
pub(super) fn keep_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let message = panic_message(info.payload());
            let place = info.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
            PANIC_TEXT.with_borrow_mut(|text| *text = format!("panicked{place}: {message}"));
        }));
    });
}

/// What the hook has kept; where it is not in place (in the trainer, in unit tests), the message alone.
fn panic_text(payload: &dyn Any) -> String {
    let kept = PANIC_TEXT.with(RefCell::take);
    if kept.is_empty() { format!("panicked: {}", panic_message(payload)) } else { kept }
}

fn panic_message(payload: &dyn Any) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
