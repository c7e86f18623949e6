//! Train: the loop. Read this page first; every stage is called by its name, and nothing here asks whether a part is
//! built in or loaded.
//!
//! dataset → augment → batch → model → loss → backward → optimizer → ema → validate → checkpoint

use std::{path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, ensure};

use crate::{
    batch::Part,
    config::RunConfig,
    loss::{LossChain, LossPoint, LossValues},
    means::Means,
    memory::advise,
    model::{Anchors, Network},
    progress::RunProgress,
    registry::Registry,
    report::STEPS_PER_LINE,
    run::Run,
    validate::validate,
};

/// What a finished run leaves behind.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The run's directory.
    pub dir: PathBuf,
    /// The epoch of `weights/best.safetensors`, from 1.
    pub best_epoch: usize,
    /// Its mAP50, 0..1.
    pub map50: f64,
    /// Its mAP50-95, 0..1.
    pub map50_95: f64,
    /// Wall time of all epochs in seconds, validation included.
    pub seconds: f64,
}

/// Trains as configured (see [`settings::resolve`](crate::settings::resolve)) and returns where the results are.
///
/// # Errors
/// What stopped the run; weights and rows written before it stay.
pub fn train(config: &RunConfig, registry: &Registry) -> Result<Summary> {
    let mut run = Run::open(config, registry).map_err(advise)?;
    let mut best: Option<Summary> = None;
    let start = Instant::now();

    for epoch in 0..config.train.epochs {
        run.progress.epoch = epoch;
        let losses = train_epoch(&mut run).map_err(|error| run.rescue(error))?;

        let reached = point(&run.progress);
        let followed = run.val_loss.follow(&run.loss, run.ema.adopted());
        let outcome =
            followed.and_then(|()| validate(run.ema.network(), &run.val, &run.nms, Some((&mut run.val_loss, reached))));
        let outcome = outcome.map_err(|error| run.rescue(error))?;
        run.name_skipped(&outcome.skipped);
        run.report.epoch_done(&run.progress, &losses, &outcome, &run.rates)?;

        let (map50, map50_95) = (outcome.figures.map50, outcome.figures.map50_95);
        let is_best = best.as_ref().is_none_or(|best| map50_95 > best.map50_95);
        run.save(map50_95, is_best)?;
        if is_best {
            best = Some(Summary { dir: run.dir.clone(), best_epoch: epoch + 1, map50, map50_95, seconds: 0.0 });
        }

        run.progress.epoch_done(&losses, &outcome);
        let since_best = best.as_ref().map_or(0, |best| epoch + 1 - best.best_epoch);
        let patience = config.train.patience;
        if patience > 0 && since_best >= patience {
            run.report.say(&format!("stopped early: mAP50-95 has not risen for {patience} epochs (patience)"));
            break;
        }
    }
    run.report.finish();
    run.tell_memory();
    let best = best.context("epochs=0 trains nothing")?;
    Ok(Summary { seconds: start.elapsed().as_secs_f64(), ..best })
}

/// Where the run stands, for the losses.
fn point(progress: &RunProgress) -> LossPoint<'static> {
    LossPoint { epoch: progress.epoch, epochs: progress.epochs, step: progress.step, ..LossPoint::default() }
}

/// batch → model → loss → backward for some images: adds their gradients to those that the parameters have.
///
/// # Errors
/// Those of the stages, and if the device runs out of memory.
pub fn learn(part: &Part, network: &mut Network, chain: &mut LossChain, at: LossPoint) -> Result<LossValues> {
    let batch = part.load(network.kind(), network.device())?;
    let (_, _, height, width) = batch.images.size4()?;
    let anchors = Anchors::new(height, width, network.kind(), network.device());
    let predictions = network.forward_train(&batch.images)?;
    let at = LossPoint { size: (height, width), image_ids: &batch.image_ids, is_training: true, ..at };
    let loss = chain.evaluate(&predictions, &anchors, &batch.objects, at)?;
    loss.total.f_backward()?;
    Ok(loss)
}

/// One pass over the training images; returns the mean loss terms.
fn train_epoch(run: &mut Run) -> Result<Vec<(String, f64)>> {
    let mut means = Means::default();
    let first = run.progress.step;
    run.report.epoch(&run.progress);
    let mut batches = run.train.epoch(run.progress.epoch);
    while let Some(raw) = batches.next() {
        let raw = raw?; // dataset → augment, in the loader's threads
        run.name_skipped(&raw.skipped);
        if raw.samples.is_empty() {
            continue;
        }
        run.pictures.batch(run.progress.step, &raw);
        let batch = Part::whole(&raw, run.multi_scale.side(run.progress.epoch, run.progress.step));
        // learn from all of it: at once, or in parts where memory is short
        let loss = run.step.gradients(&batch, &mut run.network, &mut run.loss, point(&run.progress), learn)?;
        let losses = loss.values()?;
        run.adopt_loss_parameters()?;

        let scheduled = run.progress.rates(run.scheduler.as_mut(), &mut run.rates);
        scheduled.with_context(|| format!("scheduler {}", run.scheduler_name))?;
        if run.accumulation.is_full(run.progress.step) {
            run.optimizer.step(&run.rates)?;
            run.ema.update()?;
        }

        let losses = run.progress.step.is_multiple_of(STEPS_PER_LINE).then_some(losses.as_slice());
        run.report.step(&run.progress, raw.samples.len(), batches.status(), losses, &run.rates)?;
        means.add(&loss.terms)?;
        run.progress.step += 1;
    }
    ensure!(run.progress.step > first, "none of the training images can be decoded; the warnings above say why");
    means.finish()
}
