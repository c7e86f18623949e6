//! Augment: the run file's list of augmentations, applied in its order to one sample after another, on loader threads.
//!
//! In come decoded samples, out go samples on a square canvas of the network's input size, their pixels still lazy.

pub mod flip;
pub mod hsv;
pub mod letterbox;
pub mod mosaic;
pub mod perspective;

use anyhow::{Context, Result};
use trainer_sdk::{AugmentContext, Augmentation, Rng, Sample};

/// One entry of the list.
pub struct Stage {
    /// The augmentation's name, for messages.
    pub name: String,
    /// What it does.
    pub augmentation: Box<dyn Augmentation>,
}

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
        self.stages.iter().any(|stage| stage.augmentation.partners() > 0)
    }

    /// Takes the decoded sample at `position` through all stages. The outcome is a function of the seed, the epoch,
    /// its order and the position, whichever thread does it. Objects without area are dropped at the end.
    ///
    /// # Errors
    /// If a stage fails; the message names it and the picture.
    pub fn run(&self, sample: Sample, position: usize, epoch: &EpochContext) -> Result<Sample> {
        let mut sample = Line { root: position, epoch }.pass(&self.stages, sample, position)?;
        letterbox::letterbox(&mut sample, epoch.imgsz);
        sample.remove_empty_objects();
        Ok(sample)
    }
}

/// The way of one sample, and of the partners that it meets.
struct Line<'a> {
    /// The position of the sample that comes out.
    root: usize,
    epoch: &'a EpochContext<'a>,
}

impl Line<'_> {
    fn pass(&self, stages: &[Stage], mut sample: Sample, position: usize) -> Result<Sample> {
        let &EpochContext { seed, epoch, epochs, imgsz, order, .. } = self.epoch;
        sample.fit(imgsz);
        for (i, Stage { name, augmentation }) in stages.iter().enumerate() {
            let mut rng = Rng::from_key(&[seed, epoch as u64, order[position] as u64, i as u64]);
            let earlier = &stages[..i];
            let mut partners =
                (0..augmentation.partners()).map(|_| self.partner(earlier, &mut rng)).collect::<Result<Vec<_>>>()?;
            let mut cx = AugmentContext { rng: &mut rng, epoch, epochs, imgsz };
            augmentation
                .apply(&mut sample, &mut partners, &mut cx)
                .with_context(|| format!("augmentation {name} failed on {}", sample.path.display()))?;
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
pub(crate) mod testing;
#[cfg(test)]
mod tests;
