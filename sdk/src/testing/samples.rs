//! Augmentations on real pixels: the trainer's own samples, drawn by its own renderer.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use trainer_image::Sample;

use crate::{AugmentContext, Augmentation, Bbox, Image, Object, ReadyContext, Rng, Size, sample_store};

/// A sample of `size`: a picture whose red grows to the right, whose green grows downwards and whose blue is a
/// checkerboard of 8 pixels, with one object of class 0 in its middle, half as wide and as high.
///
/// # Panics
/// If a side is 0.
#[must_use]
pub fn picture(size: Size) -> Sample {
    let share = |at: u32, of: u32| (255 * u64::from(at) / u64::from(of.max(2) - 1)) as u8;
    let pixel = |x: u32, y: u32| {
        [share(x, size.width), share(y, size.height), if (x / 8 + y / 8).is_multiple_of(2) { 64 } else { 192 }]
    };
    let pixels = (0..size.height).flat_map(|y| (0..size.width).flat_map(move |x| pixel(x, y))).collect();
    let image = Image::rgb(size, pixels).unwrap_or_else(|reason| panic!("cannot make this picture: {reason:#}"));
    let mut sample = sample(image);
    let (width, height) = (size.width as f32, size.height as f32);
    sample.objects = vec![Object::new(0, Bbox::new(width / 4.0, height / 4.0, width * 3.0 / 4.0, height * 3.0 / 4.0))];
    sample
}

/// A sample of these pixels, without objects.
#[must_use]
pub fn sample(image: Image) -> Sample {
    let size = image.size();
    let mut sample = Sample::new(Arc::new(image), size);
    sample.path = Arc::from(Path::new("picture.png"));
    sample
}

/// Calls an augmentation as the trainer's loader does.
#[derive(Clone, Debug)]
pub struct AugmentBench {
    /// The run's seed; with it change the random numbers.
    pub seed: u64,
    /// The current epoch, from 0.
    pub epoch: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// The side of the square network input, in pixels.
    pub imgsz: u32,
}

impl Default for AugmentBench {
    /// The first of 100 epochs at 640 pixels.
    fn default() -> Self {
        Self { seed: 0, epoch: 0, epochs: 100, imgsz: 640 }
    }
}

impl AugmentBench {
    /// What the augmentation makes of `sample`, with as many [`picture`]s of its size as it asks for as partners.
    ///
    /// # Errors
    /// The augmentation's own.
    pub fn apply(&self, augmentation: &dyn Augmentation, sample: &Sample) -> Result<Sample> {
        let partners = (0..augmentation.partners()).map(|_| picture(sample.size())).collect();
        self.apply_with(augmentation, sample, partners)
    }

    /// As [`apply`](Self::apply), with these partners.
    ///
    /// # Errors
    /// The augmentation's own.
    pub fn apply_with(
        &self,
        augmentation: &dyn Augmentation,
        sample: &Sample,
        mut partners: Vec<Sample>,
    ) -> Result<Sample> {
        let mut sample = sample.clone();
        let mut rng = Rng::from_key(&[self.seed, self.epoch as u64, sample.id, 0]);
        let mut cx = AugmentContext { rng: &mut rng, epoch: self.epoch, epochs: self.epochs, imgsz: self.imgsz };
        let mut views: Vec<_> = partners.iter_mut().map(sample_store::view).collect();
        augmentation.apply(&mut sample_store::view(&mut sample), &mut views, &mut cx)?;
        Ok(sample)
    }

    /// What [`Augmentation::ready`] would be told.
    #[must_use]
    pub fn run(&self) -> ReadyContext {
        ReadyContext { imgsz: self.imgsz, epochs: self.epochs, seed: self.seed, ..ReadyContext::default() }
    }
}
