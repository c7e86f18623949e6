//! The plan of a run: made from its configuration and what a few probe steps cost, told, saved in its run.toml and used
//! again when the run is started from there.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    Bytes, Care, Checkpointing, Limit,
    planner::{Choice, Demand, Level, Measure as _, choose},
    probe::{Probe, ProbeSize},
    process::resident,
};
use crate::{
    config::RunConfig,
    data::cache::free_memory,
    loss::LossChain,
    model::{Network, Role},
    torch::allocator,
};

/// Of the memory that is free `batch=auto` takes so much, where no budget is given.
const PERCENT: u64 = 60;

/// Of the budget so much may lie in batches that wait to be trained, as far as a single one is not more.
const WAITING_SHARE: u64 = 10;

/// Batches in the loader beside those that may wait: one in work, one being trained.
const UNDER_WAY: u64 = 2;

/// How batches go through the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Images at once.
    pub micro_batch: usize,
    /// Whether blocks are computed again in the backward.
    pub gradient_checkpointing: bool,
    /// The most bytes of tensors that are expected.
    pub predicted: Bytes,
    /// The most bytes of tensors that are allowed; more is an error where it is asked for.
    pub limit: Bytes,
    /// The run that it was made for; another one makes its own.
    pub made_for: String,
}

/// What a plan is made for.
pub struct Subject<'a> {
    /// The run as it was asked for.
    pub config: &'a RunConfig,
    /// Its network.
    pub network: &'a Network,
    /// Its classes.
    pub classes: usize,
    /// Training images.
    pub images: usize,
    /// Objects of the fullest training image, mosaics thought of.
    pub objects: usize,
    /// Tensors of the optimizer's state for each parameter.
    pub moments: u64,
    /// Bytes that a cache of images is going to fill.
    pub cache: u64,
    /// Batches that may wait where memory is no concern.
    pub prefetch: usize,
}

/// What was decided.
pub struct Decision {
    /// Images of a batch.
    pub batch: usize,
    /// Images at once.
    pub micro_batch: usize,
    /// Whether blocks are computed again in the backward.
    pub checkpointing: bool,
    /// Batches that may wait in the loader.
    pub prefetch: usize,
    /// The budget it was made for, where there is one.
    pub budget: Option<Bytes>,
    /// The plan, to be saved; none where memory is no concern.
    pub plan: Option<Plan>,
    /// What enforces it.
    pub limit: Option<Limit>,
}

/// Decides; measures only where there is a budget and no plan for it yet. `chain` makes a loss for that.
///
/// # Errors
/// If not even one image fits; if a probe step fails.
pub fn decide(run: &Subject, chain: impl FnOnce() -> Result<LossChain>) -> Result<Decision> {
    let train = &run.config.train;
    if let Ok(x) = std::env::var("TRAINER_X") {
        let v: Vec<i32> = x.split(',').map(|v| v.parse().unwrap()).collect();
        crate::allocator::thresholds(v[0], v[1]);
    }
    let Some(budget) = run.budget()? else {
        let batch = train.batch.or(1);
        let checkpointing = train.gradient_checkpointing == Checkpointing::On;
        let prefetch = run.prefetch;
        return Ok(Decision {
            batch,
            micro_batch: batch,
            checkpointing,
            prefetch,
            budget: None,
            plan: None,
            limit: None,
        });
    };
    let (batch, plan) = match (&train.plan, train.batch.images()) {
        (Some(plan), Some(batch)) if plan.made_for == run.name(budget, batch) => {
            tracing::info!("memory plan of the run file: {}", sentence(batch, plan));
            (batch, plan.clone())
        }
        (other, _) => {
            if let Some(Plan { made_for, .. }) = other {
                tracing::info!("the memory plan of the run file is for another run ({made_for}): making one");
            }
            run.plan(budget, chain)?
        }
    };
    let limit = Limit::set(run.network.device(), plan.limit.0)?;
    allocator(run.network.device())?.reset_peak();
    Ok(Decision {
        batch,
        micro_batch: plan.micro_batch,
        checkpointing: plan.gradient_checkpointing,
        prefetch: run.prefetch_within(budget, batch),
        budget: Some(budget),
        plan: Some(plan),
        limit: Some(limit),
    })
}

