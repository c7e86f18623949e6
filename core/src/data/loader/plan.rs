//! The plan of an epoch: the order of the samples, and which of them make a batch of which size.

use std::ops::Range;

use trainer_sdk::{Rng, Size};

use super::{LoaderOptions, Source};
use crate::data::decode::fitted;

/// Sides of batches are multiples of this, the network's coarsest stride.
const STRIDE: u32 = 32;

/// An epoch's batches.
pub struct Plan {
    /// The index of the sample at every position of the epoch.
    pub order: Vec<usize>,
    /// The batches, one after the other.
    pub batches: Vec<Planned>,
}

/// One batch.
pub struct Planned {
    /// Of its samples.
    pub positions: Range<usize>,
    /// Of its pictures.
    pub size: Size,
}

impl Plan {
    /// The batches of `epoch`, a function of the seed, the epoch and the sizes of the images. Rectangular batches hold
    /// images of neighbouring aspects, drawn anew among equals; their own order is shuffled, too.
    pub fn new(source: &dyn Source, options: &LoaderOptions, epoch: usize) -> Self {
        let mut rng = Rng::from_key(&[options.seed, epoch as u64]);
        let count = source.len();
        let order = if options.shuffle { rng.permutation(count) } else { (0..count).collect() };
        match options.rect {
            None => Self::square(order, options),
            Some(pad) => Self::rectangular(order, source, options, pad, &mut rng),
        }
    }

    fn square(order: Vec<usize>, options: &LoaderOptions) -> Self {
        let size = Size::square(options.imgsz);
        let count = order.len();
        let starts = (0..count).step_by(options.batch);
        let batches = starts.map(|first| Planned { positions: first..count.min(first + options.batch), size });
        Self { batches: batches.collect(), order }
    }

    fn rectangular(
        mut order: Vec<usize>,
        source: &dyn Source,
        options: &LoaderOptions,
        pad: f64,
        rng: &mut Rng,
    ) -> Self {
        let size = |index: usize| source.size(index).unwrap_or(Size::square(1));
        let aspect = |index: usize| f64::from(size(index).height) / f64::from(size(index).width.max(1));
        order.sort_by(|&a, &b| aspect(a).total_cmp(&aspect(b))); // stable: equals stay shuffled
        let chunks: Vec<&[usize]> = order.chunks(options.batch).collect();
        let sequence = if options.shuffle { rng.permutation(chunks.len()) } else { (0..chunks.len()).collect() };
        let mut plan = Self { order: Vec::with_capacity(order.len()), batches: Vec::with_capacity(chunks.len()) };
        for chunk in sequence.into_iter().map(|i| chunks[i]) {
            let first = plan.order.len();
            plan.order.extend(chunk);
            let sizes = chunk.iter().map(|&index| fitted(size(index), options.imgsz));
            plan.batches.push(Planned { positions: first..plan.order.len(), size: enclosing(sizes, pad) });
        }
        plan
    }
}

/// The least size that holds all of `sizes`, with `pad` strides more and then rounded up to whole strides.
fn enclosing(sizes: impl Iterator<Item = Size>, pad: f64) -> Size {
    let most =
        sizes.fold(Size::default(), |most, size| Size::new(most.width.max(size.width), most.height.max(size.height)));
    let padded = |side: u32| (f64::from(side) / f64::from(STRIDE) + pad).ceil() as u32 * STRIDE;
    Size::new(padded(most.width), padded(most.height))
}

#[cfg(test)]
mod tests {
    use anyhow::{Result, bail};
    use trainer_image::Sample;

    use super::*;

    struct Sizes(Vec<Size>);

    impl Source for Sizes {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn load(&self, _: usize) -> Result<Sample> {
            bail!("there are only sizes")
        }

        fn size(&self, index: usize) -> Option<Size> {
            self.0.get(index).copied()
        }
    }

    fn options(rect: Option<f64>) -> LoaderOptions {
        LoaderOptions { batch: 2, imgsz: 640, epochs: 3, seed: 5, shuffle: true, rect, workers: 0, prefetch: 0 }
    }

    fn sizes(plan: &Plan) -> Vec<(u32, u32)> {
        plan.batches.iter().map(|batch| (batch.size.width, batch.size.height)).collect()
    }

    #[test]
    fn a_batch_is_as_large_as_its_images_need() {
        let of = |size, pad| {
            let sizes = [size, Size::new(640, 480)];
            let Size { width, height } = enclosing(sizes.into_iter().map(|size| fitted(size, 640)), pad);
            (width, height)
        };
        // ceil(480 / 32 + pad) * 32; half a stride more makes one of each whole number of strides
        assert_eq!((of(Size::new(640, 480), 0.0), of(Size::new(640, 480), 0.5)), ((640, 480), (672, 512)));
        assert_eq!((of(Size::new(500, 376), 0.0), of(Size::new(500, 376), 0.5)), ((640, 512), (672, 512)));
        assert_eq!((of(Size::new(427, 640), 0.0), of(Size::new(640, 640), 0.5)), ((640, 640), (672, 672)));
    }

    #[test]
    fn images_of_like_aspect_share_a_batch() {
        let (wide, tall, even) = (Size::new(640, 320), Size::new(480, 640), Size::square(100));
        let source = Sizes(vec![tall, wide, even, wide, tall, even, wide]);
        let in_order = LoaderOptions { shuffle: false, ..options(Some(0.0)) };
        let plan = Plan::new(&source, &in_order, 0);
        assert_eq!(plan.order, [1, 3, 6, 2, 5, 0, 4]);
        assert_eq!(sizes(&plan), [(640, 320), (640, 640), (640, 640), (480, 640)]);
        assert_eq!(plan.batches[3].positions, 6..7);
    }

    #[test]
    fn rectangular_batches_are_shuffled_by_seed_and_epoch() {
        let source = Sizes((0..21).map(|i| Size::new(640, 320 + 32 * (i / 4))).collect());
        let plan = |epoch, seed| Plan::new(&source, &LoaderOptions { seed, ..options(Some(0.0)) }, epoch);
        let (first, again) = (plan(0, 5), plan(0, 5));
        assert_eq!((&first.order, sizes(&first)), (&again.order, sizes(&again)));
        for other in [plan(1, 5), plan(0, 6)] {
            assert_ne!(sizes(&other), sizes(&first), "another order of the batches");
            assert_ne!(other.order, first.order);
            let mut sorted = other.order;
            sorted.sort_unstable();
            assert_eq!(sorted, (0..21).collect::<Vec<_>>(), "each image once");
            let ends: Vec<_> = other.batches.iter().map(|batch| batch.positions.end).collect();
            assert!(ends.is_sorted() && ends.last() == Some(&21));
        }
        assert_eq!(Plan::new(&Sizes(Vec::new()), &options(Some(0.5)), 0).batches.len(), 0);
    }
}
