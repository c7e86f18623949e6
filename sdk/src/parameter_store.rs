//! The other end of [`ParameterMap`]: what keeps a loss's trainable parameters.

#![allow(unsafe_code)] // the far end of the pointers in fields.rs

use anyhow::{Result, bail};

use crate::{
    Init, ParameterMap, Tensor,
    abi::{self, Opaque, ParametersTable, Sink, Status, Str},
    export::guarded,
    store::Busy,
};

/// Trainable parameters behind a [`ParameterMap`].
pub trait ParameterStore {
    /// The parameter of that name, made at the first call.
    ///
    /// # Errors
    /// If it has another size already or cannot be made.
    fn get(&mut self, name: &str, size: &[i64], init: Init) -> Result<Tensor>;
}

/// A view of `store` for a loss, for as long as the borrow lasts.
pub fn view<S: ParameterStore>(store: &mut S) -> ParameterMap<'_> {
    unsafe extern "C" fn get<S: ParameterStore>(
        object: Opaque,
        name: Str,
        sizes: *const i64,
        num_sizes: usize,
        init: abi::Init,
        tensor: *mut Opaque,
        error: Sink,
    ) -> Status {
        guarded(error, || {
            let _busy = Busy::mark(object)?;
            let init = match init.kind {
                0 => Init::Constant(init.a),
                1 => Init::Uniform(init.a, init.b),
                2 => Init::Normal(init.a, init.b),
                kind => bail!("there is no way {kind} of starting a parameter; 0 is constant, 1 uniform, 2 normal"),
            };
            // SAFETY: name and sizes live for the call, `object` is the store that was borrowed, `tensor` the caller's.
            unsafe {
                let size = if num_sizes == 0 { &[] } else { std::slice::from_raw_parts(sizes, num_sizes) };
                let store = &mut *object.cast::<S>();
                *tensor = store.get(&name.to_text(), size, init)?.into_raw();
            }
            Ok(())
        })
    }
    struct Table<S>(std::marker::PhantomData<S>);
    impl<S: ParameterStore> Table<S> {
        const TABLE: &'static ParametersTable = &ParametersTable { get: get::<S> };
    }
    let object = std::ptr::from_mut(store).cast();
    // SAFETY: object and table live for the borrow, the table is of this store's type.
    unsafe { ParameterMap::from_raw(abi::Parameters { object, table: &raw const *Table::<S>::TABLE }) }
}
