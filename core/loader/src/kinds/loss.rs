//! A loss of a plugin.

use anyhow::Result;
use trainer_abi::{self as abi, LossTable, Str};
use trainer_sdk::{Loss, LossContext, Predictions, ReadyContext, Targets, Terms};

use crate::guest::Instance;

impl Loss for Instance<LossTable> {
    fn ready(&mut self, run: &ReadyContext) -> Result<()> {
        Instance::ready(self, run)
    }

    fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
        let at = raw_context(cx);
        // SAFETY: instance and arguments live for the call.
        self.call("targets", |table, object, error| unsafe {
            (table.targets)(object, targets.0.raw(), &raw const at, error)
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
        self.call("terms", |table, object, error| unsafe {
            (table.terms)(object, terms.0.raw(), predictions.0.raw(), targets.0.raw(), &raw const at, error)
        })
    }

    fn save(&self) -> Result<Vec<u8>> {
        // SAFETY: instance and sinks live for the call.
        self.read("save", |table, object, out, error| unsafe { (table.save)(object, out, error) })
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        // SAFETY: instance and state live for the call.
        self.call("load", |table, object, error| unsafe { (table.load)(object, Str::bytes(state), error) })
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
        is_training: cx.is_training.into(),
        image_ids: cx.image_ids.as_ptr(),
        predictions: cx.predictions.0.raw(),
        parameters: cx.parameters.raw(),
    }
}
