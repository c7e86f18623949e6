//! Optimizer rule, warm-up, accumulation and EMA against the reference's (8.3.63, tests/golden/ema_schedule.json), and
//! the optimizers against their published formulas.

use std::collections::BTreeMap;

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use trainer::{
    accumulate::Accumulation,
    ema,
    model::{Network, Scale, Yolo12},
    optimizer::{Algorithm, Optimizer, Rule, RunSize},
    registry::Registry,
};
use trainer_sdk::{Progress, Rates};

use crate::golden;

#[derive(Deserialize)]
struct Golden {
    auto: Vec<Auto>,
    warmup: BTreeMap<String, Warmup>,
    ema: EmaDecay,
}

#[derive(Deserialize)]
struct Auto {
    n_images: usize,
    batch: usize,
    epochs: usize,
    nc: usize,
    optimizer: String,
    lr: f64,
    accumulate: usize,
    weight_decay: [f64; 3],
}

#[derive(Deserialize)]
struct Warmup {
    n_images: usize,
    batch: usize,
    epochs: usize,
    nc: usize,
    nbs: usize,
    lrf: f64,
    cos_lr: bool,
    warmup_epochs: f64,
    warmup_momentum: f64,
    warmup_bias_lr: f64,
    initial_lr: f64,
    steps: Vec<usize>,
    iterations: Vec<Iteration>,
}

#[derive(Deserialize)]
struct Iteration {
    iteration: usize,
    epoch: usize,
    lr: BTreeMap<String, f64>,
    momentum: Option<f64>,
}

#[derive(Deserialize)]
struct EmaDecay {
    decay: Vec<(usize, f64)>,
}

#[test]
fn auto_chooses_as_the_reference() {
    for case in golden::read::<Golden>("ema_schedule.json").auto {
        let size = RunSize { images: case.n_images, batch: case.batch, nbs: 64, epochs: case.epochs, classes: case.nc };
        let rule = Rule::named("auto", None, None, size).unwrap();
        let wanted = if case.optimizer == "SGD" { Algorithm::SgdNesterov } else { Algorithm::AdamW };
        assert_eq!((rule.algorithm, rule.lr), (wanted, case.lr), "{} images", case.n_images);
        let accumulation = Accumulation::new(size, 3.0, case.n_images.div_ceil(case.batch));
        assert_eq!(accumulation.nominal(), case.accumulate);
        assert!((5e-4 * accumulation.decay_factor() - case.weight_decay[1]).abs() < 1e-12);
    }
}

#[test]
fn auto_keeps_what_the_user_set() {
    let size = RunSize { images: 100, batch: 16, nbs: 64, epochs: 10, classes: 3 };
    let rule = Rule::named("auto", Some(0.02), Some(0.85), size).unwrap();
    assert_eq!(rule, Rule { algorithm: Algorithm::AdamW, lr: 0.02, momentum: 0.85 });
}

#[test]
fn warm_up_and_accumulation_follow_the_reference() {
    for (name, case) in golden::read::<Golden>("ema_schedule.json").warmup {
        let steps_per_epoch = case.n_images.div_ceil(case.batch);
        let size =
            RunSize { images: case.n_images, batch: case.batch, nbs: case.nbs, epochs: case.epochs, classes: case.nc };
        let options = serde_json::json!({
            "lrf": case.lrf, "warmup_epochs": case.warmup_epochs,
            "warmup_momentum": case.warmup_momentum, "warmup_bias_lr": case.warmup_bias_lr,
        });
        let kind = if case.cos_lr { "cosine" } else { "linear" };
        let mut scheduler = Registry::built_in().scheduler(kind, &options.to_string()).unwrap();
        let fresh = |group| Rates::new(group, case.initial_lr, 0.937);
        for wanted in &case.iterations {
            let mut groups = ["weight", "norm", "bias"].map(fresh);
            let (step, epoch, epochs) = (wanted.iteration, wanted.epoch, case.epochs);
            scheduler.rates(&Progress { step, epoch, steps_per_epoch, epochs, metrics: &[] }, &mut groups).unwrap();
            for rates in &groups {
                assert!(
                    (rates.lr - wanted.lr[rates.group()]).abs() < 1e-12,
                    "{name} {step}: {} {}",
                    rates.group(),
                    rates.lr
                );
                if let Some(momentum) = wanted.momentum {
                    assert!((rates.momentum - momentum).abs() < 1e-12, "{name} {step}: {}", rates.momentum);
                }
            }
        }
        let mut accumulation = Accumulation::new(size, case.warmup_epochs, steps_per_epoch);
        let last = *case.steps.last().unwrap();
        let steps: Vec<usize> = (0..=last).filter(|&step| accumulation.is_full(step)).collect();
        assert_eq!(steps, case.steps, "{name}");
    }
}

#[test]
fn ema_decay_is_the_reference_s() {
    for (updates, decay) in golden::read::<Golden>("ema_schedule.json").ema.decay {
        assert!((ema::decay(updates) - decay).abs() < 1e-15);
    }
}

