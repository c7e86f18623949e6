//! A hundred steps of training against the reference's losses (8.4.190, tests/golden/trajectory.py): network, loss with
//! the 16 px assignment floor, gradients, clipping and SGD at once.

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use trainer::{
    loss::{LossChain, LossParameters, LossPoint, Objects},
    model::{Anchors, Network, Scale, TensorSpec, Yolo12},
    optimizer::{Algorithm, Optimizer, Rule},
    registry::Registry,
};

use crate::golden;

/// The reference's assignment floor.
const FLOOR: &str = r#"{"min_side": 16}"#;

#[derive(Deserialize)]
struct Golden {
    steps: usize,
    images: i64,
    side: i64,
    classes: i64,
    objects: i64,
    momentum: f64,
    weight_decay: f64,
    terms: Vec<String>,
    float32: Run,
    float64: Run,
}

#[derive(Deserialize)]
struct Run {
    lr: f64,
    /// Of each step, in the order of `terms`.
    losses: Vec<Vec<f64>>,
}

/// A tensor before the first step.
fn start(spec: &TensorSpec) -> Tensor {
    let (name, shape) = (spec.name.as_str(), spec.shape.as_slice());
    let options = (Kind::Double, Device::Cpu);
    let is = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if name.ends_with("dfl.conv.weight") {
        Tensor::arange(16, options).reshape(shape)
    } else if shape.len() == 4 {
        let gain = if name.ends_with(".conv.weight") { 300.0 } else { 1.0 };
        let fan_in: i64 = shape[1..].iter().product();
        (golden::unit_tensor(name, shape) * 2.0 - 1.0) * f64::sqrt(gain / fan_in as f64)
    } else if is(&[".bn.weight", ".running_var"]) {
        Tensor::ones(shape, options)
    } else if is(&[".bn.bias", ".running_mean", "num_batches_tracked"]) {
        Tensor::zeros(shape, options)
    } else {
        Tensor::full(shape, if name.contains(".cv3.") { -5.0 } else { 1.0 }, options)
    }
}

impl Golden {
    /// The images (B, 3, S, S) and objects of a step.
    fn batch(&self, step: usize, kind: Kind) -> (Tensor, Objects) {
        let shape = [self.images, 3, self.side, self.side];
        let images = golden::unit_tensor(&format!("trajectory.{step}.images"), &shape) * 0.5;
        let drawn = golden::units(&format!("trajectory.{step}.objects"), self.images * self.objects * 5);
        let (mut classes, mut boxes) = (Vec::new(), Vec::new());
        for (i, u) in drawn.chunks(5).enumerate() {
            let (image, place) = (i as i64 / self.objects, i as i64 % self.objects);
            let (least, span) = if place == 0 { (6, 10.0) } else { (28, 20.0) };
            let class = (u[0] * self.classes as f64) as i64;
            let [w, h] = [u[1], u[2]].map(|share| least + (share * span) as i64);
            let [x, y] = [(u[3], w), (u[4], h)].map(|(share, side)| (share * (self.side - side) as f64) as i64);
            let _ = images.select(0, image).select(0, class).narrow(0, y, h).narrow(1, x, w).g_add_scalar_(0.5);
            classes.push(class);
            boxes.extend([x, y, x + w, y + h].map(|corner| corner as f64 + 0.3));
        }
        let shape = [self.images, self.objects];
        let objects = Objects {
            classes: Tensor::from_slice(&classes).reshape(shape),
            boxes: Tensor::from_slice(&boxes).reshape([self.images, self.objects, 4]).to_kind(kind),
            valid: Tensor::ones(shape, (Kind::Bool, Device::Cpu)),
        };
        (images.clamp_max(1.0).to_kind(kind), objects)
    }

    /// The worst relative error of a term over the first `steps` steps, with these options of the loss.
    fn error(&self, run: &Run, kind: Kind, steps: usize, options: &str) -> f64 {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), self.classes);
        let mut network = Network::new(description, 0, kind, Device::Cpu).unwrap();
        let weights: BTreeMap<_, _> = network.tensors().map(|(spec, _)| (spec.name.clone(), start(spec))).collect();
        network.load(&weights).unwrap();
        let detection = Registry::built_in().loss("detection", options).unwrap();
        let gains = [("box", 7.5), ("cls", 0.5), ("dfl", 1.5)].map(|(name, gain)| (name.to_owned(), gain));
        let parameters = LossParameters::new(kind, Device::Cpu, true);
        let mut chain = LossChain::new(vec![("detection".into(), detection)], gains.into(), parameters);
        let rule = Rule { algorithm: Algorithm::SgdNesterov, lr: run.lr, momentum: self.momentum };
        let mut optimizer = Optimizer::new(&network, rule, self.weight_decay).unwrap();
        let rates = optimizer.rates();
        let anchors = Anchors::new(self.side, self.side, kind, Device::Cpu);

        assert_eq!(run.losses.len(), self.steps);
        let mut worst = 0.0f64;
        for (step, wanted) in run.losses.iter().enumerate().take(steps) {
            let (images, objects) = self.batch(step, kind);
            let predictions = network.forward_train(&images).unwrap();
            let at = LossPoint { step, size: (self.side, self.side), is_training: true, ..LossPoint::default() };
            let loss = chain.evaluate(&predictions, &anchors, &objects, at).unwrap();
            loss.total.backward();
            optimizer.step(&rates).unwrap();
            let terms: BTreeMap<_, _> = loss.values().unwrap().into_iter().collect();
            for (term, wanted) in self.terms.iter().zip(wanted) {
                worst = worst.max((terms[term] - wanted).abs() / wanted);
            }
        }
        worst
    }
}

#[test]
fn losses_follow_the_reference_s_for_a_hundred_steps_in_float32() {
    let golden: Golden = golden::read("trajectory.json");
    let error = golden.error(&golden.float32, Kind::Float, golden.steps, FLOOR);
    println!("float32: {error:.1e}");
    assert!(error < 1e-3, "{error:e}");
}

#[test]
fn losses_follow_the_reference_s_at_a_higher_rate_in_float64() {
    let golden: Golden = golden::read("trajectory.json");
    let sums: Vec<f64> = golden.float64.losses.iter().map(|terms| terms.iter().sum()).collect();
    assert!(sums[99] < 0.6 * sums[0], "the loss falls: {sums:?}");
    let error = golden.error(&golden.float64, Kind::Double, golden.steps, FLOOR);
    println!("float64: {error:.1e}");
    assert!(error < 1e-6, "{error:e}");
}

#[test]
fn without_the_assignment_floor_the_losses_leave_the_reference_s() {
    let golden: Golden = golden::read("trajectory.json");
    let error = golden.error(&golden.float32, Kind::Float, 40, "{}");
    assert!(error > 2e-3, "{error:e}");
}
