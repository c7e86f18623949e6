//! Calls into plugins: which one a thread is in, so that a crash can be told by name, and what its answers mean.

#![allow(unsafe_code)] // instances and calls through the plugin's tables

use std::{cell::Cell, path::PathBuf};

use anyhow::{Result, bail};
use trainer_abi::{
    AugmentationTable, ExporterTable, LossTable, Opaque, SchedulerTable, Sink, Status, Str, abi_stable::StableAbi,
};
use trainer_sdk::ReadyContext;

use crate::PluginFailure;

/// A component of a loaded plugin; lives for the process, as its code does.
#[derive(Debug)]
pub struct Guest {
    /// The plugin's id.
    pub plugin: String,
    /// The component's name.
    pub component: String,
    /// The plugin's file, as the user named it.
    pub file: PathBuf,
    /// The file that was loaded, a private copy of it.
    pub loaded: PathBuf,
}

/// Where a thread is inside a plugin.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The component.
    pub guest: &'static Guest,
    /// The function of its table.
    pub entry: &'static str,
}

impl Visit {
    /// Runs what the plugin has left behind in this visit as a part of it: a crash in it is the plugin's, an error names
    /// its file.
    ///
    /// # Errors
    /// A [`PluginFailure`] with the error's words.
    pub fn resumed<T>(self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let _entered = Entered(VISIT.with(|visit| visit.replace(Some(self))));
        let Self { guest, entry } = self;
        f().map_err(|reason| PluginFailure { file: guest.file.clone(), entry, reason: format!("{reason:#}") }.into())
    }
}

thread_local! {
    static VISIT: Cell<Option<Visit>> = const { Cell::new(None) };
}

/// The plugin that this thread is in, if any. Reads one thread-local cell: safe in a signal handler.
#[must_use]
pub fn visit() -> Option<Visit> {
    VISIT.with(Cell::get)
}

/// Marks this thread as inside `guest` until dropped; a plugin whose call leads to another plugin (a term that a
/// further link offered) comes back to the outer one.
pub(crate) struct Entered(Option<Visit>);

impl Entered {
    pub(crate) fn new(guest: &'static Guest, entry: &'static str) -> Self {
        Self(VISIT.with(|visit| visit.replace(Some(Visit { guest, entry }))))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        VISIT.with(|visit| visit.set(self.0));
    }
}

/// What the four kinds' tables have in common.
pub(crate) trait Table: StableAbi + 'static {
    /// Its id.
    const ID: &'static str;
    fn create(&self) -> unsafe extern "C" fn(Str, *mut Opaque, Sink) -> Status;
    fn destroy(&self) -> unsafe extern "C" fn(Opaque);
    fn ready(&self) -> unsafe extern "C" fn(Opaque, Str, Sink) -> Status;
}

macro_rules! table {
    ($($table:ident = $id:ident),*) => {$(
        impl Table for $table {
            const ID: &'static str = trainer_abi::$id;
            fn create(&self) -> unsafe extern "C" fn(Str, *mut Opaque, Sink) -> Status {
                self.create
            }
            fn destroy(&self) -> unsafe extern "C" fn(Opaque) {
                self.destroy
            }
            fn ready(&self) -> unsafe extern "C" fn(Opaque, Str, Sink) -> Status {
                self.ready
            }
        }
    )*};
}

table!(AugmentationTable = AUGMENTATION, SchedulerTable = SCHEDULER, LossTable = LOSS, ExporterTable = EXPORTER);

/// A table whose layout was compared, and whose component it is.
pub(crate) struct Factory<T: Table> {
    pub table: &'static T,
    pub guest: &'static Guest,
}

impl<T: Table> Clone for Factory<T> {
    fn clone(&self) -> Self {
        Self { table: self.table, guest: self.guest }
    }
}

/// An instance inside a plugin.
pub(crate) struct Instance<T: Table> {
    factory: Factory<T>,
    object: Opaque,
}

// SAFETY: trainer-abi demands that an instance may move between threads as long as calls do not overlap.
unsafe impl<T: Table> Send for Instance<T> {}
// SAFETY: trainer-abi demands of augmentations that calls on one instance may overlap.
unsafe impl Sync for Instance<AugmentationTable> {}