impl Subject<'_> {
    /// What may be used, where there is a bound.
    fn budget(&self) -> Result<Option<Bytes>> {
        let train = &self.config.train;
        match (train.memory, train.memory_budget, train.batch.images()) {
            (Care::Off, ..) => Ok(None),
            (Care::Auto, Some(budget), _) => Ok(Some(budget)),
            (Care::Auto, None, Some(_)) => Ok(None),
            (Care::Auto, None, None) => {
                let Some(free) = free_memory() else {
                    bail!(
                        "batch=auto cannot find out how much memory is free here: give memory_budget=, or a batch size"
                    )
                };
                let budget = Bytes(resident() + free / 100 * PERCENT);
                tracing::info!("batch=auto without memory_budget: planning with {budget}, {PERCENT} % of what is free");
                Ok(Some(budget))
            }
        }
    }

    /// What a plan depends on.
    fn name(&self, Bytes(budget): Bytes, batch: usize) -> String {
        let RunConfig { model, train, optimizer, .. } = self.config;
        format!(
            "{} for {} classes at {} px in {:?}, batch {batch}, nbs {}, {budget} bytes, gradient_checkpointing {:?}, device {}",
            model.name,
            self.classes,
            self.side(),
            self.network.training().kind,
            optimizer.nbs,
            train.gradient_checkpointing,
            train.device
        )
        .to_lowercase()
    }

    /// The largest side of an input in pixels.
    fn side(&self) -> u32 {
        let longest = f64::from(self.config.model.imgsz) * (1.0 + self.config.train.multi_scale);
        (longest as u32).div_ceil(32) * 32
    }

    /// Bytes of an image as the loader makes it.
    fn picture(&self) -> u64 {
        3 * u64::from(self.config.model.imgsz).pow(2)
    }

    /// Batches that may wait beside the one that is being trained and the one in work.
    fn prefetch_within(&self, Bytes(budget): Bytes, batch: usize) -> usize {
        let room = budget / WAITING_SHARE / (self.picture() * batch.min(self.images).max(1) as u64);
        (room.saturating_sub(UNDER_WAY) as usize).min(self.prefetch)
    }

    /// Measures, chooses and tells.
    fn plan(&self, budget: Bytes, chain: impl FnOnce() -> Result<LossChain>) -> Result<(usize, Plan)> {
        let RunConfig { model, train, optimizer, .. } = self.config;
        let (device, batch) = (self.network.device(), train.batch.images());
        let allocator = allocator(device)?;
        let of_role = |is_asked: fn(Role) -> bool| {
            let tensors = self.network.tensors().filter(|(spec, _)| is_asked(spec.role));
            tensors.map(|(_, tensor)| num_bytes(tensor)).sum::<u64>()
        };
        let (all, trained) = (of_role(|_| true), of_role(|role| !matches!(role, Role::Buffer | Role::Constant)));
        let earlier = if optimizer.nbs > train.batch.or(1) { trained } else { 0 };
        let kept = all + self.moments * trained + earlier; // the average, the optimizer's state, gradients so far
        let outside = || resident().saturating_sub(allocator.allocated()) + self.cache;
        let (least, program) = (all + trained + kept, outside());
        ensure!(
            budget.0 > program + least,
            "{budget} of memory are too little: the program itself takes {}, and the weights of {} with gradients, average \
             and the optimizer's state {}; give a larger memory_budget{}",
            Bytes(program),
            model.name,
            Bytes(least),
            if model.name.ends_with('n') { "" } else { " or take a smaller model" }
        );
        let prefetch = batch.map_or(self.prefetch, |batch| self.prefetch_within(budget, batch)) as u64;
        let waiting = (prefetch + UNDER_WAY) * self.picture();
        let _bound = Limit::set(device, budget.0 - program - kept + allocator.allocated())?;
        let size = ProbeSize { side: self.side(), objects: self.objects, classes: self.classes };
        let mut probe = Probe::new(self.network, chain()?, size)?;
        let levels = match train.gradient_checkpointing {
            Checkpointing::Auto => vec![false, true],
            only => vec![only == Checkpointing::On],
        };
        probe.step(levels[0], 1)?; // the first step of a process loads and makes kernels, which are no tensors
        allocator.release_unused();
        let demand = Demand { batch, images: self.images, budget: budget.0, outside: outside(), kept, waiting, levels };
        let choice = choose(&demand, &mut probe)?;
        drop(probe);
        allocator.release_unused();
        let level = &choice.levels[choice.chosen];
        let plan = Plan {
            micro_batch: choice.micro_batch,
            gradient_checkpointing: level.checkpointing,
            predicted: Bytes(level.bytes(choice.micro_batch)),
            limit: Bytes(choice.limit),
            made_for: self.name(budget, choice.batch),
        };
        tell(&demand, &choice, &plan);
        Ok((choice.batch, plan))
    }
}

