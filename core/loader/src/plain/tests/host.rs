//! A host for the examples: the testing kit's tensors, with every handle counted, and failures on demand.

use std::{cell::Cell, ptr};

use anyhow::{Result, bail};
use trainer_abi::{Host, OPTIONS, Opaque, Sink, Status, Str, TENSOR, TensorInfo, TensorTable, Value};
use trainer_sdk::{
    Tensor,
    export::installed_tensors,
    store::{Computation, FieldStore},
};

use crate::option_table::OPTION_TABLE;

pub static HOST: Host = Host { table };

static COUNTED: TensorTable = TensorTable { retain, release, describe, find, call, from_bytes, to_bytes };

thread_local! {
    /// Handles that the plugin holds.
    pub static HELD: Cell<i64> = const { Cell::new(0) };
    /// How many more calls succeed.
    pub static CALLS_LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    /// Whether tensors say that they record gradients, which those of the kit never do.
    pub static GRADIENTS: Cell<bool> = const { Cell::new(true) };
}

fn kit() -> &'static TensorTable {
    let _ = trainer_sdk::testing::tensor(&[], &[0]); // puts the kit in place
    installed_tensors().unwrap()
}

fn may_succeed() -> bool {
    CALLS_LEFT.replace(CALLS_LEFT.get().saturating_sub(1)) > 0
}

/// Runs a call, unless none is left; on success the plugin holds `handles` more.
fn counted(error: Sink, handles: i64, call: impl FnOnce() -> Status) -> Status {
    if !may_succeed() {
        // SAFETY: the sink lives for the call.
        unsafe { error.put(b"no call is left") };
        return Status::FAILED;
    }
    let status = call();
    if status == Status::OK {
        HELD.set(HELD.get() + handles);
    }
    status
}

unsafe extern "C" fn table(id: Str) -> *const () {
    // SAFETY: the id lives for the call.
    match &*unsafe { id.to_text() } {
        TENSOR => ptr::from_ref(&COUNTED).cast(),
        OPTIONS => ptr::from_ref(&OPTION_TABLE).cast(),
        _ => ptr::null(),
    }
}

unsafe extern "C" fn retain(tensor: Opaque) -> Opaque {
    HELD.set(HELD.get() + 1);
    // SAFETY: passed on.
    unsafe { (kit().retain)(tensor) }
}

unsafe extern "C" fn release(tensor: Opaque) {
    HELD.set(HELD.get() - 1);
    // SAFETY: passed on.
    unsafe { (kit().release)(tensor) }
}

unsafe extern "C" fn describe(tensor: Opaque, info: *mut TensorInfo) {
    // SAFETY: passed on; `info` was filled in.
    unsafe {
        (kit().describe)(tensor, info);
        (*info).requires_grad = GRADIENTS.get().into();
    }
}

unsafe extern "C" fn find(name: Str, overload: Str) -> *const () {
    // SAFETY: passed on.
    unsafe { (kit().find)(name, overload) }
}

unsafe extern "C" fn call(
    operator: *const (),
    arguments: *const Value,
    num_arguments: usize,
    results: *mut Value,
    capacity: usize,
    num_results: *mut usize,
    error: Sink,
) -> Status {
    // SAFETY: passed on.
    counted(error, 1, || unsafe {
        (kit().call)(operator, arguments, num_arguments, results, capacity, num_results, error)
    })
}

unsafe extern "C" fn from_bytes(
    dtype: i32,
    sizes: *const i64,
    num_sizes: usize,
    bytes: Str,
    tensor: *mut Opaque,
    error: Sink,
) -> Status {
    // SAFETY: passed on.
    counted(error, 1, || unsafe { (kit().from_bytes)(dtype, sizes, num_sizes, bytes, tensor, error) })
}

unsafe extern "C" fn to_bytes(tensor: Opaque, out: Sink, error: Sink) -> Status {
    // SAFETY: passed on.
    counted(error, 0, || unsafe { (kit().to_bytes)(tensor, out, error) })
}

/// Named tensors that keep the gradients which come with a value.
#[derive(Default)]
pub struct Kept {
    pub tensors: Vec<(&'static str, Tensor)>,
    pub gradients: Vec<Tensor>,
}

impl FieldStore for Kept {
    fn names(&self) -> Vec<String> {
        self.tensors.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn get(&mut self, name: &str) -> Result<Tensor> {
        let Some((_, tensor)) = self.tensors.iter().find(|(known, _)| *known == name) else { bail!("no {name}") };
        if !may_succeed() {
            bail!("no call is left");
        }
        HELD.set(HELD.get() + 1);
        Ok(tensor.clone())
    }

    fn set(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        if !may_succeed() {
            bail!("no call is left");
        }
        self.tensors.retain(|(known, _)| *known != name);
        self.tensors.push((Box::leak(name.to_owned().into_boxed_str()), tensor));
        Ok(())
    }

    fn set_with_gradients(&mut self, name: &str, value: &Tensor, gradients: &[(Tensor, Tensor)]) -> Result<()> {
        self.gradients = gradients.iter().map(|(_, gradient)| gradient.clone()).collect();
        self.set(name, value.clone())
    }

    fn offer(&mut self, name: &str, _computation: Computation) -> Result<()> {
        bail!("{name} is offered")
    }

    fn remove(&mut self, name: &str) -> Result<()> {
        bail!("{name} is removed")
    }
}
