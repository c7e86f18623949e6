//! The trainer's tensors under watch: handles that are alive, calls that make the device wait, failures on demand, and
//! values cut off from gradients that stay what they were.

#![allow(unsafe_code)] // a tensor table in front of the trainer's own

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use trainer_sdk::{
    Dtype, Tensor,
    abi::{Opaque, Sink, Status, Str, TensorInfo, TensorTable, Value, tag},
};

use super::faults;

static OWN: OnceLock<&'static TensorTable> = OnceLock::new();
static LIVE: AtomicI64 = AtomicI64::new(0);
/// Operators by address: their names.
static NAMES: Mutex<Option<HashMap<usize, String>>> = Mutex::new(None);
/// The calls that made the device wait, since they were last taken.
static WAITS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Operators whose result's value or size the processor must know, so that it waits for the device.
const WAITING: [&str; 9] = [
    "aten::item",
    "aten::_local_scalar_dense",
    "aten::nonzero",
    "aten::nonzero_numpy",
    "aten::masked_select",
    "aten::is_nonzero",
    "aten::equal",
    "aten::unique_dim",
    "aten::_unique2",
];

thread_local! {
    static DETACHED: RefCell<Detached> = const { RefCell::new(Detached::Free) };
}

/// What becomes of `aten::detach`.
enum Detached {
    Free,
    Noting(Vec<Tensor>),
    Holding(Vec<Tensor>, usize),
}

/// Puts the watch in front of the trainer's tensors; before the first one.
pub fn watch() {
    // SAFETY: every function below forwards to the trainer's own, or fails as any call may.
    unsafe {
        crate::torch::install_in_front(|own| {
            OWN.get_or_init(|| own);
            TensorTable { retain, release, describe, find, call, from_bytes, to_bytes }
        });
    }
}

/// Tensor handles that components and the trainer's own stores hold.
pub fn live() -> i64 {
    LIVE.load(Ordering::SeqCst)
}

