//! label_smooth built in and through the ABI, on the shapes of a batch of 16 at 640: 8400 anchors, 80 classes. Once its
//! own pass over the targets, once the whole chain behind `detection`.

mod common;
#[allow(unused)] // of the plugin's own tests, which do not run here
#[path = "../../plugins/label_smooth/src/lib.rs"]
mod label_smooth;

use std::{collections::BTreeMap, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use tch::{Device, Kind, Tensor};
use trainer::{
    loss::{LossChain, LossParameters, LossPoint, Objects},
    model::{Anchors, RawPredictions},
    registry::Registry,
    torch::to_sdk,
};
use trainer_sdk::{Loss, LossContext, Predictions, Targets, component::Maker, parameter_store, store};

use common::{Named, NoParameters};

const BATCH: i64 = 16;
const SIDE: i64 = 640;
const ANCHORS: i64 = 8400;
const CLASSES: i64 = 80;
const OBJECTS: i64 = 10;

fn forms() -> [(&'static str, Box<dyn Loss>); 2] {
    let Maker::Loss(make) = common::built_in("loss", "label_smooth") else { unreachable!("asked by kind") };
    let loaded = common::loaded("liblabel_smooth.so", "loss", "label_smooth").loss("{}");
    [("built in", make("{}").expect("defaults fit")), ("ABI", loaded.expect("defaults fit"))]
}

/// Values that differ, from -1 to 1.
fn wave(shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>();
    (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.37).sin().reshape(shape)
}

fn targets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("label_smooth, targets");
    group.sample_size(30).measurement_time(Duration::from_secs(10));
    let scores = to_sdk(&wave(&[BATCH, ANCHORS, CLASSES]).clamp(0.0, 1.0));
    for (name, mut loss) in forms() {
        let (mut fields, mut parameters) = (Named(Vec::new()), NoParameters);
        let mut targets = Named(vec![("scores", scores.clone())]);
        let cx = LossContext {
            epoch: 0,
            epochs: 1,
            step: 0,
            is_training: true,
            height: SIDE as usize,
            width: SIDE as usize,
            num_classes: CLASSES as usize,
            image_ids: &[0; BATCH as usize],
            predictions: Predictions(store::view(&mut fields)),
            parameters: parameter_store::view(&mut parameters),
        };
        let mut targets = Targets(store::view(&mut targets));
        let _guard = tch::no_grad_guard();
        group.bench_function(name, |b| b.iter(|| loss.targets(&mut targets, &cx).expect("the shapes fit")));
    }
}

fn chain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("detection + label_smooth, evaluate");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    let raw = RawPredictions {
        distribution: wave(&[BATCH, ANCHORS, 64]).set_requires_grad(true),
        scores: (wave(&[BATCH, ANCHORS, CLASSES]) - 4.0).set_requires_grad(true),
    };
    let anchors = Anchors::new(SIDE, SIDE, Kind::Float, Device::Cpu);
    let centre = (wave(&[BATCH, OBJECTS, 2]) + 1.5) * 200.0;
    let extent = (wave(&[BATCH, OBJECTS, 2]) + 1.2) * 60.0;
    let objects = Objects {
        classes: Tensor::arange(BATCH * OBJECTS, (Kind::Int64, Device::Cpu))
            .reshape([BATCH, OBJECTS])
            .remainder(CLASSES),
        boxes: Tensor::cat(&[&centre - &extent, &centre + &extent], 2),
        valid: Tensor::ones([BATCH, OBJECTS], (Kind::Bool, Device::Cpu)),
    };
    let image_ids = &[0; BATCH as usize];
    let at = LossPoint {
        epoch: 0,
        epochs: 1,
        step: 0,
        is_training: true,
        size: (SIDE, SIDE),
        image_ids,
        ..LossPoint::default()
    };
    for (name, loss) in forms() {
        let detection = Registry::built_in().loss("detection", "{}").expect("it is built in");
        let links = vec![("detection".to_owned(), detection), ("label_smooth".to_owned(), loss)];
        let mut chain = LossChain::new(links, BTreeMap::new(), LossParameters::new(Kind::Float, Device::Cpu, true));
        let mut evaluate = || chain.evaluate(&raw, &anchors, &objects, at).expect("the shapes fit");
        group.bench_function(name, |b| b.iter(&mut evaluate));
    }
}

criterion_group!(benches, targets, chain);
criterion_main!(benches);
