//! What the network keeps for the backward pass changes memory, not results: gradients, running statistics and counters
//! for every choice, against the plain network and against float64.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};
use trainer::model::{Keep, Network, Training, Yolo12};

use crate::golden;

/// By tensor name: gradients, running statistics, counters.
type Values = BTreeMap<String, Tensor>;

fn yolo12(scale: &str) -> Yolo12 {
    Yolo12::new(format!("yolo12{scale}").parse().unwrap(), 5)
}

/// Two batches forward and backward (gradients add up), from weights made by formula.
fn run(scale: &str, parameters: Kind, training: Training) -> (Values, Values) {
    let mut network = Network::new(yolo12(scale), 0, parameters, Device::Cpu).unwrap();
    let weights = golden::weights(network.tensors().map(|(spec, _)| spec));
    network.load(&weights).unwrap();
    network.set_training(training);
    for i in 0..2 {
        let images = golden::unit_tensor(&format!("images {i}"), &[2, 3, 96, 64]).to_kind(parameters);
        let out = network.forward_train(&images).unwrap();
        let factors = |x: &Tensor, name: &str| golden::unit_tensor(name, &x.size()).to_kind(parameters);
        let loss = (&out.scores * factors(&out.scores, "scores")).sum(parameters)
            + (&out.distribution * factors(&out.distribution, "distribution")).sum(parameters);
        loss.backward();
    }
    let all = || network.tensors().map(|(spec, tensor)| (spec.name.clone(), tensor));
    let gradients = all().filter(|(_, tensor)| tensor.requires_grad()).map(|(name, tensor)| (name, tensor.grad()));
    let buffers = all().filter(|(_, tensor)| !tensor.requires_grad()).map(|(name, tensor)| (name, tensor.copy()));
    (gradients.collect(), buffers.collect())
}

fn training(kind: Kind, keep: Keep, checkpointing: bool) -> Training {
    Training { kind, keep, checkpointing }
}

/// The largest |a - b| / max |b| over all tensors, in float64.
fn distance(a: &Values, b: &Values) -> f64 {
    assert!(a.keys().eq(b.keys()) && !a.is_empty());
    let of = |(a, b): (&Tensor, &Tensor)| {
        let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
        let scale = b.abs().max().double_value(&[]).max(1e-12);
        (a - b).abs().max().double_value(&[]) / scale
    };
    a.values().zip(b.values()).map(of).fold(0.0, f64::max)
}

/// How far all gradients together are from others: |a - b| / |b|.
fn share(a: &Values, b: &Values) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = Tensor>| {
        values.map(|x| x.to_kind(Kind::Double).square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt()
    };
    norm(&mut a.values().zip(b.values()).map(|(a, b)| a.to_kind(Kind::Double) - b.to_kind(Kind::Double)))
        / norm(&mut b.values().map(Tensor::shallow_clone))
}

#[test]
fn computing_again_gives_the_same_bits() {
    // l has the scaled residual that n lacks
    for (scale, kind) in [("n", Kind::Float), ("n", Kind::Double), ("l", Kind::Float)] {
        let plain = run(scale, kind, training(kind, Keep::Everything, false));
        for (keep, checkpointing) in [(Keep::Everything, true), (Keep::Outputs, false), (Keep::Outputs, true)] {
            let (gradients, buffers) = run(scale, kind, training(kind, keep, checkpointing));
            let what = format!("{scale} {kind:?} {keep:?} checkpointing {checkpointing}");
            assert_eq!(distance(&gradients, &plain.0), 0.0, "{what}");
            assert_eq!(distance(&buffers, &plain.1), 0.0, "{what}: statistics move once, by the first run");
            assert_eq!(buffers["model.4.cv1.bn.num_batches_tracked"].int64_value(&[]), 2, "{what}");
        }
    }
}

#[test]
fn fused_kernels_are_as_exact_as_plain_operators() {
    for scale in ["n", "l"] {
        let exact = run(scale, Kind::Double, training(Kind::Double, Keep::Everything, false));
        let plain = run(scale, Kind::Float, training(Kind::Float, Keep::Everything, false));
        let fused = run(scale, Kind::Float, training(Kind::Float, Keep::OutputsFused, false));
        let (plain_error, error) = (share(&plain.0, &exact.0), share(&fused.0, &exact.0));
        println!("{scale}: plain {plain_error:.1e}, fused {error:.1e}, buffers {:.1e}", distance(&fused.1, &exact.1));
        assert!(error < 2.0 * plain_error && error < 1e-3, "{scale}: plain {plain_error:e}, fused {error:e}");
        assert!(distance(&fused.1, &exact.1) < 1e-4, "{scale}: running statistics");
        let again = run(scale, Kind::Float, training(Kind::Float, Keep::OutputsFused, true));
        assert_eq!(distance(&again.0, &fused.0), 0.0, "{scale}: checkpointing changes no bit");
        assert_eq!(distance(&again.1, &fused.1), 0.0, "{scale}");
    }
}

#[test]
fn bfloat16_keeps_parameters_statistics_and_predictions_in_float32() {
    let exact = run("n", Kind::Float, training(Kind::Float, Keep::Everything, false));
    let plain = run("n", Kind::Float, training(Kind::BFloat16, Keep::Everything, false));
    let fused = run("n", Kind::Float, training(Kind::BFloat16, Keep::OutputsFused, false));
    let (plain_error, error) = (share(&plain.0, &exact.0), share(&fused.0, &exact.0));
    println!("bfloat16: plain {plain_error:.2}, fused {error:.2}");
    assert!(error < 1.2 * plain_error && plain_error < 1.0, "plain {plain_error}, fused {error}");
    assert!(fused.0.values().all(|gradient| gradient.kind() == Kind::Float));
    let again = run("n", Kind::Float, training(Kind::BFloat16, Keep::OutputsFused, true));
    assert_eq!(distance(&again.0, &fused.0), 0.0, "checkpointing changes no bit");
}

#[test]
fn a_second_backward_pass_is_refused() {
    for (checkpointing, what) in [(false, "a convolution"), (true, "a ")] {
        let mut network = Network::new(yolo12("n"), 0, Kind::Float, Device::Cpu).unwrap();
        network.set_training(training(Kind::Float, Keep::OutputsFused, checkpointing));
        let out = network.forward_train(&golden::unit_tensor("images", &[1, 3, 64, 64]).to_kind(Kind::Float)).unwrap();
        let loss = out.scores.sum(Kind::Float) + out.distribution.sum(Kind::Float);
        let backward = || Tensor::f_run_backward(&[&loss], &[&out.scores], true, false);
        drop(backward().unwrap());
        loss.f_backward().unwrap();
        let message = loss.f_backward().unwrap_err().to_string();
        assert!(message.contains(&format!("a second backward pass through {what}")), "{message}");
    }
}
