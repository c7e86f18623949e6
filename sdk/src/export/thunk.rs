//! Computations that a loss offers for a term, as C objects.

use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Result, anyhow};

use super::guarded;
use crate::{
    Tensor,
    abi::{Opaque, Sink, Status, Thunk},
};

/// A boxed computation as a C object.
pub(crate) fn thunk(compute: Box<dyn FnOnce() -> Result<Tensor>>) -> Thunk {
    type State = Option<Box<dyn FnOnce() -> Result<Tensor>>>;
    unsafe extern "C" fn call(state: Opaque, tensor: *mut Opaque, error: Sink) -> Status {
        guarded(error, || {
            // SAFETY: the state made below; `tensor` is the caller's to be written.
            unsafe {
                let compute = (*state.cast::<State>()).take().ok_or_else(|| anyhow!("this was computed before"))?;
                *tensor = compute()?.into_raw();
            }
            Ok(())
        })
    }
    unsafe extern "C" fn destroy(state: Opaque) {
        // SAFETY: the state made below, given back once; a panicking destructor has nobody to tell.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(state.cast::<State>()) })));
    }
    Thunk { state: Box::into_raw(Box::new(Some(compute) as State)).cast(), call, destroy }
}
