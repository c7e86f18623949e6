//! Probe steps: forward, loss and backward of made-up images on a copy of the network, so that a run is left as it was.

use std::time::Instant;

use anyhow::{Context as _, Result};
use tch::Tensor;
use trainer_sdk::{Bbox, Matrix, Object, Rng, Size};

use super::{
    guarded, is_out_of_memory,
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
const LONG: f64 = 10.0;

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
        let pixels =
            (0..images * size.area() * 3).map(|i| (i.wrapping_mul(0x9e37_79b1) >> 7) as u8).collect::<Vec<_>>();
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
            match guarded(|| self.learn(&raw)) {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tch::{Device, Kind};

    use super::*;
    use crate::{
        loss::LossParameters,
        model::{Scale, Yolo12},
        registry::Registry,
        torch::Cpu,
    };

    fn probe(network: &Network) -> Probe {
        let links = vec![("detection".into(), Registry::built_in().loss("detection", "{}").unwrap())];
        let chain = LossChain::new(links, BTreeMap::new(), LossParameters::new(Kind::Float, Device::Cpu, true));
        Probe::new(network, chain, ProbeSize { side: 64, objects: 5, classes: 2 }).unwrap()
    }

    #[test]
    fn probing_leaves_the_network_as_it_was() {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 2);
        let network = Network::new(description, 3, Kind::Float, Device::Cpu).unwrap();
        let before = network.tensors().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>();
        let mut probe = probe(&network);
        let cost = probe.step(false, 2).unwrap().unwrap();
        let moved = probe.network.tensors().zip(&before).filter(|((_, now), before)| !now.equal(before)).count();
        assert!(moved > 100, "the copy's statistics have moved: {moved}");
        for ((spec, now), before) in network.tensors().zip(&before) {
            assert!(now.equal(before) && !now.grad().defined(), "{}", spec.name);
        }
        let weights = network.tensors().map(|(_, tensor)| 4 * tensor.numel() as u64).sum::<u64>();
        assert!(cost.bytes > 2 * weights && cost.seconds > 0.0, "weights and gradients at least: {cost:?}");
    }

    #[test]
    fn a_step_that_runs_out_of_memory_does_not_fit() {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 2);
        let mut probe = probe(&Network::new(description, 3, Kind::Float, Device::Cpu).unwrap());
        Cpu.fail(500);
        assert_eq!(probe.step(false, 2).unwrap(), None);
        assert!(probe.step(false, 2).unwrap().is_some(), "and the next one can");
    }

    #[test]
    fn images_have_objects_within() {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 2);
        let raw = probe(&Network::new(description, 3, Kind::Float, Device::Cpu).unwrap()).batch(3);
        assert_eq!((raw.samples.len(), raw.pixels.len(), raw.objects.len()), (3, 3 * 64 * 64 * 3, 15));
        for BatchObject { image, object } in &raw.objects {
            let Bbox { x1, y1, x2, y2 } = object.bbox;
            assert!(*image < 3 && object.class < 2);
            assert!(0.0 <= x1 && x1 <= x2 && x2 <= 64.0 && 0.0 <= y1 && y1 <= y2 && y2 <= 64.0);
        }
    }
}
