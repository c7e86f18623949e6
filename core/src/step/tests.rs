//! Batches in parts against whole ones, and against memory that runs out in the middle.

use std::{collections::BTreeMap, path::Path};

use tch::Device;
use trainer_sdk::{Bbox, Loss, LossContext, Matrix, Object, Rates, Size, Targets};

use super::*;
use crate::{
    data::loader::{BatchObject, RawBatch, SampleInfo},
    loss::LossParameters,
    model::{Scale, Yolo12},
    optimizer::{Algorithm, Optimizer, Rule},
    registry::Registry,
    torch::Cpu,
    train::learn,
};

const SIDE: u32 = 64;

/// A loss with state: how often it was asked for targets.
struct Calls(u64);

impl Loss for Calls {
    fn targets(&mut self, _targets: &mut Targets, _cx: &LossContext) -> Result<()> {
        self.0 += 1;
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        Ok(self.0.to_le_bytes().to_vec())
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        self.0 = u64::from_le_bytes(state.try_into()?);
        Ok(())
    }
}

/// A network with its losses, and a step.
struct Bench {
    network: Network,
    chain: LossChain,
    step: Step,
}

impl Bench {
    fn new(kind: Kind, micro_batch: usize, normaliser: Normaliser) -> Self {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 2);
        let network = Network::new(description, 3, kind, Device::Cpu).unwrap();
        let detection = Registry::built_in().loss("detection", "{}").unwrap();
        let links: Vec<(String, Box<dyn Loss>)> =
            vec![("detection".into(), detection), ("calls".into(), Box::new(Calls(0)))];
        let chain = LossChain::new(links, BTreeMap::new(), LossParameters::new(kind, Device::Cpu, true));
        let step = Step::new(&network, micro_batch, Care::Auto, normaliser).unwrap();
        Self { network, chain, step }
    }

    fn learn(&mut self, raw: &RawBatch) -> Result<LossValues> {
        let at = LossPoint { epochs: 1, ..LossPoint::default() };
        self.step.gradients(&Part::whole(raw, SIDE as usize), &mut self.network, &mut self.chain, at, learn)
    }

    /// All gradients, one after the other.
    fn gradients(&self) -> Tensor {
        Tensor::cat(&trained(&self.network, &self.chain).map(|p| p.grad().reshape([-1])).collect::<Vec<_>>(), 0)
    }

    fn all_equal(&self, other: &Self) -> bool {
        let tensors = self.network.tensors().zip(other.network.tensors());
        tensors.into_iter().all(|((_, a), (_, b))| a.equal(b))
            && self.gradients().equal(&other.gradients())
            && self.chain.state().unwrap() == other.chain.state().unwrap()
    }
}