#[test]
fn ema_moves_by_its_decay_and_takes_statistics_along() {
    let mut network = tiny();
    let mut ema = ema::Ema::new(&network).unwrap();
    let doubled = network.tensors().map(|(spec, t)| (spec.name.clone(), (t.detach() + 1).to_kind(t.kind()))).collect();
    network.load(&doubled).unwrap();
    ema.update().unwrap();
    for ((spec, live), (_, average)) in network.tensors().zip(ema.network().tensors()) {
        let behind = (live.detach() - average).to_kind(Kind::Double).abs().max().double_value(&[]);
        let wanted = if live.kind() == Kind::Int64 { 0.0 } else { ema::decay(1) };
        assert!((behind - wanted).abs() < 1e-6, "{}: {behind}", spec.name);
    }
}

fn tiny() -> Network {
    Network::new(Yolo12::new("yolo12n".parse::<Scale>().unwrap(), 1), 0, Kind::Double, Device::Cpu).unwrap()
}

/// Gives every trained tensor the gradient `factor` * itself + 0.001.
fn give_gradients(network: &Network, factor: f64) {
    for (_, tensor) in network.tensors().filter(|(_, tensor)| tensor.requires_grad()) {
        let loss = (tensor * tensor * (factor / 2.0) + tensor * 0.001).sum(Kind::Double);
        loss.backward();
    }
}

/// Three steps of `rule` on one weight and one bias, against `by_hand(parameter, gradient, decay, state)`.
fn check_rule(rule: Rule, mut by_hand: impl FnMut(&Tensor, &Tensor, f64, &mut Vec<Tensor>) -> Tensor) {
    let (network, decay, factor) = (tiny(), 0.05, 1e-4); // gradients stay below the clip
    let mut optimizer = Optimizer::new(&network, rule, decay).unwrap();
    let rates = optimizer.rates();
    let watched = [("model.2.cv1.conv.weight", decay), ("model.2.cv1.bn.bias", 0.0), ("model.2.cv1.bn.weight", 0.0)];
    let of = |name: &str| network.tensors().find(|(spec, _)| spec.name == name).unwrap().1.detach();
    let mut wanted = watched.map(|(name, _)| of(name).copy());
    let mut states = watched.map(|_| Vec::new());
    for _ in 0..3 {
        for i in 0..watched.len() {
            let gradient = &wanted[i] * factor + 0.001;
            wanted[i] = by_hand(&wanted[i], &gradient, watched[i].1, &mut states[i]);
        }
        give_gradients(&network, factor);
        optimizer.step(&rates).unwrap();
        for ((name, _), wanted) in watched.iter().zip(&wanted) {
            let error = (of(name) - wanted).abs().max().double_value(&[]);
            assert!(error < 1e-12, "{name}: {error:e}");
        }
    }
}

#[test]
fn sgd_follows_its_formula() {
    let rule = Rule { algorithm: Algorithm::SgdNesterov, lr: 0.1, momentum: 0.9 };
    check_rule(rule, |parameter, gradient, decay, state| {
        let gradient = gradient + parameter * decay;
        let buffer = state.pop().map_or(gradient.copy(), |buffer| buffer * 0.9 + &gradient);
        let moved = parameter - (&gradient + &buffer * 0.9) * 0.1;
        state.push(buffer);
        moved
    });
}

#[test]
fn adamw_follows_its_formula() {
    let rule = Rule { algorithm: Algorithm::AdamW, lr: 0.01, momentum: 0.9 };
    let mut calls = 0;
    check_rule(rule, |parameter, gradient, decay, state| {
        calls += 1;
        let step = f64::from((calls + 2) / 3); // three watched tensors a step
        if state.is_empty() {
            state.extend([gradient.zeros_like(), gradient.zeros_like()]);
        }
        let first = &state[0] * 0.9 + gradient * 0.1;
        let second = &state[1] * 0.999 + gradient * gradient * 0.001;
        let unbiased = (&second / (1.0 - 0.999f64.powf(step))).sqrt() + 1e-8;
        let moved = parameter * (1.0 - 0.01 * decay) - &first / (1.0 - 0.9f64.powf(step)) / unbiased * 0.01;
        *state = vec![first, second];
        moved
    });
}

#[test]
fn gradients_are_clipped_to_norm_ten() {
    let network = tiny();
    let mut optimizer =
        Optimizer::new(&network, Rule { algorithm: Algorithm::SgdNesterov, lr: 1.0, momentum: 0.0 }, 0.0).unwrap();
    let before: Vec<Tensor> = network.tensors().map(|(_, tensor)| tensor.detach().copy()).collect();
    give_gradients(&network, 100.0);
    let rates = optimizer.rates();
    optimizer.step(&rates).unwrap();
    let moved: f64 = network
        .tensors()
        .zip(&before)
        .filter(|((_, tensor), _)| tensor.requires_grad())
        .map(|((_, tensor), before)| (tensor.detach() - before).square().sum(Kind::Double).double_value(&[]))
        .sum();
    assert!((moved.sqrt() - 10.0).abs() < 1e-6, "{}", moved.sqrt());
}
