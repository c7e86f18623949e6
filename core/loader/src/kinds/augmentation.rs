//! An augmentation of a plugin.

use anyhow::Result;
use trainer_abi::{self as abi, AugmentationTable};
use trainer_sdk::{AugmentContext, Augmentation, ReadyContext, Sample};

use crate::guest::Instance;

impl Augmentation for Instance<AugmentationTable> {
    fn ready(&mut self, run: &ReadyContext) -> Result<()> {
        Instance::ready(self, run)
    }

    fn partners(&self) -> usize {
        let mut count = 0;
        let asked = self.call("partners", |table, object, _| {
            // SAFETY: the instance lives for the call.
            count = unsafe { (table.partners)(object) };
            abi::Status::OK
        });
        if asked.is_ok() { count as usize } else { 0 }
    }

    fn apply(&self, sample: &mut Sample, partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()> {
        let at = abi::AugmentContext {
            epoch: cx.epoch as u64,
            epochs: cx.epochs as u64,
            seed: cx.rng.next_u64(),
            imgsz: cx.imgsz,
        };
        let partners: Vec<abi::Sample> = partners.iter().map(Sample::raw).collect();
        // SAFETY: instance, samples and context live for the call.
        self.call("apply", |table, object, error| unsafe {
            (table.apply)(object, sample.raw(), partners.as_ptr(), partners.len(), &raw const at, error)
        })
    }
}
