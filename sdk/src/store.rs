//! The other end of [`FieldMap`]: an object that holds named tensors, offered as C functions.
//! The trainer keeps predictions, targets and terms in such objects, tests of losses do as well.

#![allow(unsafe_code)] // the far end of the pointers in fields.rs

use std::cell::RefCell;

use anyhow::{Result, ensure};

use crate::{
    FieldMap, Tensor,
    abi::{Fields, FieldsTable, Opaque, Sink, Status, Str, Thunk},
    export::{guarded, status_to_result},
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
    /// Puts a value under the name that was computed outside libtorch, with its gradients by other tensors. Where the
    /// tensors record gradients the default splices them into the graph.
    ///
    /// # Errors
    /// As [`set`](Self::set), or if a gradient has not its input's shape.
    fn set_with_gradients(&mut self, name: &str, value: &Tensor, gradients: &[(Tensor, Tensor)]) -> Result<()> {
        self.set(name, spliced(value, gradients)?)
    }
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

/// A scalar of the value of `value` whose backward multiplies by the given gradients: with s = sum of (input *
/// gradient), s + (value - s) without gradients.
fn spliced(value: &Tensor, gradients: &[(Tensor, Tensor)]) -> Result<Tensor> {
    let mut surrogate = value.detach()?.mul_scalar(0.0)?;
    for (input, gradient) in gradients {
        let (wanted, got) = (input.size(), gradient.size());
        ensure!(wanted == got, "a gradient of shape {got:?} for an input of shape {wanted:?}");
        surrogate = surrogate.add(&input.mul(&gradient.detach()?)?.sum()?)?;
    }
    let rest = value.sub(&surrogate)?.detach()?;
    surrogate.add(&rest)
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
    unsafe {
        FieldMap::from_raw(Fields { object: std::ptr::from_mut(store).cast(), table: &raw const *Table::<S>::TABLE })
    }
}

thread_local! {
    static BUSY: RefCell<Vec<Opaque>> = const { RefCell::new(Vec::new()) };
}

/// Marks a store as borrowed until dropped. An offered computation that called back into the store that runs it
/// would borrow it twice; Rust's lifetimes forbid that to safe code, nothing does to C.
pub(crate) struct Busy;

impl Busy {
    pub(crate) fn mark(object: Opaque) -> Result<Self> {
        BUSY.with_borrow_mut(|busy| {
            ensure!(!busy.contains(&object), "a computation cannot use the object that it was offered to");
            busy.push(object);
            Ok(Self)
        })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.with_borrow_mut(Vec::pop);
    }
}

struct Table<S>(std::marker::PhantomData<S>);

impl<S: FieldStore> Table<S> {
    const TABLE: &'static FieldsTable = &FieldsTable {
        names: Self::names,
        get: Self::get,
        set: Self::set,
        set_with_gradients: Self::set_with_gradients,
        offer: Self::offer,
        remove: Self::remove,
    };

    /// Runs `f` on the store; an error or a panic becomes a status and a text.
    unsafe fn with(object: Opaque, error: Sink, f: impl FnOnce(&mut S) -> Result<()>) -> Status {
        guarded(error, || {
            let _busy = Busy::mark(object)?;
            // SAFETY: `object` is the store that `view` borrowed, on this thread; no other call is at work on it.
            f(unsafe { &mut *object.cast::<S>() })
        })
    }

    unsafe extern "C" fn names(object: Opaque, out: Sink) {
        let mut unheard = Vec::new(); // a failure leaves no names: this function has no other answer
        // SAFETY: as in `with`; the sink lives for the call.
        unsafe {
            Self::with(object, Sink::to(&mut unheard), |store| {
                out.put(store.names().join("\n").as_bytes());
                Ok(())
            });
        }
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

    unsafe extern "C" fn set_with_gradients(
        object: Opaque,
        name: Str,
        value: Opaque,
        inputs: *const Opaque,
        gradients: *const Opaque,
        count: usize,
        error: Sink,
    ) -> Status {
        // SAFETY: all pointers live for the call; the borrowed handles are retained by the clones, not released here.
        unsafe {
            let borrowed = |handle| Tensor::clone(&std::mem::ManuallyDrop::new(Tensor::from_raw(handle)));
            let pair = |i| (borrowed(*inputs.add(i)), borrowed(*gradients.add(i)));
            let (value, pairs) = (borrowed(value), (0..count).map(pair).collect::<Vec<_>>());
            Self::with(object, error, |store| store.set_with_gradients(&name.to_text(), &value, &pairs))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a computation as soon as it is offered.
    struct Eager;

    impl FieldStore for Eager {
        fn names(&self) -> Vec<String> {
            vec!["eager".into()]
        }

        fn get(&mut self, _name: &str) -> Result<Tensor> {
            panic!("oops")
        }

        fn set(&mut self, _name: &str, _tensor: Tensor) -> Result<()> {
            Ok(())
        }

        fn offer(&mut self, _name: &str, computation: Computation) -> Result<()> {
            computation.run().map(drop)
        }

        fn remove(&mut self, _name: &str) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_store_that_panics_is_an_error() {
        let mut store = Eager;
        let mut fields = view(&mut store);
        assert_eq!(fields.get("x").unwrap_err().to_string(), "panicked: oops");
        fields.remove("x").unwrap();
    }

    #[test]
    fn a_computation_that_calls_back_is_refused() {
        let mut store = Eager;
        let mut fields = view(&mut store);
        let raw = fields.raw();
        let outcome = fields.offer("x", move || {
            // SAFETY: the store lives on; C could do as much.
            let mut again = unsafe { FieldMap::from_raw(raw) };
            assert!(again.names().is_empty());
            again.remove("x")?;
            anyhow::bail!("was let in")
        });
        assert_eq!(outcome.unwrap_err().to_string(), "a computation cannot use the object that it was offered to");
        assert_eq!(fields.names(), ["eager"]);
    }
}
