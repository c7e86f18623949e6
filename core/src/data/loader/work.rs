//! The work of one epoch: reading samples, each once, and putting them through the pipeline into their batches' pixels.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Error, Result, bail, ensure};
use trainer_image::Sample;
use trainer_sdk::{Object, Size};

use super::plan::Plan;
use super::{LoaderOptions, SampleInfo, Source};
use crate::augment::{EpochContext, Pipeline};
use crate::data::decode::panic_text;

/// One epoch, shared by its threads.
pub struct Work {
    source: Arc<dyn Source>,
    pipeline: Arc<Pipeline>,
    pub options: LoaderOptions,
    epoch: usize,
    pub plan: Plan,
    /// How far back the partners of a position may lie.
    window: usize,
    decoded: Mutex<Decoded>,
    stopped: AtomicBool,
}

/// Samples as read, by position; each is read by the thread that needs it first while others wait.
type Decoded = HashMap<usize, Arc<OnceLock<Result<Sample, String>>>>;

/// What became of a sample.
pub enum Made {
    /// Its pixels are drawn; these are its objects.
    Drawn(SampleInfo, Vec<Object>),
    /// It cannot be read.
    Skipped(PathBuf, String),
}

impl Work {
    /// The work of `epoch` as it is planned.
    pub fn new(
        source: Arc<dyn Source>,
        pipeline: Arc<Pipeline>,
        options: LoaderOptions,
        epoch: usize,
        plan: Plan,
    ) -> Self {
        let window = plan.order.len().min(options.batch.saturating_mul(8)).min(1000);
        Self {
            window: if pipeline.has_partners() { window } else { 0 },
            source,
            pipeline,
            options,
            epoch,
            plan,
            decoded: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Makes the sample at `position` and draws it into `pixels`, a picture of `size`. A panic on the way becomes an
    /// error that names the sample.
    pub fn sample(&self, position: usize, size: Size, pixels: &mut [u8]) -> Result<Made> {
        ensure!(!self.stopped.load(Ordering::Relaxed), "the loader was stopped");
        catch_unwind(AssertUnwindSafe(|| self.make(position, size, pixels))).unwrap_or_else(|panic| {
            let path = self.source.path(self.plan.order[position]);
            bail!("loading {} panicked: {}", path.display(), panic_text(&*panic))
        })
    }

    fn make(&self, position: usize, size: Size, pixels: &mut [u8]) -> Result<Made> {
        let LoaderOptions { seed, epochs, imgsz, rect, .. } = self.options;
        let sample = match self.decode(position) {
            Ok(sample) => sample,
            Err(reason) => return Ok(Made::Skipped(self.source.path(self.plan.order[position]), reason)),
        };
        let decoded = |position| self.decode(position).map_err(Error::msg);
        let (epoch, order, window) = (self.epoch, &self.plan.order, self.window);
        let canvas = rect.map(|_| size);
        let context = EpochContext { seed, epoch, epochs, imgsz, canvas, order, window, decoded: &decoded };
        let sample = self.pipeline.run(sample, position, &context)?;
        if let Some(count) = self.source.num_classes()
            && let Some(object) = sample.objects.iter().find(|object| object.class >= count)
        {
            let path = sample.path.display();
            bail!("the augmentations give {path} an object of class {}; the data has {count} classes", object.class);
        }
        sample.render_into(pixels);
        let info = SampleInfo {
            id: sample.id,
            path: Arc::clone(&sample.path),
            original: sample.original(),
            to_input: *sample.from_original(),
        };
        Ok(Made::Drawn(info, sample.objects))
    }

    fn decode(&self, position: usize) -> Result<Sample, String> {
        let read = || self.source.load(self.plan.order[position]).map_err(|error| format!("{error:#}"));
        if self.window == 0 {
            return read(); // nobody else needs it
        }
        let cell = Arc::clone(self.decoded().entry(position).or_default()); // the lock ends here, before the reading
        cell.get_or_init(read).clone()
    }

    /// Lets the samples in work be the last; those that are left end at once, with an error.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Drops the read samples that batch `number` was the last to need.
    pub fn forget_up_to(&self, number: usize) {
        let oldest = |number: usize| {
            let first = self.plan.batches.get(number).map_or(self.plan.order.len(), |batch| batch.positions.start);
            first.saturating_sub(self.window)
        };
        let mut decoded = self.decoded();
        let gone: Vec<_> = (oldest(number)..oldest(number + 1)).filter_map(|at| decoded.remove(&at)).collect();
        drop(decoded);
        drop(gone); // many pixels: without the lock
    }

    fn decoded(&self) -> MutexGuard<'_, Decoded> {
        self.decoded.lock().unwrap_or_else(PoisonError::into_inner) // no code that could panic runs under this lock
    }
}
