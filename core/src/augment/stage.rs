//! One entry of the list of augmentations, and what follows when it fails.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use trainer_image::Sample;
use trainer_sdk::{AugmentContext, Augmentation, Rng, sample_store};

use super::EpochContext;

/// What follows when an augmentation fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The run stops.
    #[default]
    Fail,
    /// The sample goes on as it was before.
    Skip,
    /// As `skip`, and from then on the augmentation is passed over. With several workers the sample at which this
    /// happens depends on their speed.
    Disable,
}

/// One augmentation at its place in the pipeline.
pub struct Stage {
    /// The augmentation's name, for messages.
    pub name: String,
    augmentation: Box<dyn Augmentation>,
    on_error: OnError,
    failures: AtomicUsize,
}

impl Stage {
    /// Puts an augmentation into a pipeline.
    #[must_use]
    pub fn new(name: &str, augmentation: Box<dyn Augmentation>, on_error: OnError) -> Self {
        Self { name: name.to_owned(), augmentation, on_error, failures: AtomicUsize::new(0) }
    }

    /// How many further samples it needs.
    #[must_use]
    pub fn partners(&self) -> usize {
        self.augmentation.partners()
    }

    pub(super) fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn is_disabled(&self) -> bool {
        self.on_error == OnError::Disable && self.failures() > 0
    }

    pub(super) fn apply(
        &self,
        sample: &mut Sample,
        partners: &mut [Sample],
        rng: &mut Rng,
        at: &EpochContext,
    ) -> Result<()> {
        let before = (self.on_error != OnError::Fail).then(|| sample.clone());
        let mut cx = AugmentContext { rng, epoch: at.epoch, epochs: at.epochs, imgsz: at.imgsz };
        let mut views: Vec<_> = partners.iter_mut().map(sample_store::view).collect();
        let outcome = self.augmentation.apply(&mut sample_store::view(sample), &mut views, &mut cx);
        let outcome =
            outcome.with_context(|| format!("augmentation {} failed on {}", self.name, sample.path.display()));
        match (outcome, before) {
            (Err(error), Some(before)) => {
                *sample = before;
                self.pass_over(&error);
                Ok(())
            }
            (outcome, _) => outcome,
        }
    }

    /// Counts a failure; tells of the 1st, 10th, 100th and so on.
    fn pass_over(&self, error: &anyhow::Error) {
        let count = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let what = if self.on_error == OnError::Skip { "skipped" } else { "disabled for the rest of the run" };
        if 10_usize.pow(count.ilog10()) == count {
            tracing::warn!("{error:#}; {what} (on_error), {count} so far");
        }
    }
}
