//! What the host offers besides tensors: `trainer.log/1`, and for authors in C `trainer.options/1`.

use abi_stable::StableAbi;

use crate::{Sink, Status, Str};

/// What the host hands to [`Root::init`](crate::Root).
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Host {
    /// A table of the host by id (`trainer.tensor/1`), null where the id is unknown; lives for the process.
    pub table: unsafe extern "C" fn(id: Str) -> *const (),
}

/// The id of [`LogTable`].
pub const LOG: &str = "trainer.log/1";

/// The host's log. Both functions may be called from any thread.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct LogTable {
    /// The most talkative level that is heard: 0 none, 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub max_level: unsafe extern "C" fn() -> u32,
    /// One event: the plugin's id, the module that it comes from, and its text.
    pub event: unsafe extern "C" fn(level: u32, plugin: Str, target: Str, text: Str),
}

/// The id of [`OptionsTable`].
pub const OPTIONS: &str = "trainer.options/1";

/// Reads single values out of a JSON object (options, the run). [`Status::UNSUPPORTED`] where the key is missing,
/// [`Status::OPTIONS`] where it holds another type; `out` is left alone then.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct OptionsTable {
    /// A number.
    pub number: unsafe extern "C" fn(json: Str, key: Str, out: *mut f64) -> Status,
    /// A whole number.
    pub integer: unsafe extern "C" fn(json: Str, key: Str, out: *mut i64) -> Status,
    /// A truth value, 0 or 1.
    pub boolean: unsafe extern "C" fn(json: Str, key: Str, out: *mut i32) -> Status,
    /// A text; anything that is no text is written as JSON.
    pub text: unsafe extern "C" fn(json: Str, key: Str, out: Sink) -> Status,
}