impl<T: Table> Instance<T> {
    /// Makes an instance from options as JSON.
    pub(crate) fn make(factory: &Factory<T>, options: &str) -> Result<Self> {
        let mut object = std::ptr::null_mut();
        let mut error = Vec::new();
        let create = factory.table.create();
        let status = {
            let _entered = Entered::new(factory.guest, "create");
            // SAFETY: the table's functions follow trainer-abi's rules; the pointers live for the call.
            unsafe { create(Str::new(options), &raw mut object, Sink::to(&mut error)) }
        };
        check(factory.guest, "create", status, &error)?;
        Ok(Self { factory: factory.clone(), object })
    }

    /// Calls one function of the table with the instance and a place for its error.
    pub(crate) fn call(&self, entry: &'static str, f: impl FnOnce(&T, Opaque, Sink) -> Status) -> Result<()> {
        let mut error = Vec::new();
        let status = {
            let _entered = Entered::new(self.factory.guest, entry);
            f(self.factory.table, self.object, Sink::to(&mut error))
        };
        check(self.factory.guest, entry, status, &error)
    }

    /// As [`call`](Self::call), for a function that writes text or bytes.
    pub(crate) fn read(
        &self,
        entry: &'static str,
        f: impl FnOnce(&T, Opaque, Sink, Sink) -> Status,
    ) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let sink = Sink::to(&mut out);
        self.call(entry, |table, object, error| f(table, object, sink, error))?;
        Ok(out)
    }

    pub(crate) fn ready(&self, run: &ReadyContext) -> Result<()> {
        let run = serde_json::to_string(run)?;
        // SAFETY: instance and text live for the call.
        self.call("ready", |table, object, error| unsafe { (table.ready())(object, Str::new(&run), error) })
    }

    /// Bytes or text that a plugin wrote, which must be JSON of a type.
    pub(crate) fn parse<V: serde::de::DeserializeOwned>(&self, entry: &'static str, text: &[u8]) -> Result<V> {
        serde_json::from_slice(text).map_err(|reason| self.failure(entry, format!("it wrote no valid JSON: {reason}")))
    }

    pub(crate) fn failure(&self, entry: &'static str, reason: String) -> anyhow::Error {
        PluginFailure { file: self.factory.guest.file.clone(), entry, reason }.into()
    }
}

impl<T: Table> Drop for Instance<T> {
    fn drop(&mut self) {
        let _entered = Entered::new(self.factory.guest, "destroy");
        // SAFETY: made by `create`, given back once.
        unsafe { (self.factory.table.destroy())(self.object) }
    }
}

/// Characters of a plugin's error that a message carries: so many of its start, and of its end.
const KEPT: [usize; 2] = [600, 200];

/// A plugin's error as a message carries it: in the middle of a long one something is left out, and so are control
/// characters, which could do anything to a terminal.
pub(crate) fn words(error: &[u8]) -> String {
    let text: Vec<char> = String::from_utf8_lossy(error).chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let [start, end] = KEPT;
    if text.len() <= start + end {
        return text.into_iter().collect();
    }
    let left_out = text.len() - start - end;
    let mut words: String = text[..start].iter().collect();
    words += &format!(" […, {left_out} characters left out] ");
    words.extend(&text[text.len() - end..]);
    words
}

#[cold]
fn failed(guest: &Guest, entry: &'static str, status: Status, error: &[u8]) -> Result<()> {
    let reason = words(error);
    let reason = if reason.is_empty() { format!("status {}, without a word of why", status.0) } else { reason };
    if status == Status::OPTIONS {
        bail!("plugin {} refuses the options: {reason}", guest.file.display());
    }
    if entry == "ready" && status == Status::FAILED {
        bail!("plugin {} refuses this run: {reason}", guest.file.display());
    }
    Err(PluginFailure { file: guest.file.clone(), entry, reason }.into())
}

fn check(guest: &Guest, entry: &'static str, status: Status, error: &[u8]) -> Result<()> {
    if status == Status::OK { Ok(()) } else { failed(guest, entry, status, error) }
}
