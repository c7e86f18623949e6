//! A training step on a device against the same on the processor in float64. The device is the processor, too, unless
//! `TRAINER_TEST_DEVICE` names a GPU, as `make test-cuda` does: the same bodies then hold it to the same bounds, and what is
//! for GPUs alone is tried as well. Nothing here reads a file.

use std::{collections::BTreeMap, env};

use crate::{golden, run::Run};
use tch::{Device, Kind, Tensor};
use trainer::{
    data::loader::Buffer,
    device,
    doctor::attention::{Shape, trials},
    ema::Ema,
    loss::{LossChain, LossParameters, LossPoint, Objects},
    model::{Anchors, Keep, Network, Scale, Training, Yolo12},
    optimizer::{Optimizer, Rule, RunSize},
    registry::Registry,
    torch::{self, RandomState, Tf32, cuda},
    validate::nms::{NmsOptions, nms},
};

const SIDE: i64 = 96;
const IMAGES: i64 = 2;
const CLASSES: i64 = 5;

fn tested() -> Device {
    let device = device::parse(&env::var("TRAINER_TEST_DEVICE").unwrap_or("cpu".into())).unwrap();
    if device != Device::Cpu {
        Tf32 { matrices: false, convolutions: false }.set().unwrap(); // the bounds are those of float32
    }
    device
}

/// The number of the GPU that is tested; none on the processor.
fn gpu() -> Option<usize> {
    match tested() {
        Device::Cuda(index) => Some(index),
        _ => None,
    }
}

/// The largest difference, relative to the largest value.
fn error(got: &Tensor, wanted: &Tensor) -> f64 {
    let (got, wanted) = (got.to_device(Device::Cpu).to_kind(Kind::Double), wanted.to_kind(Kind::Double));
    assert_eq!(got.size(), wanted.size());
    let largest = wanted.abs().max().double_value(&[]).max(1e-12);
    let error = (got - wanted).abs().max().double_value(&[]) / largest;
    if error.is_nan() { f64::INFINITY } else { error }
}

fn network(kind: Kind, device: Device) -> Network {
    let description = Yolo12::new("yolo12n".parse::<Scale>().unwrap(), CLASSES);
    let mut network = Network::new(description, 0, kind, device).unwrap();
    let weights = golden::weights(network.tensors().map(|(spec, _)| spec));
    network.load(&weights).unwrap();
    network
}

fn images(kind: Kind, device: Device) -> Tensor {
    golden::unit_tensor("input", &[IMAGES, 3, SIDE, SIDE]).to_kind(kind).to_device(device)
}

/// Three objects in the first image, one in the second.
fn objects(kind: Kind, device: Device) -> Objects {
    let boxes = [
        [4.0f64, 6.0, 60.0, 70.0],
        [30.0, 10.0, 90.0, 50.0],
        [8.0, 50.0, 40.0, 92.0],
        [20.0, 20.0, 84.0, 80.0],
        [0.0; 4],
        [0.0; 4],
    ];
    let to = |tensor: Tensor| tensor.to_device(device);
    Objects {
        classes: to(Tensor::from_slice(&[0i64, 3, 1, 4, 0, 0]).view([2, 3])),
        boxes: to(Tensor::from_slice(&boxes.concat()).view([2, 3, 4]).to_kind(kind)),
        valid: to(Tensor::from_slice(&[true, true, true, true, false, false]).view([2, 3])),
    }
}

/// What three steps leave behind, on the processor.
struct Trained {
    losses: Vec<f64>,
    /// Of the first step, by parameter.
    gradients: BTreeMap<String, Tensor>,
    weights: BTreeMap<String, Tensor>,
    average: BTreeMap<String, Tensor>,
}

fn tensors(network: &Network) -> BTreeMap<String, Tensor> {
    let cpu = |tensor: &Tensor| tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double).copy();
    network.tensors().map(|(spec, tensor)| (spec.name.clone(), cpu(tensor))).collect()
}

