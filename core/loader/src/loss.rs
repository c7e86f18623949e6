//! A loss of a plugin as an ordinary [`Loss`]: the rest of the trainer cannot tell it from a built-in one.

#![allow(unsafe_code)] // calls through the plugin's table

use std::{path::Path, sync::Arc};

use anyhow::{Result, bail};
use trainer_abi::{self as abi, LossTable, Opaque, Sink, Status, Str};
use trainer_sdk::{Loss, LossContext, Predictions, Targets, Terms};

use crate::PluginFailure;

/// Makes instances of one loss.
#[derive(Clone)]
pub struct LossFactory {
    table: &'static LossTable,
    file: Arc<Path>,
}

impl LossFactory {
    /// Wraps a table of the plugin in `file` whose layout was compared.
    pub(crate) fn new(table: &'static LossTable, file: Arc<Path>) -> Self {
        Self { table, file }
    }

    /// Makes an instance from options as JSON.
    ///
    /// # Errors
    /// If the plugin refuses the options or panics.
    pub fn make(&self, options: &str) -> Result<Box<dyn Loss>> {
        let mut instance = std::ptr::null_mut();
        let mut error = Vec::new();
        // SAFETY: the table's functions follow trainer-abi's rules; the pointers live for the call.
        let status = unsafe { (self.table.create)(Str::new(options), &raw mut instance, Sink::to(&mut error)) };
        check(&self.file, "create", status, &error)?;
        Ok(Box::new(LoadedLoss { table: self.table, file: Arc::clone(&self.file), instance }))
    }
}

/// An instance inside a plugin.
struct LoadedLoss {
    table: &'static LossTable,
    file: Arc<Path>,
    instance: Opaque,
}

// SAFETY: trainer-abi demands that an instance may move between threads as long as calls do not overlap.
unsafe impl Send for LoadedLoss {}

impl LoadedLoss {
    /// Calls one function of the table, with a place for its error.
    fn call(&self, entry: &'static str, f: impl FnOnce(&LossTable, Sink) -> Status) -> Result<()> {
        let mut error = Vec::new();
        let status = f(self.table, Sink::to(&mut error));
        check(&self.file, entry, status, &error)
    }
}

impl Loss for LoadedLoss {
    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        let at = raw_context(cx);
        // SAFETY: instance and arguments live for the call.
        self.call("targets", |table, error| unsafe {
            (table.targets)(self.instance, targets.0.raw(), &raw const at, error)
        })
    }

    fn terms(
        &mut self,
        terms: &mut Terms,
        predictions: &Predictions,
        targets: &Targets,
        cx: &LossContext,
    ) -> Result<()> {
        let at = raw_context(cx);
        // SAFETY: instance and arguments live for the call.
        self.call("terms", |table, error| unsafe {
            (table.terms)(self.instance, terms.0.raw(), predictions.0.raw(), targets.0.raw(), &raw const at, error)
        })
    }

    fn save(&self) -> Result<Vec<u8>> {
        let mut state = Vec::new();
        let out = Sink::to(&mut state);
        // SAFETY: instance and sinks live for the call.
        self.call("save", |table, error| unsafe { (table.save)(self.instance, out, error) })?;
        Ok(state)
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        // SAFETY: instance and state live for the call.
        self.call("load", |table, error| unsafe { (table.load)(self.instance, Str::bytes(state), error) })
    }
}

impl Drop for LoadedLoss {
    fn drop(&mut self) {
        // SAFETY: made by `create`, given back once.
        unsafe { (self.table.destroy)(self.instance) }
    }
}

fn check(file: &Path, entry: &'static str, status: Status, error: &[u8]) -> Result<()> {
    let reason = String::from_utf8_lossy(error).into_owned();
    match status {
        Status::OK => Ok(()),
        Status::OPTIONS => bail!("plugin {} refuses the options: {reason}", file.display()),
        _ => Err(PluginFailure { file: file.to_owned(), entry, reason }.into()),
    }
}

fn raw_context(cx: &LossContext) -> abi::LossContext {
    abi::LossContext {
        epoch: cx.epoch as u64,
        epochs: cx.epochs as u64,
        step: cx.step as u64,
        height: cx.height as u32,
        width: cx.width as u32,
        num_classes: cx.num_classes as u32,
        num_images: cx.image_ids.len() as u32,
        image_ids: cx.image_ids.as_ptr(),
        predictions: cx.predictions.0.raw(),
    }
}
