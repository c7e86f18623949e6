//! Named tensors of the host, and computations that are offered for a name.

use abi_stable::StableAbi;

use crate::{Opaque, Sink, Status, Str};

/// A host object that holds named tensors.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Fields {
    /// Passed to every function of the table.
    pub object: Opaque,
    /// The functions; valid as long as the object.
    pub table: *const FieldsTable,
}

/// Reading and writing named tensors.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FieldsTable {
    /// Writes the names, one a line, in order.
    pub names: unsafe extern "C" fn(object: Opaque, out: Sink),
    /// A new reference to the named tensor; computes it if it was only offered.
    pub get: unsafe extern "C" fn(object: Opaque, name: Str, tensor: *mut Opaque, error: Sink) -> Status,
    /// Puts a tensor (borrowed) under the name; refused where the field is read-only or its shape is fixed.
    pub set: unsafe extern "C" fn(object: Opaque, name: Str, tensor: Opaque, error: Sink) -> Status,
    /// Puts a value under the name that was computed outside libtorch, with its gradients: `count` inputs and as many
    /// gradients of the value by them, each of its input's shape (all borrowed). The host splices them into the graph,
    /// so that backward leads through `gradients[i]` to `inputs[i]`.
    pub set_with_gradients: unsafe extern "C" fn(
        object: Opaque,
        name: Str,
        value: Opaque,
        inputs: *const Opaque,
        gradients: *const Opaque,
        count: usize,
        error: Sink,
    ) -> Status,
    /// Puts a computation under the name, run only if somebody asks. Takes the thunk over, also when it fails.
    pub offer: unsafe extern "C" fn(object: Opaque, name: Str, thunk: Thunk, error: Sink) -> Status,
    /// Takes the name out.
    pub remove: unsafe extern "C" fn(object: Opaque, name: Str, error: Sink) -> Status,
}

/// A computation that is run at most once.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Thunk {
    /// Passed to both functions.
    pub state: Opaque,
    /// Computes the tensor (a new reference).
    pub call: unsafe extern "C" fn(state: Opaque, tensor: *mut Opaque, error: Sink) -> Status,
    /// Ends `state`; called once, whether or not `call` was.
    pub destroy: unsafe extern "C" fn(state: Opaque),
}

/// A host object that holds a loss's trainable parameters.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Parameters {
    /// Passed to every function of the table.
    pub object: Opaque,
    /// The functions; valid as long as the object.
    pub table: *const ParametersTable,
}

/// Trainable parameters by name.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ParametersTable {
    /// A new reference to the parameter of that name, made at the first call; refused if it has another shape already.
    pub get: unsafe extern "C" fn(
        object: Opaque,
        name: Str,
        sizes: *const i64,
        num_sizes: usize,
        init: Init,
        tensor: *mut Opaque,
        error: Sink,
    ) -> Status,
}

/// How a parameter starts.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Init {
    /// 0: all elements `a`; 1: uniform in [`a`, `b`); 2: normal of mean `a` and deviation `b`.
    pub kind: u32,
    /// See `kind`.
    pub a: f64,
    /// See `kind`.
    pub b: f64,
}
