//! What the tests of augmentations share: a made-up sample, and one call with a fixed seed.

use std::sync::Arc;

use trainer_image::Sample;
use trainer_sdk::{AugmentContext, Augmentation, Bbox, Image, Object, Rng, Size, sample_store};

/// The input size of these tests.
pub const IMGSZ: u32 = 64;

/// A picture of gradients with one object in its middle, a quarter of its area.
pub fn sample(width: u32, height: u32) -> Sample {
    let size = Size::new(width, height);
    let pixels = (0..size.area()).flat_map(|i| [i as u8, (i * 5) as u8, (i * 11) as u8]).collect();
    let mut sample = Sample::new(Arc::new(Image::rgb(size, pixels).unwrap()), size);
    let (w, h) = (width as f32 / 4.0, height as f32 / 4.0);
    sample.objects.push(Object::new(0, Bbox::new(w, h, 3.0 * w, 3.0 * h)));
    sample
}

/// One call, in the first of 100 epochs.
pub fn apply(augmentation: &impl Augmentation, sample: Sample, partners: &mut [Sample]) -> Sample {
    apply_in(0, 100, augmentation, sample, partners)
}

/// One call in the given epoch.
pub fn apply_in(
    epoch: usize,
    epochs: usize,
    augmentation: &impl Augmentation,
    mut sample: Sample,
    partners: &mut [Sample],
) -> Sample {
    let mut rng = Rng::from_key(&[7]);
    let mut cx = AugmentContext { rng: &mut rng, epoch, epochs, imgsz: IMGSZ };
    let mut partners: Vec<_> = partners.iter_mut().map(sample_store::view).collect();
    augmentation.apply(&mut sample_store::view(&mut sample), &mut partners, &mut cx).unwrap();
    sample
}