/// Images of noise; those with the same seed are the same. `objects` are numbers of objects.
fn batch(seeds: &[u64], objects: &[usize]) -> RawBatch {
    let size = Size::square(SIDE);
    let pixel = |i: usize, seed: u64| {
        ((i as u64 + 1).wrapping_mul(2 * seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    };
    let pixels = seeds.iter().flat_map(|&seed| (0..size.area() * 3).map(move |i| pixel(i, seed))).collect::<Vec<_>>();
    let object = |image: usize, i: usize| {
        let corner = 3.0 + 8.0 * i as f32;
        let object = Object::new(i as u32 % 2, Bbox::new(corner, 5.0, corner + 22.0, 40.0));
        BatchObject { image: image as u32, object }
    };
    let objects = objects.iter().enumerate().flat_map(|(image, &n)| (0..n).map(move |i| object(image, i))).collect();
    let sample = |id| SampleInfo { id, path: Path::new("a").into(), original: size, to_input: Matrix::IDENTITY };
    let samples = (0..seeds.len() as u64).map(sample).collect();
    RawBatch { pixels: pixels.into(), size, objects, samples, skipped: Vec::new() }
}

/// The largest difference, as a share of the largest value.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[]) / a.abs().max().double_value(&[])
}

#[test]
fn with_the_batch_as_normaliser_parts_give_the_gradients_of_the_whole() {
    // Both parts show the same two images, so that BatchNorm's statistics are those of the whole; their objects differ.
    let raw = batch(&[1, 2, 1, 2], &[1, 0, 3, 2]);
    let run = |micro_batch, normaliser| {
        let mut bench = Bench::new(Kind::Double, micro_batch, normaliser);
        let loss = bench.learn(&raw).unwrap();
        (bench.gradients(), loss.total.double_value(&[]), loss.values().unwrap())
    };
    let (whole, total, terms) = run(4, Normaliser::Batch);
    let (parts, parts_total, parts_terms) = run(2, Normaliser::Batch);
    let apart = difference(&whole, &parts);
    assert!(apart < 1e-10, "{apart:e}");
    assert!((total - parts_total).abs() < 1e-10 * total, "{total} {parts_total}");
    for ((name, term), (other, part)) in terms.iter().zip(&parts_terms) {
        assert!(name == other && (term - part).abs() < 1e-10 * term, "{name} {term} {other} {part}");
    }
    let (micro, ..) = run(2, Normaliser::Micro);
    let apart = difference(&whole, &micro);
    assert!(apart > 1e-2, "normalised for themselves they differ: {apart:e}");
}

#[test]
fn one_part_is_the_whole_to_the_bit() {
    let raw = batch(&[1, 2], &[2, 1]);
    let (mut step, mut direct) =
        (Bench::new(Kind::Float, 2, Normaliser::Batch), Bench::new(Kind::Float, 2, Normaliser::Micro));
    let loss = step.learn(&raw).unwrap();
    let part = Part::whole(&raw, SIDE as usize);
    let at = LossPoint { epochs: 1, ..LossPoint::default() };
    let wanted = learn(&part, &mut direct.network, &mut direct.chain, at).unwrap();
    assert_eq!(loss.values().unwrap(), wanted.values().unwrap());
    assert!(step.all_equal(&direct));
}

#[test]
fn the_pass_for_the_normaliser_leaves_no_trace() {
    let raw = batch(&[1, 2, 3, 4], &[1, 0, 3, 2]);
    let (mut batch, mut micro) =
        (Bench::new(Kind::Float, 2, Normaliser::Batch), Bench::new(Kind::Float, 2, Normaliser::Micro));
    batch.learn(&raw).unwrap();
    micro.learn(&raw).unwrap();
    assert!(!batch.gradients().equal(&micro.gradients()));
    for ((spec, a), (_, b)) in batch.network.tensors().zip(micro.network.tensors()) {
        assert!(a.equal(b), "{}", spec.name);
    }
    assert_eq!(batch.chain.state().unwrap(), micro.chain.state().unwrap());
    let tracked = batch.network.tensors().find(|(spec, _)| spec.name.ends_with("num_batches_tracked")).unwrap().1;
    assert_eq!(tracked.int64_value(&[]), 2, "statistics move once for each part");
}

/// Allocations that a thread makes in a batch of four until the loss is there, and in all.
fn allocations(raw: &RawBatch) -> (u64, u64) {
    let mut bench = Bench::new(Kind::Float, 4, Normaliser::Micro);
    bench.learn(raw).unwrap();
    let start = Cpu.made();
    bench.learn(raw).unwrap();
    let all = Cpu.made() - start;
    let start = Cpu.made();
    let batch = Part::whole(raw, SIDE as usize).load(Kind::Float, Device::Cpu).unwrap();
    let anchors = Anchors::new(i64::from(SIDE), i64::from(SIDE), Kind::Float, Device::Cpu);
    let predictions = bench.network.forward_train(&batch.images).unwrap();
    let at =
        LossPoint { size: (i64::from(SIDE), i64::from(SIDE)), image_ids: &batch.image_ids, ..LossPoint::default() };
    bench.chain.evaluate(&predictions, &anchors, &batch.objects, at).unwrap();
    (Cpu.made() - start, all)
}

#[test]
fn a_step_that_runs_out_of_memory_is_repeated_in_smaller_parts() {
    let (first, second) = (batch(&[5, 6, 7, 8], &[1, 1, 2, 0]), batch(&[1, 2, 3, 4], &[1, 0, 3, 2]));
    let mut wanted = Bench::new(Kind::Float, 4, Normaliser::Micro);
    wanted.learn(&first).unwrap();
    let earlier = wanted.gradients().copy();
    wanted.step.micro_batch = 2;
    wanted.learn(&second).unwrap();
    assert!(difference(&earlier, &wanted.gradients()) > 0.1, "gradients of both batches");

    let (forward, all) = allocations(&second);
    assert!(forward > 500 && all > forward + 500, "{forward} {all}");
    for number in (0..16).map(|i| 10 + i * (all - 20) / 15) {
        let mut bench = Bench::new(Kind::Float, 4, Normaliser::Micro);
        bench.learn(&first).unwrap();
        Cpu.fail(number);
        bench.learn(&second).unwrap();
        assert_eq!((bench.step.micro_batch, bench.step.halvings), (2, 1), "allocation {number} of {all}");
        assert!(bench.all_equal(&wanted), "allocation {number} of {all}");
    }
}

#[test]
fn with_one_image_at_a_time_the_run_ends_with_advice() {
    let raw = batch(&[1, 2], &[1, 1]);
    let mut bench = Bench::new(Kind::Float, 1, Normaliser::Micro);
    Cpu.fail(300);
    let message = format!("{:#}", bench.learn(&raw).unwrap_err());
    let (start, end) = (
        "out of memory with one image at a time: CPU out of memory: an allocation of ",
        " bytes was made \
        to fail; take a smaller imgsz or model, set gradient_checkpointing=True, or give more memory (memory_budget, where \
        one is set)",
    );
    assert!(message.starts_with(start) && message.ends_with(end), "{message}");
    assert!(bench.learn(&raw).is_ok(), "nothing is left in between");
}

#[test]
fn without_care_nothing_is_repeated() {
    let raw = batch(&[1, 2], &[1, 1]);
    let mut bench = Bench::new(Kind::Float, 2, Normaliser::Micro);
    bench.step.care = Care::Off;
    Cpu.fail(300);
    let error = bench.learn(&raw).unwrap_err();
    assert!(is_out_of_memory(&error) && !error.is::<OutOfMemory>(), "{error:#}");
    assert_eq!((bench.step.micro_batch, bench.step.halvings), (2, 0));
}

#[test]
fn other_errors_are_passed_on() {
    let mut raw = batch(&[1, 2], &[1, 1]);
    raw.size = Size::square(48);
    let mut bench = Bench::new(Kind::Float, 2, Normaliser::Micro);
    let at = LossPoint::default();
    let part = Part::whole(&raw, 48);
    let error = bench.step.gradients(&part, &mut bench.network, &mut bench.chain, at, learn).unwrap_err();
    assert!(!is_out_of_memory(&error) && bench.step.halvings == 0, "{error:#}");
}

#[test]
fn an_optimizer_that_runs_out_of_memory_has_moved_nothing() {
    let raw = batch(&[1, 2], &[1, 1]);
    for algorithm in [Algorithm::SgdNesterov, Algorithm::AdamW] {
        let rule = Rule { algorithm, lr: 0.01, momentum: 0.9 };
        let run = |failing: u64| {
            let mut bench = Bench::new(Kind::Float, 2, Normaliser::Micro);
            let mut optimizer = Optimizer::new(&bench.network, rule, 5e-4).unwrap();
            let rates = ["weight", "norm", "bias"].map(|name| Rates::new(name, 0.01, 0.9));
            bench.learn(&raw).unwrap();
            let before = bench.network.tensors().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>();
            Cpu.fail(failing);
            let first = optimizer.step(&rates);
            Cpu.fail(0);
            if let Err(error) = first {
                assert!(is_out_of_memory(&error), "{error:#}");
                assert!(bench.network.tensors().zip(&before).all(|((_, now), before)| now.equal(before)));
                optimizer.step(&rates).unwrap();
            } else {
                assert_eq!(failing, 0);
            }
            bench.network.tensors().map(|(_, tensor)| tensor.copy()).collect::<Vec<_>>()
        };
        let wanted = run(0);
        assert!(run(1).iter().zip(&wanted).all(|(a, b)| a.equal(b)), "repeated, it is the same step");

        let network = Bench::new(Kind::Float, 2, Normaliser::Micro).network;
        Cpu.fail(100);
        let error = Optimizer::new(&network, rule, 5e-4).err().unwrap();
        assert!(is_out_of_memory(&error), "its state: {error:#}");
    }
}
