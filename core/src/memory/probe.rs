//! Probe steps: forward, loss and backward of made-up images on a copy of the network, so that a run is left as it was.

use std::time::Instant;

use anyhow::{Context as _, Result};
use tch::Tensor;
use trainer_sdk::{Bbox, Matrix, Object, Rng, Size};

use super::{
    is_out_of_memory,
    planner::{Cost, Measure},
};
use crate::{
    batch::Part,
    data::loader::{BatchObject, RawBatch, SampleInfo},
    loss::{LossChain, LossPoint},
    model::{Network, Training},
    torch::{Allocator, RandomState, allocator},
    train::learn,
};

/// A step is taken twice unless it takes longer than this, in seconds: the first of a size sets kernels up.
const LONG: f64 = 4.0;

/// What is probed.
pub struct Probe {
    network: Network,
    chain: LossChain,
    size: ProbeSize,
    allocator: &'static dyn Allocator,
    /// Bytes of tensors before the copy.
    base: u64,
    random: RandomState,
}

/// The images of probe steps.
#[derive(Clone, Copy, Debug)]
pub struct ProbeSize {
    /// Their side in pixels.
    pub side: u32,
    /// Objects in each.
    pub objects: usize,
    /// Classes of the objects.
    pub classes: usize,
}

impl Probe {
    /// A copy of `network`, and a chain that serves nothing else.
    ///
    /// # Errors
    /// If there is no memory for the copy.
    pub fn new(network: &Network, chain: LossChain, size: ProbeSize) -> Result<Self> {
        let (allocator, random) = (allocator(network.device())?, RandomState::of(network.device())?);
        let base = allocator.allocated();
        let copy = |tensor: &Tensor| -> Result<Tensor> {
            let mut copy = tensor.detach().f_empty_like()?;
            copy.f_copy_(&tensor.detach())?;
            Ok(copy.f_set_requires_grad(tensor.requires_grad())?)
        };
        let copies = network.tensors().map(|(spec, tensor)| Ok((spec.name.clone(), copy(tensor)?)));
        let network = network.with_tensors(copies.collect::<Result<_>>()?);
        Ok(Self { network, chain, size, allocator, base, random })
    }

    /// Noise with boxes of all sizes.
    fn batch(&self, images: usize) -> RawBatch {
        let ProbeSize { side, objects, classes } = self.size;
        let mut rng = Rng::from_key(&[images as u64, u64::from(side)]);
        let size = Size::square(side);
        let pixels = (0..images * size.area() * 3).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 7) as u8).collect::<Vec<_>>();
        let mut object = |image: usize| {
            let mut edges = [0.0; 4].map(|_: f64| rng.uniform(0.0, f64::from(side)) as f32);
            edges[..2].sort_by(f32::total_cmp);
            edges[2..].sort_by(f32::total_cmp);
            let bbox = Bbox::new(edges[0], edges[2], edges[1], edges[3]);
            BatchObject { image: image as u32, object: Object::new(rng.below(classes) as u32, bbox) }
        };
        let objects = (0..images * objects).map(|i| object(i / objects)).collect();
        let path = std::path::Path::new("probe").into();
        let sample = SampleInfo { id: 0, path, original: size, to_input: Matrix::IDENTITY };
        RawBatch { pixels: pixels.into(), size, objects, samples: vec![sample; images], skipped: Vec::new() }
    }

    /// One step; its loss is read, so that a device is done.
    fn learn(&mut self, raw: &RawBatch) -> Result<()> {
        let part = Part::whole(raw, self.size.side as usize);
        let loss = learn(&part, &mut self.network, &mut self.chain, LossPoint { epochs: 1, ..LossPoint::default() })?;
        f64::try_from(&loss.total)?;
        Ok(())
    }
}

impl Measure for Probe {
    fn step(&mut self, checkpointing: bool, images: usize) -> Result<Option<Cost>> {
        self.network.set_training(Training { checkpointing, ..self.network.training() });
        let raw = self.batch(images);
        let mut cost = Cost { bytes: 0, seconds: f64::INFINITY };
        for _ in 0..2 {
            self.allocator.reset_peak();
            let start = Instant::now();
            match self.learn(&raw) {
                Ok(()) => {}
                Err(error) if is_out_of_memory(&error) => {
                    self.allocator.release_unused();
                    return Ok(None);
                }
                Err(error) => return Err(error.context("a step that was to measure its memory has failed")),
            }
            cost.seconds = cost.seconds.min(start.elapsed().as_secs_f64());
            cost.bytes = cost.bytes.max(self.allocator.peak().saturating_sub(self.base));
            if cost.seconds > LONG {
                break;
            }
        }
        Ok(Some(cost))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let Err(error) = self.random.restore().context("after probing") {
            tracing::warn!("{error:#}");
        }
    }
}
