//! The other end of [`FieldMap`](crate::FieldMap): an object that holds named tensors, offered as C functions.
//! The trainer keeps predictions, targets and terms in such objects, tests of losses do as well.

#![allow(unsafe_code)] // the far end of the pointers in fields.rs

use anyhow::Result;

use crate::{
    FieldMap, Tensor,
    abi::{Fields, FieldsTable, Opaque, Sink, Status, Str, Thunk},
    export::status_to_result,
};

/// Named tensors behind a [`FieldMap`].
pub trait FieldStore {
    /// The names, in order.
    fn names(&self) -> Vec<String>;
    /// The named tensor.
    ///
    /// # Errors
    /// If there is none of that name or its computation fails.
    fn get(&mut self, name: &str) -> Result<Tensor>;
    /// Puts a tensor under the name.
    ///
    /// # Errors
    /// If the field is read-only or the shape does not fit.
    fn set(&mut self, name: &str, tensor: Tensor) -> Result<()>;
    /// Puts a computation under the name.
    ///
    /// # Errors
    /// If the object takes no computations.
    fn offer(&mut self, name: &str, computation: Computation) -> Result<()>;
    /// Takes the name out.
    ///
    /// # Errors
    /// If there is none of that name or the object is read-only.
    fn remove(&mut self, name: &str) -> Result<()>;
}

/// A computation that somebody offered; runs at most once.
pub struct Computation(Thunk);

impl Computation {
    /// Runs it.
    ///
    /// # Errors
    /// The computation's own error.
    pub fn run(self) -> Result<Tensor> {
        let (mut handle, mut error) = (std::ptr::null_mut(), Vec::new());
        // SAFETY: the thunk is ours until it is dropped; on success the handle is ours.
        unsafe {
            let status = (self.0.call)(self.0.state, &raw mut handle, Sink::to(&mut error));
            status_to_result(status, &error)?;
            Ok(Tensor::from_raw(handle))
        }
    }
}

impl Drop for Computation {
    fn drop(&mut self) {
        // SAFETY: the thunk is ours and ends here.
        unsafe { (self.0.destroy)(self.0.state) }
    }
}

/// A view of `store` for a loss, for as long as the borrow lasts.
pub fn view<S: FieldStore>(store: &mut S) -> FieldMap<'_> {
    // SAFETY: object and table live for the borrow, the table is of this store's type.
    unsafe { FieldMap::from_raw(Fields { object: std::ptr::from_mut(store).cast(), table: &raw const *Table::<S>::TABLE }) }
}

struct Table<S>(std::marker::PhantomData<S>);

impl<S: FieldStore> Table<S> {
    const TABLE: &'static FieldsTable =
        &FieldsTable { names: Self::names, get: Self::get, set: Self::set, offer: Self::offer, remove: Self::remove };

    /// Runs `f` on the store; an error becomes a status and a text.
    unsafe fn with(object: Opaque, error: Sink, f: impl FnOnce(&mut S) -> Result<()>) -> Status {
        // SAFETY: `object` is the store that `view` borrowed; losses call on the training thread, one at a time.
        match f(unsafe { &mut *object.cast::<S>() }) {
            Ok(()) => Status::OK,
            Err(reason) => {
                // SAFETY: the sink lives for the call.
                unsafe { error.put(format!("{reason:#}").as_bytes()) };
                Status::FAILED
            }
        }
    }

    unsafe extern "C" fn names(object: Opaque, out: Sink) {
        // SAFETY: as in `with`.
        unsafe { out.put((*object.cast::<S>()).names().join("\n").as_bytes()) }
    }

    unsafe extern "C" fn get(object: Opaque, name: Str, tensor: *mut Opaque, error: Sink) -> Status {
        // SAFETY: `name` lives for the call, `tensor` is the caller's to be written.
        unsafe {
            Self::with(object, error, |store| {
                *tensor = store.get(&name.to_text())?.into_raw();
                Ok(())
            })
        }
    }

    unsafe extern "C" fn set(object: Opaque, name: Str, tensor: Opaque, error: Sink) -> Status {
        // SAFETY: `name` lives for the call; the borrowed handle is retained by the clone and not released here.
        unsafe {
            let borrowed = std::mem::ManuallyDrop::new(Tensor::from_raw(tensor));
            Self::with(object, error, |store| store.set(&name.to_text(), Tensor::clone(&borrowed)))
        }
    }

    unsafe extern "C" fn offer(object: Opaque, name: Str, thunk: Thunk, error: Sink) -> Status {
        let computation = Computation(thunk);
        // SAFETY: `name` lives for the call.
        unsafe { Self::with(object, error, |store| store.offer(&name.to_text(), computation)) }
    }

    unsafe extern "C" fn remove(object: Opaque, name: Str, error: Sink) -> Status {
        // SAFETY: `name` lives for the call.
        unsafe { Self::with(object, error, |store| store.remove(&name.to_text())) }
    }
}
