//! Loader: worker threads that turn the samples of an epoch into batches of pixels and objects, free of tensors.
//!
//! Batches come in order and are the same for any number of workers: each is a function of seed, epoch and number.
//! Threads take samples, not batches, so that all of them work on the batch that is needed next.

mod batches;
mod buffers;
mod plan;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use trainer_image::Sample;
use trainer_sdk::{Matrix, Object, Size};

pub use batches::{Batches, Queue};
pub use buffers::{Block, Buffer, Buffers, Heap, Memory};

use plan::Plan;
use work::Work;

use crate::augment::Pipeline;

/// Samples by index; called from several threads at once.
pub trait Source: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// Reads one sample, `index` below [`len`](Self::len).
    ///
    /// # Errors
    /// If it cannot be read; the loader then leaves it out and goes on.
    fn load(&self, index: usize) -> Result<Sample>;

    /// The number of classes, where there is one: the class of every object is below it.
    fn num_classes(&self) -> Option<u32> {
        None
    }

    /// The upright size of a sample's image where it is known without reading it; rectangular batches go by it.
    fn size(&self, _index: usize) -> Option<Size> {
        None
    }

    /// What to call a sample that cannot be read.
    fn path(&self, index: usize) -> PathBuf {
        PathBuf::from(format!("sample {index}"))
    }

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a [`Loader`] works.
#[derive(Clone, Debug)]
pub struct LoaderOptions {
    /// Samples in a batch, at least 1; the last one of an epoch may be smaller.
    pub batch: usize,
    /// The side of the square network input, in pixels.
    pub imgsz: u32,
    /// The number of epochs of the run, for augmentations that look ahead.
    pub epochs: usize,
    /// The run's seed.
    pub seed: u64,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// Whether batches are rectangles that images of like aspect fill, instead of squares of `imgsz`: how many strides
    /// of 32 px larger than these, before whole strides are made of it (0 for training, 0.5 for validation).
    pub rect: Option<f64>,
    /// Threads; 0 works in the calling thread.
    pub workers: usize,
    /// Batches that may wait or be in work, beside the one that the threads need for themselves.
    pub prefetch: usize,
}

/// A batch as the loader makes it. Where samples are left out it holds fewer, down to none.
#[derive(Clone, Debug, PartialEq)]
pub struct RawBatch {
    /// N x height x width x 3 bytes: R G B, row by row, picture by picture.
    pub pixels: Buffer,
    /// Height and width.
    pub size: Size,
    /// The objects of all pictures, in the order of the pictures.
    pub objects: Vec<BatchObject>,
    /// The N samples.
    pub samples: Vec<SampleInfo>,
    /// The samples left out, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// An object of a batch, in pixels of its picture.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchObject {
    /// Index of the picture in the batch.
    pub image: u32,
    /// What and where.
    pub object: Object,
}

/// Where a picture of a batch comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleInfo {
    /// Number of the sample in its data set.
    pub id: u64,
    /// Its file.
    pub path: Arc<Path>,
    /// The file's upright width and height.
    pub original: Size,
    /// Leads from pixels of the file to pixels of the network input.
    pub to_input: Matrix,
}

/// Makes the batches of any epoch.
pub struct Loader {
    source: Arc<dyn Source>,
    pipeline: Arc<Pipeline>,
    buffers: Arc<Buffers>,
    options: LoaderOptions,
}

impl Loader {
    /// Joins a source and a pipeline; batches lie in ordinary memory.
    ///
    /// # Panics
    /// If the batch size is 0.
    #[must_use]
    pub fn new(source: Arc<dyn Source>, pipeline: Pipeline, options: LoaderOptions) -> Self {
        assert!(options.batch > 0, "a batch holds at least one sample");
        Self { source, pipeline: Arc::new(pipeline), buffers: Buffers::new(Heap), options }
    }

    /// The same loader with its batches in `buffers`, which may be another loader's, too.
    #[must_use]
    pub fn with_buffers(self, buffers: Arc<Buffers>) -> Self {
        Self { buffers, ..self }
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn num_batches(&self) -> usize {
        self.source.len().div_ceil(self.options.batch)
    }

    /// The batches of an epoch, counted from 0.
    #[must_use]
    pub fn epoch(&self, epoch: usize) -> Batches {
        self.epoch_from(epoch, 0)
    }

    /// The batches of an epoch from number `first` on, the same that [`epoch`](Self::epoch) gives there.
    #[must_use]
    pub fn epoch_from(&self, epoch: usize, first: usize) -> Batches {
        let Self { source, pipeline, buffers, options } = self;
        let plan = Plan::new(&**source, options, epoch);
        let work = Work::new(Arc::clone(source), Arc::clone(pipeline), options.clone(), epoch, plan);
        Batches::start(Arc::new(work), Arc::clone(buffers), first)
    }
}

#[cfg(test)]
mod tests;
