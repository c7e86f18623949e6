//! Samples for augmentations: pictures of several sizes with none, one or many objects.

use anyhow::Result;
use trainer_image::Sample;
use trainer_sdk::{
    Augmentation, Bbox, Object, Rng, Size,
    testing::{AugmentBench, picture},
};

/// Classes of the simulated data set.
pub const CLASSES: u32 = 80;

const SIZES: [(u32, u32); 6] = [(1, 1), (7, 5), (640, 480), (64, 200), (320, 320), (33, 31)];
const OBJECTS: [usize; 4] = [0, 1, 3, 100];

/// The sample of that number.
pub fn sample(number: u64, rng: &mut Rng) -> Sample {
    let (width, height) = SIZES[number as usize % SIZES.len()];
    let mut sample = picture(Size::new(width, height));
    sample.id = number;
    let count = OBJECTS[number as usize / SIZES.len() % OBJECTS.len()];
    sample.objects = (0..count).map(|at| object(at, f64::from(width), f64::from(height), rng)).collect();
    sample
}

/// An object: some have an outline, some are crowds.
fn object(at: usize, width: f64, height: f64, rng: &mut Rng) -> Object {
    let mut ends = |side: f64| {
        let (a, b) = (rng.uniform(0.0, side), rng.uniform(0.0, side));
        (a.min(b) as f32, a.max(b) as f32)
    };
    let ((x1, x2), (y1, y2)) = (ends(width), ends(height));
    let mut object = Object::new(at as u32 % CLASSES, Bbox::new(x1, y1, x2, y2));
    object.crowd = at % 5 == 4;
    if at % 3 == 1 {
        object.polygon = vec![[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
    }
    object
}

/// One call as the trainer's loader makes it, with as many partners as asked for.
pub fn apply(augmentation: &dyn Augmentation, number: u64, seed: u64) -> Result<Sample> {
    let mut rng = Rng::from_key(&[seed, number]);
    let bench = AugmentBench { seed, epoch: (number % 100) as usize, ..AugmentBench::default() };
    let first = sample(number, &mut rng);
    let partners = (1..=augmentation.partners() as u64).map(|at| sample(number + at, &mut rng)).collect();
    bench.apply_with(augmentation, &first, partners)
}

/// All that can be seen of a sample: objects, size and pixels.
pub fn bytes(sample: &Sample) -> Vec<u8> {
    let mut bytes = format!("{:?} {:?}", sample.size(), sample.objects).into_bytes();
    bytes.extend(sample.render());
    bytes
}
