//! The pictures in a run's directory, drawn on threads of their own so that no step waits for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Error, Result};
use trainer_image::Image;

use super::labels;
use super::sheet::Sheet;
use crate::checkpoint;
use crate::data::Dataset;
use crate::data::loader::RawBatch;
use crate::data::stats::LabelStats;

/// So many batches of a run are drawn, its first ones.
const BATCHES: usize = 3;

/// So many pictures of a batch are drawn, its first ones.
const PICTURES: usize = 16;

/// The side of a picture on the sheet, in pixels.
const SIDE: u32 = 480;

/// Writes `labels.png` and `train_batch0.jpg` to `train_batch2.jpg`. A picture that cannot be written never ends the
/// run; of several, the first is told of. Dropping it waits for those being drawn.
pub struct RunPictures {
    dir: PathBuf,
    is_on: bool,
    names: Arc<[String]>,
    has_failed: Arc<AtomicBool>,
    drawing: Vec<JoinHandle<()>>,
}

impl RunPictures {
    /// Pictures in the directory `dir` of a run; none at all unless `is_on`.
    #[must_use]
    pub fn new(dir: &Path, names: &[String], is_on: bool) -> Self {
        Self { dir: dir.to_owned(), is_on, names: names.into(), has_failed: Arc::default(), drawing: Vec::new() }
    }

    /// Draws the labels of the training images.
    pub fn labels(&mut self, set: Arc<Dataset>, imgsz: u32) {
        self.write("labels.png", move |names| {
            labels::draw(&LabelStats::of(&set.records, names.len(), imgsz), names, imgsz)?.png()
        });
    }

    /// Draws the batch of a step, counted from 0 over the whole run, if it is one of the first three: its first 16
    /// pictures after all augmentation. A run that goes on at a later step draws no earlier one again.
    pub fn batch(&mut self, step: usize, batch: &RawBatch) {
        if self.is_on && step < BATCHES {
            let shown = first_pictures(batch, PICTURES);
            let (count, all) = (shown.samples.len(), batch.samples.len());
            let side = batch.size.width;
            let title = format!("training batch {step}: {count} of {all} images as the network sees them at {side} px");
            self.write(&format!("train_batch{step}.jpg"), move |names| {
                Sheet { title: &title, names, side: SIDE }.draw(&shown)?.jpeg()
            });
        }
    }

    fn write(&mut self, name: &str, draw: impl FnOnce(&[String]) -> Result<Vec<u8>> + Send + 'static) {
        if !self.is_on {
            return;
        }
        let (path, names, has_failed) = (self.dir.join(name), Arc::clone(&self.names), Arc::clone(&self.has_failed));
        let tell = move |error: &Error| {
            if !has_failed.swap(true, Ordering::Relaxed) {
                tracing::warn!("{error:#}; the run goes on without its pictures");
            }
        };
        let shown = path.display().to_string();
        let work = {
            let tell = tell.clone();
            move || {
                let written = draw(&names).and_then(|bytes| checkpoint::write(&path, &bytes));
                written.unwrap_or_else(|error| tell(&error));
            }
        };
        match thread::Builder::new().name("pictures".into()).spawn(work) {
            Ok(thread) => self.drawing.push(thread),
            Err(error) => tell(&Error::new(error).context(format!("{shown} cannot be drawn"))),
        }
    }
}

impl Drop for RunPictures {
    fn drop(&mut self) {
        for thread in self.drawing.drain(..) {
            let _ = thread.join(); // a panic there was told of by the process's hook
        }
    }
}

/// The first `count` pictures of a batch with their objects.
fn first_pictures(batch: &RawBatch, count: usize) -> RawBatch {
    let bytes = (count * batch.size.area() * Image::CHANNELS).min(batch.pixels.len());
    RawBatch {
        pixels: batch.pixels[..bytes].to_vec().into(),
        size: batch.size,
        objects: batch.objects.iter().filter(|it| (it.image as usize) < count).cloned().collect(),
        samples: batch.samples.iter().take(count).cloned().collect(),
        skipped: Vec::new(),
    }
}
