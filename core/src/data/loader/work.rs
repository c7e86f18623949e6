//! The work of one epoch: reading samples, each once, and putting them through the pipeline into batches.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Error, Result, bail, ensure};
use trainer_image::Sample;
use trainer_sdk::{Image, Size};

use super::{BatchObject, LoaderOptions, RawBatch, SampleInfo, Source};
use crate::augment::{EpochContext, Pipeline};

/// One epoch, shared by its threads.
pub struct Work {
    source: Arc<dyn Source>,
    pipeline: Arc<Pipeline>,
    pub options: LoaderOptions,
    epoch: usize,
    /// The index of the sample at every position of the epoch.
    order: Vec<usize>,
    /// How far back the partners of a position may lie.
    window: usize,
    decoded: Mutex<Decoded>,
    stopped: AtomicBool,
}

/// Samples as read, by position; each is read by the thread that needs it first while others wait.
type Decoded = HashMap<usize, Arc<OnceLock<Result<Sample, String>>>>;

impl Work {
    /// The work of `epoch`, whose samples come in the given order.
    pub fn new(
        source: Arc<dyn Source>,
        pipeline: Arc<Pipeline>,
        options: LoaderOptions,
        epoch: usize,
        order: Vec<usize>,
    ) -> Self {
        let window = order.len().min(options.batch.saturating_mul(8)).min(1000);
        Self {
            window: if pipeline.has_partners() { window } else { 0 },
            source,
            pipeline,
            options,
            epoch,
            order,
            decoded: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Makes one batch; a panic on the way becomes an error that names the sample.
    pub fn batch(&self, number: usize) -> Result<RawBatch> {
        let first = number * self.options.batch;
        let last = (first + self.options.batch).min(self.order.len());
        let current = Cell::new(first);
        catch_unwind(AssertUnwindSafe(|| {
            let size = Size::square(self.options.imgsz);
            let pixels = Vec::with_capacity((last - first) * size.area() * Image::CHANNELS);
            let mut batch = RawBatch { pixels, size, objects: Vec::new(), samples: Vec::new(), skipped: Vec::new() };
            for position in first..last {
                ensure!(!self.stopped.load(Ordering::Relaxed), "the loader was stopped");
                current.set(position);
                self.add(position, &mut batch)?;
            }
            Ok(batch)
        }))
        .unwrap_or_else(|panic| {
            let path = self.source.path(self.order[current.get()]);
            bail!("loading {} panicked: {}", path.display(), panic_text(&*panic))
        })
    }

    /// Appends the sample at `position`, or its name where it cannot be read.
    fn add(&self, position: usize, batch: &mut RawBatch) -> Result<()> {
        let LoaderOptions { seed, epochs, imgsz, .. } = self.options;
        let sample = match self.decode(position) {
            Ok(sample) => sample,
            Err(reason) => {
                batch.skipped.push((self.source.path(self.order[position]), reason));
                return Ok(());
            }
        };
        let decoded = |position| self.decode(position).map_err(Error::msg);
        let (epoch, order, window) = (self.epoch, &self.order, self.window);
        let context = EpochContext { seed, epoch, epochs, imgsz, order, window, decoded: &decoded };
        let sample = self.pipeline.run(sample, position, &context)?;
        if let Some(count) = self.source.num_classes()
            && let Some(object) = sample.objects.iter().find(|object| object.class >= count)
        {
            let path = sample.path.display();
            bail!("the augmentations give {path} an object of class {}; the data has {count} classes", object.class);
        }

        let start = batch.pixels.len();
        batch.pixels.resize(start + batch.size.area() * Image::CHANNELS, 0);
        sample.render_into(&mut batch.pixels[start..]);
        let image = batch.samples.len() as u32;
        batch.samples.push(SampleInfo {
            id: sample.id,
            path: Arc::clone(&sample.path),
            original: sample.original(),
            to_input: *sample.from_original(),
        });
        batch.objects.extend(sample.objects.into_iter().map(|object| BatchObject { image, object }));
        Ok(())
    }

    fn decode(&self, position: usize) -> Result<Sample, String> {
        let cell = Arc::clone(self.decoded().entry(position).or_default()); // the lock ends here, before the reading
        let read = || self.source.load(self.order[position]).map_err(|error| format!("{error:#}"));
        cell.get_or_init(read).clone()
    }

    /// Lets the batches in work end early, with an error.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Drops the read samples that no batch from `number` on needs.
    pub fn forget_before(&self, number: usize) {
        let oldest = (number * self.options.batch).saturating_sub(self.window);
        self.decoded().retain(|&position, _| position >= oldest);
    }

    fn decoded(&self) -> MutexGuard<'_, Decoded> {
        self.decoded.lock().unwrap_or_else(PoisonError::into_inner) // no code that could panic runs under this lock
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
