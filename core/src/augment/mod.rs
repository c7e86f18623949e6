//! Augment: the run file's list of augmentations, applied in its order to one sample after another, on loader threads.
//!
//! In come decoded samples, out go samples on a canvas of the network's input size, their pixels still lazy.

pub mod bgr;
pub mod blur;
pub mod clahe;
pub mod copy_paste;
pub mod cutmix;
pub mod flip;
pub mod gray;
pub mod hsv;
pub mod letterbox;
pub mod mixup;
pub mod mosaic;
pub mod perspective;
pub mod recipe;

mod pixels;
mod stage;

use anyhow::{Context, Result};
use trainer_image::{Sample, Size};
use trainer_sdk::{AugmentContext, Rng, sample_store};

pub use stage::{OnError, Stage};

/// The stages in order. Without any, samples are letterboxed, as for validation.
#[derive(Default)]
pub struct Pipeline {
    /// The stages in order.
    pub stages: Vec<Stage>,
}

/// What a pipeline needs to know of the epoch whose samples it makes.
pub struct EpochContext<'a> {
    /// The run's seed.
    pub seed: u64,
    /// The current epoch, from 0.
    pub epoch: usize,
    /// The number of epochs of the run.
    pub epochs: usize,
    /// The side of the network input, in pixels.
    pub imgsz: u32,
    /// The canvas of a rectangular batch, on which its samples enter; without one they leave on the square input.
    pub canvas: Option<Size>,
    /// The index in the data set of every position of this epoch.
    pub order: &'a [usize],
    /// How many positions back the partners of a sample may lie.
    pub window: usize,
    /// The decoded sample at a position, or an error where it cannot be read.
    pub decoded: &'a dyn Fn(usize) -> Result<Sample>,
}

impl Pipeline {
    /// Whether any stage mixes samples.
    #[must_use]
    pub fn has_partners(&self) -> bool {
        self.stages.iter().any(|stage| stage.partners() > 0)
    }

    /// How often the stage of that name has failed and was passed over.
    #[must_use]
    pub fn failures(&self, name: &str) -> usize {
        self.stages.iter().filter(|stage| stage.name == name).map(Stage::failures).sum()
    }

    /// Takes the decoded sample at `position` through all stages. The outcome is a function of the seed, the epoch,
    /// its order and the position, whichever thread does it. Objects without area are dropped at the end.
    ///
    /// # Errors
    /// If a stage fails; the message names it and the picture.
    pub fn run(&self, sample: Sample, position: usize, epoch: &EpochContext) -> Result<Sample> {
        let mut sample = Line { root: position, epoch }.pass(&self.stages, sample, position)?;
        let canvas = epoch.canvas.unwrap_or(Size::square(epoch.imgsz));
        letterbox::onto(&mut sample_store::view(&mut sample), canvas, f64::INFINITY)?;
        sample.remove_empty_objects();
        Ok(sample)
    }
}

/// Whether the last `close` epochs of the run have begun.
fn is_closed(close: usize, cx: &AugmentContext) -> bool {
    cx.epoch.saturating_add(close) >= cx.epochs
}

/// The way of one sample, and of the partners that it meets.
struct Line<'a> {
    /// The position of the sample that comes out.
    root: usize,
    epoch: &'a EpochContext<'a>,
}

impl Line<'_> {
    fn pass(&self, stages: &[Stage], mut sample: Sample, position: usize) -> Result<Sample> {
        let &EpochContext { seed, epoch, imgsz, order, canvas, .. } = self.epoch;
        sample.fit(imgsz);
        if let Some(canvas) = canvas {
            letterbox::onto(&mut sample_store::view(&mut sample), canvas, 1.0)?;
        }
        for (i, stage) in stages.iter().enumerate().filter(|(_, stage)| !stage.is_disabled()) {
            let mut rng = Rng::from_key(&[seed, epoch as u64, order[position] as u64, i as u64]);
            let earlier = &stages[..i];
            let mut partners =
                (0..stage.partners()).map(|_| self.partner(earlier, &mut rng)).collect::<Result<Vec<_>>>()?;
            stage.apply(&mut sample, &mut partners, &mut rng, self.epoch)?;
        }
        Ok(sample)
    }

    /// A random sample of the window before the root, as it leaves the `earlier` stages. In place of one that cannot
    /// be read the next one that can is taken; at the latest that is the root itself.
    fn partner(&self, earlier: &[Stage], rng: &mut Rng) -> Result<Sample> {
        let first = self.root.saturating_sub(self.epoch.window);
        let drawn = first + rng.below(self.root - first + 1);
        let readable = (drawn..=self.root).find_map(|at| Some((at, (self.epoch.decoded)(at).ok()?)));
        let (position, sample) = readable.context("no partner can be read")?;
        self.pass(earlier, sample, position)
    }
}

#[cfg(test)]
mod parity;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