fn train(
    (optimizer, lr): (&str, f64),
    kind: Kind,
    device: Device,
    training: impl FnOnce(Training) -> Training,
) -> Trained {
    let mut network = network(kind, device);
    network.set_training(training(network.training()));
    let gains = [("box", 7.5), ("cls", 0.5), ("dfl", 1.5)].map(|(name, gain)| (name.to_owned(), gain));
    let detection = Registry::built_in().loss("detection", "{}").unwrap();
    let parameters = LossParameters::new(kind, device, true);
    let mut chain = LossChain::new(vec![("detection".into(), detection)], gains.into_iter().collect(), parameters);
    let size = RunSize { images: 2, batch: 2, nbs: 2, epochs: 1, classes: CLASSES as usize };
    let rule = Rule::named(optimizer, Some(lr), None, size).unwrap();
    let mut optimizer = Optimizer::new(&network, rule, 5e-4).unwrap();
    let mut ema = Ema::new(&network).unwrap();
    let anchors = Anchors::new(SIDE, SIDE, kind, device);
    let (mut losses, mut gradients) = (Vec::new(), BTreeMap::new());
    for step in 0..3 {
        let predictions = network.forward_train(&images(kind, device)).unwrap();
        let at = LossPoint { size: (SIDE, SIDE), is_training: true, step, ..LossPoint::default() };
        let loss = chain.evaluate(&predictions, &anchors, &objects(kind, device), at).unwrap();
        losses.push(loss.total.double_value(&[]));
        loss.total.backward();
        if step == 0 {
            let with_gradient = network.tensors().filter(|(_, tensor)| tensor.requires_grad());
            let cpu = |tensor: &Tensor| tensor.grad().to_device(Device::Cpu).to_kind(Kind::Double).copy();
            gradients = with_gradient.map(|(spec, tensor)| (spec.name.clone(), cpu(tensor))).collect();
        }
        let rates = optimizer.rates();
        optimizer.step(&rates).unwrap();
        ema.update().unwrap();
    }
    Trained { losses, gradients, weights: tensors(&network), average: tensors(ema.network()) }
}

/// All tensors as one.
fn flat(tensors: &BTreeMap<String, Tensor>) -> Tensor {
    Tensor::cat(&tensors.values().map(|tensor| tensor.flatten(0, -1)).collect::<Vec<_>>(), 0)
}