/// The names of the calls that made the device wait, since this was last asked.
pub fn take_waits() -> Vec<String> {
    std::mem::take(&mut *WAITS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Notes every result of `aten::detach` that `f` comes by.
pub fn noting_detached<T>(f: impl FnOnce() -> T) -> (T, Vec<Tensor>) {
    DETACHED.set(Detached::Noting(Vec::new()));
    let result = f();
    let Detached::Noting(noted) = DETACHED.replace(Detached::Free) else { return (result, Vec::new()) };
    (result, noted)
}

/// Lets `aten::detach` answer with these tensors, in turn: what was cut off from gradients is held constant.
pub fn holding_detached<T>(noted: &[Tensor], f: impl FnOnce() -> T) -> T {
    DETACHED.set(Detached::Holding(noted.to_vec(), 0));
    let result = f();
    DETACHED.set(Detached::Free);
    result
}

/// Runs `f` with `aten::detach` as it is.
pub fn with_free_detach<T>(f: impl FnOnce() -> T) -> T {
    let before = DETACHED.replace(Detached::Free);
    let result = f();
    DETACHED.set(before);
    result
}

fn own() -> &'static TensorTable {
    OWN.get().expect("set before the table was handed out")
}

fn name_of(operator: *const ()) -> String {
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.as_ref().and_then(|names| names.get(&operator.addr()).cloned()).unwrap_or_default()
}

unsafe extern "C" fn retain(tensor: Opaque) -> Opaque {
    LIVE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: forwarded as it is.
    unsafe { (own().retain)(tensor) }
}

unsafe extern "C" fn release(tensor: Opaque) {
    LIVE.fetch_sub(1, Ordering::SeqCst);
    // SAFETY: forwarded as it is.
    unsafe { (own().release)(tensor) }
}

unsafe extern "C" fn describe(tensor: Opaque, info: *mut TensorInfo) {
    // SAFETY: forwarded as it is.
    unsafe { (own().describe)(tensor, info) }
}

unsafe extern "C" fn find(name: Str, overload: Str) -> *const () {
    // SAFETY: forwarded as it is; the name lives for the call.
    let (found, name) = unsafe { ((own().find)(name, overload), name.to_text().into_owned()) };
    if !found.is_null() {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.get_or_insert_default().insert(found.addr(), name);
    }
    found
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
    let name = name_of(operator);
    // SAFETY: all pointers live for the call.
    unsafe {
        if faults::is_due(|| name.clone()) {
            error.put(faults::WORDS.as_bytes());
            return Status::FAILED;
        }
        let given = if num_arguments == 0 { &[] } else { std::slice::from_raw_parts(arguments, num_arguments) };
        if WAITING.contains(&name.as_str()) || name.starts_with("aten::index") && has_mask(given) {
            note_wait(&name);
        }
        let status = (own().call)(operator, arguments, num_arguments, results, capacity, num_results, error);
        if status != Status::OK || capacity == 0 {
            return status;
        }
        let made = std::slice::from_raw_parts_mut(results, (*num_results).min(capacity));
        let count = made.iter().filter(|value| value.tag == tag::TENSOR).count();
        LIVE.fetch_add(count as i64, Ordering::SeqCst);
        if let ("aten::detach", [made]) = (name.as_str(), made) {
            hold(made);
        }
        Status::OK
    }
}

/// Notes the result of a `detach`, or puts the one in its place that is held.
///
/// # Safety
/// `made` must be a tensor that its receiver owns.
unsafe fn hold(made: &mut Value) {
    // SAFETY: promised by the caller.
    let result = unsafe { Tensor::from_raw(made.data as Opaque) };
    let kept = DETACHED.with_borrow_mut(|detached| match detached {
        Detached::Free => None,
        Detached::Noting(noted) => {
            noted.push(result.clone());
            None
        }
        Detached::Holding(noted, at) => {
            *at += 1;
            noted.get(*at - 1).cloned()
        }
    });
    made.data = kept.unwrap_or(result).into_raw() as u64;
}

/// Whether an index is a mask, of which the number of true elements must be known.
///
/// # Safety
/// The arguments must be such as a caller passes.
unsafe fn has_mask(arguments: &[Value]) -> bool {
    let is_list = |value: &&Value| value.tag == tag::TENSORS && value.len > 0;
    arguments.iter().filter(is_list).any(|list| {
        // SAFETY: promised by the caller.
        let handles = unsafe { std::slice::from_raw_parts(list.data as *const Opaque, list.len as usize) };
        handles.iter().filter(|handle| !handle.is_null()).any(|&handle| {
            let mut info = std::mem::MaybeUninit::uninit();
            // SAFETY: the host fills in the whole struct.
            let info: TensorInfo = unsafe {
                (own().describe)(handle, info.as_mut_ptr());
                info.assume_init()
            };
            [Dtype::BOOL, Dtype::U8].contains(&Dtype(info.dtype))
        })
    })
}

fn note_wait(name: &str) {
    WAITS.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
}

unsafe extern "C" fn from_bytes(
    dtype: i32,
    sizes: *const i64,
    num_sizes: usize,
    bytes: Str,
    tensor: *mut Opaque,
    error: Sink,
) -> Status {
    // SAFETY: forwarded as it is; the sink lives for the call.
    unsafe {
        if faults::is_due(|| "from_bytes".into()) {
            error.put(faults::WORDS.as_bytes());
            return Status::FAILED;
        }
        let status = (own().from_bytes)(dtype, sizes, num_sizes, bytes, tensor, error);
        if status == Status::OK {
            LIVE.fetch_add(1, Ordering::SeqCst);
        }
        status
    }
}

unsafe extern "C" fn to_bytes(tensor: Opaque, out: Sink, error: Sink) -> Status {
    note_wait("to_bytes");
    // SAFETY: forwarded as it is; the sink lives for the call.
    unsafe {
        if faults::is_due(|| "to_bytes".into()) {
            error.put(faults::WORDS.as_bytes());
            return Status::FAILED;
        }
        (own().to_bytes)(tensor, out, error)
    }
}
