//! The optimizers against the reference's (8.4.190, tests/golden/optimizer.py): groups, rates and updates.

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use trainer::{
    model::{Network, Scale, Yolo12},
    optimizer::{Algorithm, Optimizer, Rule, RunSize},
};

use crate::golden::{self, Sampled};

#[derive(Deserialize)]
struct Golden {
    classes: i64,
    lr: f64,
    momentum: f64,
    weight_decay: f64,
    /// Share of `lr`, and momentum, of each step.
    steps: Vec<(f64, f64)>,
    moved: BTreeMap<String, BTreeMap<String, Sampled>>,
    moved_bfloat16: BTreeMap<String, BTreeMap<String, Sampled>>,
}

impl Golden {
    /// Runs the steps; for each watched tensor the worst difference from how far the reference moved it, as a share of
    /// the largest move.
    fn errors(&self, algorithm: Algorithm, kind: Kind, moved: &BTreeMap<String, Sampled>) -> Vec<(String, f64)> {
        let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), self.classes);
        let mut network = Network::new(description, 0, kind, Device::Cpu).unwrap();
        network.load(&golden::weights(network.tensors().map(|(spec, _)| spec))).unwrap();
        let trained: Vec<_> = network.tensors().filter(|(_, tensor)| tensor.requires_grad()).collect();
        let before: BTreeMap<_, _> =
            trained.iter().map(|(spec, tensor)| (spec.name.as_str(), tensor.detach().copy())).collect();
        let rule = Rule { algorithm, lr: self.lr, momentum: self.momentum };
        let mut optimizer = Optimizer::new(&network, rule, self.weight_decay).unwrap();
        let mut rates = optimizer.rates();
        for (step, (share, momentum)) in self.steps.iter().enumerate() {
            for (spec, tensor) in &trained {
                let gradient = match moved.contains_key(&spec.name) {
                    true => (golden::unit_tensor(&format!("{}.gradient{step}", spec.name), &spec.shape) - 0.5) * 0.1,
                    false => Tensor::zeros(&spec.shape, (kind, Device::Cpu)),
                };
                (*tensor * gradient.to_kind(kind)).sum(None::<Kind>).backward();
            }
            for rates in &mut rates {
                (rates.lr, rates.momentum) = (self.lr * share, *momentum);
            }
            optimizer.step(&rates).unwrap();
        }
        let gained =
            |name: &str| trained.iter().find(|(spec, _)| spec.name == name).unwrap().1.detach() - &before[name];
        moved.iter().map(|(name, wanted)| (name.clone(), wanted.error(&gained(name)))).collect()
    }
}

#[test]
fn all_move_the_weights_as_the_reference_s() {
    let golden: Golden = golden::read("optimizer.json");
    let all = [("SGD", Algorithm::SgdNesterov), ("AdamW", Algorithm::AdamW), ("MuSGD", Algorithm::MuSgd)];
    assert_eq!(golden.moved.len(), all.len());
    for (name, algorithm) in all {
        assert_eq!(golden.moved[name].len(), 10);
        for (tensor, error) in golden.errors(algorithm, Kind::Double, &golden.moved[name]) {
            assert!(error < 1e-9, "{name} {tensor}: {error:e}");
        }
    }
}

#[test]
fn musgd_in_float32_is_as_near_as_the_reference_s_bfloat16_allows() {
    let golden: Golden = golden::read("optimizer.json");
    for (tensor, error) in golden.errors(Algorithm::MuSgd, Kind::Float, &golden.moved_bfloat16["MuSGD"]) {
        println!("{tensor}: {error:.1e}");
        let bound = if tensor.ends_with("conv.weight") || tensor.ends_with(".2.weight") { 0.03 } else { 1e-4 };
        assert!(error < bound, "{tensor}: {error:e}");
    }
}

#[test]
fn groups_are_told_with_what_applies_to_them() {
    let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 3);
    let network = Network::new(description, 0, Kind::Float, Device::Cpu).unwrap();
    let size = RunSize { images: 100, batch: 16, nbs: 64, epochs: 10, classes: 3 };
    let told = |name| {
        let rule = Rule::named(name, None, None, size).unwrap();
        Optimizer::new(&network, rule, 5e-4).unwrap().to_string()
    };
    assert_eq!(
        told("SGD"),
        "SGD: lr 0.01, momentum 0.937; weight: 119 tensors, decay 0.0005; norm: 113 tensors; bias: 119 tensors"
    );
    assert_eq!(
        told("musgd"),
        "MuSGD: lr 0.01, momentum 0.937; weight: 104 tensors, decay 0.0005; \
         weight: 15 tensors of the class branch, lr x 3, decay 0.0005; norm: 101 tensors; \
         norm: 12 tensors of the class branch, lr x 3; bias: 104 tensors; bias: 15 tensors of the class branch, lr x 3"
    );
    let unknown = Rule::named("Muon", None, None, size).unwrap_err().to_string();
    assert_eq!(unknown, "unknown optimizer `Muon`; known are auto, SGD, AdamW, MuSGD");
}
