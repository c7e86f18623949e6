//! Panics of decoders: an image that makes one panic is left out like any other that cannot be decoded.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, bail};

thread_local! {
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a decoder, whose panic is no defect to report but a fault of the file.
#[must_use]
pub fn is_decoding() -> bool {
    IS_DECODING.get()
}

/// Runs a decoder; a panic becomes an error.
pub fn guarded<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    IS_DECODING.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(false);
    outcome.unwrap_or_else(|panic| bail!("its decoder panicked: {}", panic_text(&*panic)))
}

/// What a panic said.
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let inside = Cell::new(false);
        let error = guarded::<()>(|| {
            inside.set(is_decoding());
            panic!("at block {}", 7)
        });
        assert_eq!(error.unwrap_err().to_string(), "its decoder panicked: at block 7");
        assert_eq!(guarded::<()>(|| panic!("lost")).unwrap_err().to_string(), "its decoder panicked: lost");
        assert_eq!((inside.get(), is_decoding()), (true, false));
        assert_eq!(guarded(|| Ok(3)).unwrap(), 3);
    }
}
