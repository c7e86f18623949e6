//! `trainer bench`: how long a training step takes, and where.

use std::time::Instant;

use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};
use trainer_sdk::Rng;

use crate::{
    batch::Batch,
    config::RunConfig,
    data::Split,
    device,
    ema::Ema,
    loss::{LossPoint, Objects},
    model::{Anchors, Keep, Network, Scale, Training, Yolo12},
    optimizer::{Optimizer, Rule, RunSize},
    process,
    registry::Registry,
    run,
    torch::allocator,
};

/// Batches that are prepared, and used in turn.
const BATCHES: usize = 8;
/// Classes where no data is named, as COCO has.
const CLASSES: i64 = 80;

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub struct StepOptions {
    /// Steps that are timed, after [`StepOptions::warm_up`] others.
    pub steps: usize,
    /// Steps before.
    pub warm_up: usize,
    /// What convolutions keep for the backward pass.
    pub keep: Keep,
}

/// Medians over the steps, in seconds; the parts end where the device has done its work.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepTimes {
    /// A whole step.
    pub step: f64,
    /// From images to predictions.
    pub forward: f64,
    /// From predictions to the loss.
    pub loss: f64,
    /// Gradients.
    pub backward: f64,
    /// Optimizer and moving average.
    pub update: f64,
    /// The fastest and the slowest whole step.
    pub range: [f64; 2],
    /// The most bytes that tensors have held on the device, batches and weights included.
    pub peak_bytes: u64,
}

/// Times training steps on batches in memory: of the training images where `data` is configured, else of noise with 8
/// boxes an image.
///
/// # Errors
/// Those of a training run.
pub fn step(config: &RunConfig, registry: &Registry, options: &StepOptions) -> Result<StepTimes> {
    ensure!(options.steps > 0, "steps=0 times nothing");
    let device = device::parse(&config.train.device)?;
    process::prepare(&config.train, device, config.train.amp.kind(device, device::has_bf16(device))?)?;
    let (classes, batches) = if config.data.path.is_some() { real(config, registry)? } else { synthetic(config)? };
    let description = Yolo12::new(config.model.name.parse::<Scale>()?, classes);
    let mut network = Network::new(description, config.train.seed, Kind::Float, device)?;
    let kind = config.train.amp.kind(device, device::has_bf16(device))?;
    network.set_training(Training { kind, keep: options.keep, checkpointing: config.train.gradient_checkpointing });
    let names = vec![String::new(); classes as usize];
    let ready = run::ready_context(config, &names, batches.len() * config.train.batch);
    let mut chain = run::loss_chain(config, registry, &ready, &network, true)?;
    let size =
        RunSize { images: 1, batch: config.train.batch, nbs: config.optimizer.nbs, epochs: 1, classes: names.len() };
    let rule = Rule::named(&config.optimizer.name, config.optimizer.lr0, config.optimizer.momentum, size)?;
    let mut optimizer = Optimizer::new(&network, rule, config.optimizer.weight_decay)?;
    let rates = optimizer.rates();
    let mut ema = Ema::new(&network)?;

    let allocator = allocator(device)?;
    allocator.reset_peak();
    let mut times: [Vec<f64>; 5] = Default::default();
    for i in 0..options.warm_up + options.steps {
        let batch = &batches[i % batches.len()];
        let (_, _, height, width) = batch.images.size4()?;
        let mut at = vec![now(device)?];
        let predictions = network.forward_train(&batch.images)?;
        at.push(now(device)?);
        let anchors = Anchors::new(height, width, network.kind(), device);
        let point =
            LossPoint { size: (height, width), image_ids: &batch.image_ids, is_training: true, ..LossPoint::default() };
        let loss = chain.evaluate(&predictions, &anchors, &batch.objects, point)?;
        at.push(now(device)?);
        loss.total.f_backward()?;
        at.push(now(device)?);
        optimizer.step(&rates)?;
        ema.update()?;
        at.push(now(device)?);
        if i >= options.warm_up {
            let spans = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64());
            let whole = (at[4] - at[0]).as_secs_f64();
            times.iter_mut().zip([whole].into_iter().chain(spans)).for_each(|(times, time)| times.push(time));
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    let range = [times[0][0], times[0][options.steps - 1]];
    let [step, forward, loss, backward, update] = times.map(|times| times[times.len() / 2]);
    Ok(StepTimes { step, forward, loss, backward, update, range, peak_bytes: allocator.peak() })
}

/// When the device has done everything that it was given so far.
fn now(device: Device) -> Result<Instant> {
    device::synchronize(device)?;
    Ok(Instant::now())
}

/// The most memory that this process has held so far, in bytes; 0 where the system does not say.
#[must_use]
pub fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    1024 * kilobytes.unwrap_or(0)
}

/// Number of classes and batches of the training images.
fn real(config: &RunConfig, registry: &Registry) -> Result<(i64, Vec<Batch>)> {
    let device = device::parse(&config.train.device)?;
    let set = run::datasets(config, &[(Split::Train, config.data.fraction)])?.remove(0);
    let names = set.names.clone();
    let ready = run::ready_context(config, &names, set.records.len());
    let loader = run::train_loader(config, registry, &ready, set)?;
    let batches = loader.epoch(0).take(BATCHES).map(|raw| Batch::new(&raw?, Kind::Float, device));
    Ok((names.len() as i64, batches.collect::<Result<_>>()?))
}

fn synthetic(config: &RunConfig) -> Result<(i64, Vec<Batch>)> {
    const BOXES: i64 = 8;
    let device = device::parse(&config.train.device)?;
    let (count, side) = (config.train.batch as i64, i64::from(config.model.imgsz));
    let mut rng = Rng::from_key(&[config.train.seed]);
    let batch = (|| {
        let bytes: Vec<u8> = (0..count * 3 * side * side).map(|_| rng.uniform(0.0, 256.0) as u8).collect();
        let images = Tensor::f_from_slice(&bytes)?.f_view([count, side, side, 3])?.f_permute([0, 3, 1, 2])?;
        let mut boxes = Vec::new();
        for _ in 0..count * BOXES {
            let [width, height] = [0; 2].map(|_| rng.uniform(0.05, 0.5) * side as f64);
            let [x, y] = [width, height].map(|extent| rng.uniform(0.0, side as f64 - extent));
            boxes.extend([x, y, x + width, y + height].map(|value| value as f32));
        }
        let classes: Vec<i64> = (0..count * BOXES).map(|_| rng.uniform(0.0, CLASSES as f64) as i64).collect();
        anyhow::Ok(Batch {
            images: images.f_to_device(device)?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?,
            objects: Objects {
                classes: Tensor::f_from_slice(&classes)?.f_view([count, BOXES])?.f_to_device(device)?,
                boxes: Tensor::f_from_slice(&boxes)?.f_view([count, BOXES, 4])?.f_to_device(device)?,
                valid: Tensor::f_ones([count, BOXES], (Kind::Bool, device))?,
            },
            image_ids: (0..count as u64).collect(),
        })
    })()?;
    Ok((CLASSES, vec![batch]))
}
