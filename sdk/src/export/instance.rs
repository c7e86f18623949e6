//! Instances behind opaque handles. After a panic an instance answers nothing but that.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Result;

use super::guarded;
use crate::{
    Exporter, Loss, ReadyContext, Scheduler,
    abi::{Opaque, Sink, Status, Str},
};

struct Instance<T: ?Sized> {
    object: Box<T>,
    poisoned: AtomicBool,
}

/// Makes an instance by `make` and writes its handle.
///
/// # Safety
/// `instance` and the sink are the host's to be written.
pub(super) unsafe fn create<T: ?Sized>(
    instance: *mut Opaque,
    error: Sink,
    make: impl FnOnce() -> Result<Box<T>>,
) -> Status {
    let status = guarded(error, || {
        let made = Instance { object: make()?, poisoned: AtomicBool::new(false) };
        // SAFETY: promised by the caller.
        unsafe { *instance = Box::into_raw(Box::new(made)).cast() };
        Ok(())
    });
    if status == Status::FAILED { Status::OPTIONS } else { status }
}

pub(super) unsafe extern "C" fn destroy<T: ?Sized>(instance: Opaque) {
    // A panic in a destructor must not unwind into the host; there is nobody to tell.
    // SAFETY: made by `create` and given back once.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(unsafe { Box::from_raw(instance.cast::<Instance<T>>()) })));
}

/// Calls into an instance that only this thread uses.
///
/// # Safety
/// `instance` is one that `create` made; no other call on it is under way.
pub(super) unsafe fn exclusive<T: ?Sized>(
    instance: Opaque,
    error: Sink,
    f: impl FnOnce(&mut T) -> Result<()>,
) -> Status {
    // SAFETY: promised by the caller.
    let instance = unsafe { &mut *instance.cast::<Instance<T>>() };
    let object = &mut *instance.object;
    unless_poisoned(&instance.poisoned, error, || f(object))
}

/// Calls into an instance that several threads may use.
///
/// # Safety
/// `instance` is one that `create` made.
pub(super) unsafe fn shared<T: ?Sized>(instance: Opaque, error: Sink, f: impl FnOnce(&T) -> Result<()>) -> Status {
    // SAFETY: promised by the caller.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    unless_poisoned(&instance.poisoned, error, || f(&instance.object))
}

fn unless_poisoned(poisoned: &AtomicBool, error: Sink, f: impl FnOnce() -> Result<()>) -> Status {
    if poisoned.load(Ordering::Relaxed) {
        // SAFETY: the sink lives for the call.
        unsafe { error.put(b"panicked in an earlier call") };
        return Status::PANICKED;
    }
    let status = guarded(error, f);
    if status == Status::PANICKED {
        poisoned.store(true, Ordering::Relaxed);
    }
    status
}

/// What kinds with state have in common.
pub(super) trait Stateful {
    fn ready(&mut self, run: &ReadyContext) -> Result<()>;
    fn save(&self) -> Result<Vec<u8>>;
    fn load(&mut self, state: &[u8]) -> Result<()>;
}

macro_rules! stateful {
    ($($kind:ident)*) => {$(
        impl Stateful for dyn $kind {
            fn ready(&mut self, run: &ReadyContext) -> Result<()> {
                $kind::ready(self, run)
            }
            fn save(&self) -> Result<Vec<u8>> {
                $kind::save(self)
            }
            fn load(&mut self, state: &[u8]) -> Result<()> {
                $kind::load(self, state)
            }
        }
    )*};
}

stateful!(Loss Scheduler Exporter);

pub(super) unsafe extern "C" fn ready<T: Stateful + ?Sized>(instance: Opaque, run: Str, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe { exclusive::<T>(instance, error, |object| object.ready(&serde_json::from_slice(run.as_bytes())?)) }
}

pub(super) unsafe extern "C" fn save<T: Stateful + ?Sized>(instance: Opaque, out: Sink, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe {
        exclusive::<T>(instance, error, |object| {
            out.put(&object.save()?);
            Ok(())
        })
    }
}

pub(super) unsafe extern "C" fn load<T: Stateful + ?Sized>(instance: Opaque, state: Str, error: Sink) -> Status {
    // SAFETY: all pointers live for the call.
    unsafe { exclusive::<T>(instance, error, |object| object.load(state.as_bytes())) }
}
