//! The network against the reference's: tensor names, parameter counts, forward pass of all scales and both modes.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use tch::{Device, Kind, Tensor};
use trainer::model::{Anchors, Network, RawPredictions, Scale, Survey, Yolo12};

use crate::golden::{self, Sampled};

const PARAMETERS: [(&str, i64); 5] =
    [("n", 2_602_288), ("s", 9_284_096), ("m", 20_199_168), ("l", 26_450_784), ("x", 59_210_784)];

#[derive(Deserialize)]
struct Forward {
    input_shape: Vec<i64>,
    eval: Outputs,
    train: TrainOutputs,
}

#[derive(Deserialize)]
struct Outputs {
    boxes: Sampled,
    scores: Sampled,
    decoded: Sampled,
}

#[derive(Deserialize)]
struct TrainOutputs {
    boxes: Sampled,
    scores: Sampled,
    statistics: BTreeMap<String, BatchNorm>,
}

#[derive(Deserialize)]
struct BatchNorm {
    running_mean: Sampled,
    running_var: Sampled,
    num_batches_tracked: i64,
}

fn yolo12(scale: &str) -> Yolo12 {
    Yolo12::new(format!("yolo12{scale}").parse::<Scale>().unwrap(), 80)
}

#[test]
fn parameter_counts_are_the_published_ones() {
    for (scale, parameters) in PARAMETERS {
        let survey = Survey::of(&yolo12(scale), 640, 640).unwrap();
        assert_eq!(survey.parameters(), parameters, "{scale}");
    }
    let n = Survey::of(&yolo12("n"), 640, 640).unwrap();
    assert_eq!(format!("{:.2} {:.2}", n.conv_gflops(), n.attention_gflops()), "6.49 0.98");
}

#[test]
fn tensor_names_and_shapes_are_the_reference_s() {
    for (scale, _) in PARAMETERS {
        let survey = Survey::of(&yolo12(scale), 64, 64).unwrap();
        let ours: BTreeSet<String> =
            survey.tensors.iter().map(|tensor| format!("{} {:?}", tensor.name, tensor.shape)).collect();
        let text = golden::text(&format!("tensors_{scale}.txt"));
        let theirs: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(ours, theirs, "{scale}");
    }
}

/// The worst relative errors of an evaluation and of a training pass.
fn errors(scale: &str, kind: Kind) -> (f64, f64) {
    let golden: Forward = golden::read(&format!("forward_{scale}.json"));
    let mut network = Network::new(yolo12(scale), 0, kind, Device::Cpu).unwrap();
    let weights = golden::weights(network.tensors().map(|(spec, _)| spec));
    network.load(&weights).unwrap();
    let images = golden::unit_tensor("input", &golden.input_shape).to_kind(kind);
    let channels_first = |x: &Tensor| x.transpose(1, 2);

    let RawPredictions { distribution, scores } = tch::no_grad(|| network.forward_eval(&images)).unwrap();
    let anchors = Anchors::new(golden.input_shape[2], golden.input_shape[3], kind, Device::Cpu);
    let corners = anchors.decode(&distribution).unwrap() * &anchors.strides;
    let sides = corners.chunk(2, -1);
    let centres = Tensor::cat(&[(&sides[0] + &sides[1]) / 2.0, &sides[1] - &sides[0]], -1);
    let decoded = Tensor::cat(&[centres, scores.sigmoid()], -1);
    let eval = [
        golden.eval.boxes.error(&channels_first(&distribution)),
        golden.eval.scores.error(&channels_first(&scores)),
        golden.eval.decoded.error(&channels_first(&decoded)),
    ];

    let RawPredictions { distribution, scores } = tch::no_grad(|| network.forward_train(&images)).unwrap();
    let tensors: BTreeMap<&str, &Tensor> = network.tensors().map(|(spec, t)| (spec.name.as_str(), t)).collect();
    let mut train = vec![
        golden.train.boxes.error(&channels_first(&distribution)),
        golden.train.scores.error(&channels_first(&scores)),
    ];
    for (name, bn) in &golden.train.statistics {
        let tensor = |part: &str| tensors[format!("{name}.{part}").as_str()];
        train.push(bn.running_mean.error(tensor("running_mean")));
        train.push(bn.running_var.error(tensor("running_var")));
        assert_eq!(tensor("num_batches_tracked").int64_value(&[]), bn.num_batches_tracked);
    }
    let worst = |errors: &[f64]| errors.iter().copied().fold(0.0, f64::max);
    (worst(&eval), worst(&train))
}

#[test]
fn forward_equals_the_reference_in_float64() {
    for (scale, _) in PARAMETERS {
        let (eval, train) = errors(scale, Kind::Double);
        println!("{scale} float64: eval {eval:.1e}, train {train:.1e}");
        assert!(eval < 1e-8 && train < 1e-8, "{scale}: eval {eval:e}, train {train:e}");
    }
}

#[test]
fn forward_equals_the_reference_in_float32() {
    for (scale, _) in PARAMETERS {
        let (eval, train) = errors(scale, Kind::Float);
        println!("{scale} float32: eval {eval:.1e}, train {train:.1e}");
        assert!(eval < 1e-5 && train < 1e-3, "{scale}: eval {eval:e}, train {train:e}");
    }
}

#[test]
fn folding_changes_rounding_only() {
    let mut network = Network::new(yolo12("n"), 0, Kind::Double, Device::Cpu).unwrap();
    let weights = golden::weights(network.tensors().map(|(spec, _)| spec));
    network.load(&weights).unwrap();
    let images = golden::unit_tensor("input", &[1, 3, 64, 96]);
    let scores = |network: &Network| tch::no_grad(|| network.forward_eval(&images)).unwrap().scores;
    let (plain, folded) = (scores(&network), scores(&network.folded().unwrap()));
    let error = (&plain - folded).abs().max().double_value(&[]) / plain.abs().max().double_value(&[]);
    assert!(error < 1e-12, "{error:e}");
}