fn num_bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

/// A line for each level, then what was chosen and why.
fn tell(demand: &Demand, choice: &Choice, plan: &Plan) {
    for line in table(demand, choice) {
        tracing::info!("{line}");
    }
    let rivals = choice.levels.iter().filter(|level| level.most > 0).count();
    let why = match (plan.micro_batch >= choice.batch.min(demand.images), rivals) {
        _ if demand.batch.is_none() => "as many as fit",
        (true, _) => "all of it fits",
        (false, 1) if choice.levels.len() > 1 => "nothing else fits",
        (false, 1) => "as many as fit",
        (false, _) => "the fastest that fits",
    };
    tracing::info!("memory plan: {} ({why})", sentence(choice.batch, plan));
}

/// What is measured and what would fit, with a heading.
fn table(demand: &Demand, choice: &Choice) -> Vec<String> {
    let mut lines = vec![format!(
        "memory: {} in all, {} of it for the program, {} for batches that wait, {} for tensors",
        Bytes(demand.budget),
        Bytes(demand.outside),
        Bytes(demand.budget.saturating_sub(demand.outside + choice.limit)),
        Bytes(choice.limit)
    )];
    lines.push(format!(
        "  {:<13} {:>10} {:>10} {:>11} {:>10}",
        "checkpointing", "fixed", "an image", "micro-batch", "s an image"
    ));
    for (i, level) in choice.levels.iter().enumerate() {
        let Level { checkpointing, fixed, per_image, most, seconds: [step, image] } = *level;
        let mark = if i == choice.chosen { '>' } else { ' ' };
        let name = if checkpointing { "on" } else { "off" };
        let row = match most {
            0 => format!("{mark} {name:<13} does not fit"),
            _ => format!(
                "{mark} {name:<13} {:>10} {:>10} {most:>11} {:>10.3}",
                Bytes(fixed).to_string(),
                Bytes(per_image).to_string(),
                image + step / most as f64
            ),
        };
        lines.push(row);
    }
    lines
}

/// What a plan is, in words.
fn sentence(batch: usize, plan: &Plan) -> String {
    let Plan { micro_batch, gradient_checkpointing, predicted, limit, .. } = plan;
    let parts = batch.div_ceil(*micro_batch);
    let how = match parts {
        0 | 1 => format!("batches of {batch} at once"),
        _ => format!("batches of {batch} in {parts} parts of at most {micro_batch} images"),
    };
    let checkpointing = if *gradient_checkpointing { "with" } else { "without" };
    format!("{how}, {checkpointing} gradient checkpointing, {predicted} of {limit} expected")
}