/// The worst error over all tensors, and whose it is.
fn worst(got: &BTreeMap<String, Tensor>, wanted: &BTreeMap<String, Tensor>) -> (f64, String) {
    let errors = wanted.iter().map(|(name, tensor)| (error(&got[name], tensor), name.clone()));
    errors.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

#[test]
fn predictions_are_the_processor_s_in_float64() {
    let device = tested();
    for is_training in [false, true] {
        let scores =
            |kind, device| {
                let mut network = network(kind, device);
                let images = images(kind, device);
                let predictions = tch::no_grad(|| {
                    if is_training { network.forward_train(&images) } else { network.forward_eval(&images) }
                });
                predictions.unwrap()
            };
        let (got, wanted) = (scores(Kind::Float, device), scores(Kind::Double, Device::Cpu));
        let (scores, boxes) = (error(&got.scores, &wanted.scores), error(&got.distribution, &wanted.distribution));
        assert!(scores < 1e-3 && boxes < 1e-3, "training {is_training}: scores {scores:e}, boxes {boxes:e}");
    }
}

#[test]
fn losses_gradients_and_weights_are_the_processor_s_in_float64() {
    let device = tested();
    // AdamW makes steps of full length out of gradients that are 0 but for rounding, so they have to be short.
    for optimizer in [("SGD", 0.01), ("AdamW", 1e-4)] {
        let train = |kind, device| train(optimizer, kind, device, |training| training);
        let (got, wanted) = (train(Kind::Float, device), train(Kind::Double, Device::Cpu));
        let losses: Vec<_> =
            got.losses.iter().zip(&wanted.losses).map(|(got, wanted)| (got / wanted - 1.0).abs()).collect();
        assert!(losses[0] < 1e-4 && losses.iter().all(|error| *error < 1e-2), "{optimizer:?}: losses {losses:?}");
        // Of all together: some are 0 but for rounding, since a normalisation follows.
        let gradients = error(&flat(&got.gradients), &flat(&wanted.gradients));
        assert!(gradients < 1e-3, "{optimizer:?}: gradients {gradients:e}");
        let (weights, average) = (worst(&got.weights, &wanted.weights), worst(&got.average, &wanted.average));
        assert!(weights.0 < 2e-2 && average.0 < 2e-2, "{optimizer:?}: weights {weights:?}, average {average:?}");
    }
}

#[test]
fn recomputation_changes_rounding_and_half_precision_little() {
    let device = tested();
    let sgd = ("SGD", 0.01);
    let wanted = train(sgd, Kind::Double, Device::Cpu, |training| training);
    let first = |trained: &Trained| (trained.losses[0] / wanted.losses[0] - 1.0).abs();
    for (keep, checkpointing) in [(Keep::Everything, false), (Keep::Outputs, true), (Keep::OutputsFused, true)] {
        let got = train(sgd, Kind::Float, device, |_| Training { kind: Kind::Float, keep, checkpointing });
        let gradients = error(&flat(&got.gradients), &flat(&wanted.gradients));
        let told = format!("{keep:?} {checkpointing}: loss {:e}, gradients {gradients:e}", first(&got));
        assert!(first(&got) < 1e-4 && gradients < 1e-3, "{told}");
    }
    // Eight bits of precision turn the gradients of a network that has learnt nothing, but not away.
    for checkpointing in [false, true] {
        let half = Training { kind: Kind::BFloat16, keep: Keep::OutputsFused, checkpointing };
        let got = train(sgd, Kind::Float, device, |_| half);
        let (a, b) = (flat(&got.gradients), flat(&wanted.gradients));
        let cosine = a.dot(&b).double_value(&[]) / (a.norm() * b.norm()).double_value(&[]);
        assert!(
            first(&got) < 0.1 && cosine > 0.5,
            "bfloat16 {checkpointing}: loss {:e}, cosine {cosine:.3}",
            first(&got)
        );
    }
}

#[test]
fn a_run_starts_as_on_the_processor() {
    let losses = |device: &str| {
        let run = Run::new().keys(&format!("device={device} amp=False deterministic=True"));
        run.expect(0);
        let metrics = run.read("runs/train/train/metrics.jsonl");
        let first: serde_json::Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
        ["box", "cls", "dfl"].map(|term| first["loss"][term].as_f64().unwrap())
    };
    let device = gpu().map_or("cpu".to_owned(), |index| format!("cuda:{index}"));
    let (got, wanted) = (losses(&device), losses("cpu"));
    for (got, wanted) in got.iter().zip(wanted) {
        assert!(wanted > 0.0 && (got / wanted - 1.0).abs() < 5e-3, "{got} and {wanted}"); // TF32 on a GPU
    }
}

#[test]
fn pictures_arrive_as_they_were_sent() {
    let device = tested();
    let count = 2 * 64 * 32 * 3;
    let pixels: Vec<u8> = (0..count).map(|i| (i * 7 % 251) as u8).collect();
    let got = torch::images(&Buffer::from(pixels), [2, 64, 32, 3], Kind::Float, device).unwrap();
    let wanted = Tensor::from_slice(&(0..count).map(|i| (i * 7 % 251) as f64 / 255.0).collect::<Vec<_>>());
    let wanted = wanted.view([2, 64, 32, 3]).permute([0, 3, 1, 2]);
    assert!(error(&got, &wanted) < 1e-6);
    assert_eq!((got.device(), got.stride()[1]), (device, 1), "channels stay innermost");
}

#[test]
fn detections_are_the_processor_s() {
    let device = tested();
    let found = |device| {
        let network = network(Kind::Float, device);
        let predictions = tch::no_grad(|| network.forward_eval(&images(Kind::Float, device))).unwrap();
        let anchors = Anchors::new(SIDE, SIDE, Kind::Float, device);
        let boxes = anchors.decode(&predictions.distribution).unwrap() * &anchors.strides;
        let all = Tensor::cat(&[boxes, predictions.scores.sigmoid()], -1).select(0, 0).transpose(0, 1);
        let values = Vec::<f32>::try_from(all.contiguous().to_device(Device::Cpu).view(-1)).unwrap();
        nms(&values, CLASSES as usize, &NmsOptions::val()).unwrap()
    };
    let (got, wanted) = (found(device), found(Device::Cpu));
    assert!(!wanted.is_empty());
    let best =
        |detections: &[trainer::validate::nms::Detection]| detections.iter().take(3).map(|it| it.score).sum::<f32>();
    assert!((best(&got) - best(&wanted)).abs() < 1e-3, "{} and {}", best(&got), best(&wanted));
}

#[test]
fn kernels_of_attention_are_right() {
    let kinds = if gpu().is_some() { vec![Kind::Half, Kind::Float] } else { vec![Kind::BFloat16, Kind::Float] };
    for kind in kinds {
        let trials = trials(tested(), kind, Shape::of_network(1, 640)).unwrap();
        let ran: Vec<_> = trials.iter().filter(|trial| trial.cost.is_some()).map(|trial| trial.kernel.name()).collect();
        assert!(ran.contains(&"math") && ran.len() >= 2, "{kind:?}: only {ran:?} ran: {trials:?}");
    }
}

#[test]
fn memory_of_a_gpu_is_counted() {
    let Some(index) = gpu() else {
        assert!(cuda::Memory::of(0).is_err() || cuda::has_gpu());
        return;
    };
    const BYTES: i64 = 64 << 20;
    let before = cuda::Memory::of(index).unwrap();
    let tensor = Tensor::zeros([BYTES], (Kind::Uint8, tested()));
    let during = cuda::Memory::of(index).unwrap();
    assert_eq!(during.allocated - before.allocated, BYTES as u64);
    drop(tensor);
    let after = cuda::Memory::of(index).unwrap();
    assert!(after.allocated == before.allocated && after.allocated_peak >= during.allocated);
    cuda::reset_peak(index).unwrap();
    cuda::empty_cache().unwrap();
    assert!(cuda::Memory::of(index).unwrap().reserved < during.reserved);
    cuda::set_fraction(index, 0.001).unwrap();
    let message = Tensor::f_zeros([8 << 30], (Kind::Uint8, tested())).unwrap_err().to_string();
    assert!(message.contains("out of memory"), "{message}");
    cuda::set_fraction(index, 1.0).unwrap();
}

#[test]
fn streams_run_beside_and_wait_for_events() {
    let Some(index) = gpu() else {
        assert!(cuda::Stream::new(0, false).is_err() || cuda::has_gpu());
        return;
    };
    let stream = cuda::Stream::new(index, true).unwrap();
    let (start, end) = (cuda::Event::new(true).unwrap(), cuda::Event::new(true).unwrap());
    let x = Tensor::ones([2000, 2000], (Kind::Float, tested()));
    let ready = cuda::Event::new(false).unwrap();
    ready.record(None).unwrap();
    let product = {
        let _current = stream.enter(index).unwrap();
        stream.wait(&ready).unwrap();
        start.record(None).unwrap();
        let product = (0..8).fold(x.shallow_clone(), |y, _| y.matmul(&x) / 2000.0);
        end.record(Some(&stream)).unwrap();
        product
    };
    stream.record(&x).unwrap();
    end.synchronize().unwrap();
    assert!(end.is_done().unwrap() && end.seconds_since(&start).unwrap() > 0.0);
    stream.synchronize().unwrap();
    assert_eq!(product.double_value(&[3, 5]), 1.0);
}

#[test]
fn a_graph_replays_what_was_captured() {
    let Some(index) = gpu() else {
        assert!(cuda::Graph::new(0).is_err() || cuda::has_gpu());
        return;
    };
    let graph = cuda::Graph::new(index).unwrap();
    let mut x = Tensor::ones([100], (Kind::Float, tested()));
    let mut total = Tensor::zeros([100], (Kind::Float, tested()));
    {
        let _current = graph.stream().enter(index).unwrap();
        let _warm = (&x * 3.0).sum(Kind::Float);
    }
    let capture = graph.capture(None).unwrap();
    let _ = total.g_add_(&(&x * 3.0));
    let drawn = Tensor::rand([100], (Kind::Float, tested()));
    capture.end().unwrap();
    assert_eq!(total.double_value(&[7]), 0.0, "a capture runs nothing");
    graph.replay().unwrap();
    let first = drawn.copy();
    let _ = x.fill_(2.0);
    graph.replay().unwrap();
    assert_eq!(total.double_value(&[7]), 9.0);
    assert!((first - &drawn).abs().max().double_value(&[]) > 0.0, "each replay draws anew");

    let failed = graph_that_synchronises(index, &x);
    assert!(failed.to_lowercase().contains("captur"), "{failed}");
    assert_eq!((&x + 1.0).double_value(&[0]), 3.0, "the device goes on after a capture that failed");
}

fn graph_that_synchronises(index: usize, x: &Tensor) -> String {
    let graph = cuda::Graph::new(index).unwrap();
    let _capture = graph.capture(None).unwrap();
    x.sum(Kind::Float).f_double_value(&[]).unwrap_err().to_string()
}

#[test]
fn a_gpus_random_numbers_go_on_from_a_kept_state() {
    let Some(index) = gpu() else {
        assert!(RandomState::of(Device::Cuda(0)).is_err() || cuda::has_gpu());
        return;
    };
    let device = Device::Cuda(index);
    let state = RandomState::of(device).unwrap();
    let drawn = || Tensor::rand([64], (Kind::Float, device));
    let (first, second) = (drawn(), drawn());
    state.restore().unwrap();
    assert_eq!(error(&drawn(), &first.to_device(Device::Cpu)), 0.0);
    assert_eq!(error(&drawn(), &second.to_device(Device::Cpu)), 0.0);
}
