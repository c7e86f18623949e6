//! The augmentation socket: sample in, changed sample out, on loader threads.

use anyhow::Result;

use crate::{ReadyContext, Rng, Sample};

/// Changes one training sample.
///
/// Called on loader threads, concurrently on one instance, so it keeps no state: the outcome is a function of
/// the options, the samples, the epoch and `cx.rng` alone. That makes a run independent of the number of workers.
pub trait Augmentation: Send + Sync {
    /// What the run is like; once, on the main thread, before the first sample.
    ///
    /// # Errors
    /// An error stops the run before it starts.
    fn ready(&mut self, _run: &ReadyContext) -> Result<()> {
        Ok(())
    }

    /// How many further samples [`apply`](Self::apply) needs (mosaic 3, mixup 1); always the same number.
    fn partners(&self) -> usize {
        0
    }

    /// Changes `sample` in place. `partners` holds [`partners`](Self::partners) samples as they stand at this point
    /// of the pipeline; they may be taken apart.
    ///
    /// # Errors
    /// The run file's `on_error` decides what follows: `fail` stops the run, `skip` leaves the sample as it was,
    /// `disable` does without this augmentation from then on. The message names the augmentation and the image.
    fn apply(&self, sample: &mut Sample, partners: &mut [Sample], cx: &mut AugmentContext) -> Result<()>;
}

/// What an augmentation may know about the run.
pub struct AugmentContext<'a> {
    /// The only source of randomness; seeded by (run seed, epoch, sample index, stage).
    pub rng: &'a mut Rng,
    /// The current epoch, from 0.
    pub epoch: usize,
    /// The number of epochs of the run.
    pub epochs: usize,
    /// The side of the square network input, in pixels.
    pub imgsz: u32,
}
