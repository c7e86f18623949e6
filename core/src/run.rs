//! A run's parts, one a room, opened from the configuration.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use tch::Kind;
use trainer_sdk::{Rates, ReadyContext, Scheduler};

use crate::{
    accumulate::Accumulation,
    augment::{Pipeline, Stage, recipe},
    checkpoint::{self, Card},
    config::{ComponentConfig, DataConfig, RunConfig},
    data::{
        DataYaml, Dataset, OpenOptions, Split, cache, demo,
        loader::{Loader, LoaderOptions},
    },
    device,
    ema::Ema,
    loss::{LossChain, LossParameters},
    memory::{self, BatchSize, Bytes, Decision, Limit, Peaks, Subject},
    model::{Network, Scale, Training, Yolo12},
    multi_scale::MultiScale,
    optimizer::{Optimizer, Rule, RunSize},
    pictures::RunPictures,
    progress::RunProgress,
    registry::Registry,
    report::Report,
    run_dir,
    step::Step,
    torch,
    validate::{self, nms::NmsOptions},
};

/// Finished batches that may wait for the training thread.
pub(crate) const PREFETCH: usize = 4;

/// Tensors of state for each parameter that an optimizer has at most.
const MOST_MOMENTS: u64 = 2;

/// Everything that the loop uses.
pub struct Run {
    /// Makes the augmented training batches.
    pub train: Loader,
    /// Draws the input sizes of training batches.
    pub multi_scale: MultiScale,
    /// Makes the letterboxed validation batches.
    pub val: Loader,
    /// The weights that are trained.
    pub network: Network,
    /// The loss chain.
    pub loss: LossChain,
    /// The same chain for validation, so that links with state see training batches only.
    pub val_loss: LossChain,
    /// Computes the gradients of batches.
    pub step: Step,
    /// Bounds the memory of tensors while the run lasts, where it has a budget.
    pub limit: Option<Limit>,
    /// Moves the weights.
    pub optimizer: Optimizer,
    /// Sets the rates.
    pub scheduler: Box<dyn Scheduler>,
    /// Its name, for messages.
    pub scheduler_name: String,
    /// The rates that it set last, one a group.
    pub rates: Vec<Rates>,
    /// Decides when gradients are enough for a step.
    pub accumulation: Accumulation,
    /// The averaged weights.
    pub ema: Ema,
    /// How detections are made.
    pub nms: NmsOptions,
    /// Where the run stands.
    pub progress: RunProgress,
    /// Prints and writes.
    pub report: Report,
    /// Draws what the network is shown.
    pub pictures: RunPictures,
    /// The run's directory.
    pub dir: PathBuf,
    card: Card,
    skipped: BTreeSet<PathBuf>,
}

impl Run {
    /// Opens all parts. The directory comes last, so that a mistake leaves none behind.
    ///
    /// # Errors
    /// What the user must mend: data, weights, options.
    pub fn open(config: &RunConfig, registry: &Registry) -> Result<Self> {
        let mut config = config.clone();
        let device = device::parse(&config.train.device)?;
        let mut sets = datasets(&config, &[(Split::Train, config.data.fraction), (Split::Val, 1.0)])?;
        let buffers = torch::buffers(device);
        let (val_set, train_set) = (sets.remove(1), sets.remove(0));
        let (names, images) = (train_set.names.clone(), train_set.records.len());

        tell_of_recipe(&config, &train_set);
        let description = Yolo12::new(config.model.name.parse::<Scale>()?, names.len() as i64);
        let mut network = Network::new(description, config.train.seed, Kind::Float, device)?;
        if let Some(path) = &config.model.weights {
            network.load(&checkpoint::read(path)?.0).with_context(|| format!("weights={}", path.display()))?;
        }
        let kind = config.train.amp.kind(device, device::has_bf16(device))?;
        network.set_training(Training { kind, ..network.training() });
        let memory = plan(&config, registry, &network, &train_set, cache::bytes_in_memory(&[&train_set, &val_set]))?;
        let batch = memory.batch;
        config.train.batch = BatchSize::Images(batch);
        (config.train.memory_budget, config.train.plan) = (memory.budget, memory.plan);
        network.set_training(Training { checkpointing: memory.checkpointing, ..network.training() });
        let config = &config;

        let ready = ready_context(config, &names, images);
        let train = train_loader(config, registry, &ready, train_set.clone(), memory.prefetch)?;
        let train = train.with_buffers(Arc::clone(&buffers));
        let (imgsz, workers, is_rect) = (config.model.imgsz, config.data.workers, config.data.rect.unwrap_or(true));
        let val = validate::loader(val_set, 2 * memory.micro_batch, imgsz, workers, is_rect).with_buffers(buffers);
        let step = Step::new(&network, memory.micro_batch, config.train.memory, config.train.normaliser)?;

        let size = run_size(config, images, batch, names.len());
        let rule = rule(config, size)?;
        let accumulation = Accumulation::new(size, warmup_epochs(&config.schedule), train.num_batches());
        let decay = config.optimizer.weight_decay * accumulation.decay_factor();
        let optimizer = Optimizer::new(&network, rule, decay)?;
        tracing::info!("optimizer {optimizer}; {} images a step", accumulation.nominal() * batch);
        let progress =
            RunProgress { steps_per_epoch: train.num_batches(), epochs: config.train.epochs, ..RunProgress::default() };
        let card = Card {
            format: 1,
            model: network.description().name.clone(),
            names,
            imgsz: config.model.imgsz,
            epoch: 0,
            map50_95: 0.0,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let chain = |is_trained| loss_chain(config, registry, &ready, &network, is_trained);
        let (loss, val_loss) = (chain(true)?, chain(false)?);
        let mut scheduler = registry.scheduler(&config.schedule.name, &options(&config.schedule))?;
        scheduler.ready(&ready).with_context(|| format!("scheduler {}", config.schedule.name))?;
        let ema = Ema::new(&network)?;
        let nms =
            NmsOptions { conf: config.val.conf, iou: config.val.iou, max_det: config.val.max_det, ..NmsOptions::val() };
        let dir = run_dir::create(&config.train)?;
        let text = toml::to_string_pretty(config).context("the configuration cannot be written as TOML")?;
        checkpoint::write(&dir.join("run.toml"), text.as_bytes())?;
        let report = Report::new(&dir, &config.data, device)?;
        report.say(&format!("run directory {}", dir.display()));
        let mut pictures = RunPictures::new(&dir, &card.names, config.train.plots);
        pictures.labels(train_set, config.model.imgsz);
        let (rates, skipped) = (optimizer.rates(), BTreeSet::new());
        Ok(Self {
            train,
            multi_scale: MultiScale {
                share: config.train.multi_scale,
                imgsz: config.model.imgsz,
                seed: config.train.seed,
            },
            val,
            network,
            loss,
            val_loss,
            step,
            limit: memory.limit,
            optimizer,
            scheduler,
            scheduler_name: config.schedule.name.clone(),
            rates,
            accumulation,
            ema,
            nms,
            progress,
            report,
            pictures,
            dir,
            card,
            skipped,
        })
    }

    /// Saves the averaged weights as `last`, and as `best` where they are.
    ///
    /// # Errors
    /// If a file cannot be written; older files stay.
    pub fn save(&mut self, map50_95: f64, is_best: bool) -> Result<()> {
        self.card.epoch = self.progress.epoch + 1;
        self.card.map50_95 = map50_95;
        let weights = self.dir.join("weights");
        let (network, of_losses) = (self.ema.network(), self.ema.adopted());
        checkpoint::save(&weights.join("last.safetensors"), network, of_losses, &self.card)?;
        if is_best {
            checkpoint::save(&weights.join("best.safetensors"), network, of_losses, &self.card)?;
        }
        Ok(())
    }

    /// Tells what memory was used at most, where that was bounded or has run out.
    pub fn tell_memory(&self) {
        let (Peaks { tensors, process }, shown) = (Peaks::now(self.network.device()), |bytes: Option<u64>| {
            bytes.map_or("unknown".to_owned(), |bytes| Bytes(bytes).to_string())
        });
        let Step { micro_batch, halvings, .. } = self.step;
        if self.limit.is_some() || halvings > 0 {
            let allowed = self.limit.as_ref().map_or(String::new(), |limit| format!(" of {} allowed", limit.bytes));
            let ran_out = if halvings > 0 { format!(", memory ran out {halvings} times") } else { String::new() };
            self.report.say(&format!(
                "memory at most: tensors {}{allowed}, process {}; {micro_batch} images at once{ran_out}",
                shown(tensors),
                shown(process)
            ));
        }
    }

    /// What stopped the run, with what may be changed where memory was out, after the weights of the last whole step were saved as `last` and that was said.
    pub fn rescue(&self, error: anyhow::Error) -> anyhow::Error {
        let error = memory::advise(error);
        let (step, path) = (self.progress.step, self.dir.join("weights/last.safetensors"));
        if step == 0 {
            return error; // nothing was learnt yet
        }
        match checkpoint::save(&path, self.ema.network(), self.ema.adopted(), &self.card) {
            Ok(()) => self.report.say(&format!("the weights after step {step} are saved in {}", path.display())),
            Err(failed) => self.report.say(&format!("the weights after step {step} cannot be saved: {failed:#}")),
        }
        error
    }

    /// Hands parameters that a loss has just asked for the first time to the optimizer and to the average.
    ///
    /// # Errors
    /// If memory is out.
    pub fn adopt_loss_parameters(&mut self) -> Result<()> {
        let known = self.ema.adopted().len();
        for named in &self.loss.parameters().all()[known..] {
            self.optimizer.adopt(&named.1)?;
            self.ema.adopt(named);
        }
        Ok(())
    }

    /// Tells of images that could not be read, once each; the run goes on without them.
    pub fn name_skipped(&mut self, skipped: &[(PathBuf, String)]) {
        for (path, reason) in skipped {
            if self.skipped.insert(path.clone()) {
                tracing::warn!("image {} left out ({} so far): {reason}", path.display(), self.skipped.len());
            }
        }
    }
}

/// Opens splits of the configured data, or of the demo data where none is named, with the share of each that is used.
///
/// # Errors
/// A data.yaml or labels that cannot be meant; the message names the file.
pub fn datasets(config: &RunConfig, splits: &[(Split, f64)]) -> Result<Vec<Arc<Dataset>>> {
    let path = match &config.data.path {
        Some(path) => path.clone(),
        None => {
            let path = demo::cached()?;
            tracing::info!("no data= given: using the demo data {}", path.display());
            path
        }
    };
    let yaml = DataYaml::read(&path)?;
    let open = |&(split, fraction)| {
        let options =
            OpenOptions { fraction, single_cls: config.data.single_cls, ..OpenOptions::new(config.model.imgsz) };
        let dataset = Dataset::open(&yaml, split, &options)?;
        dataset.report.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
        tracing::info!("{split}: {} images, {} objects", dataset.report.images(), dataset.report.objects);
        Ok(dataset)
    };
    let mut sets = splits.iter().map(open).collect::<Result<Vec<_>>>()?;
    let DataConfig { cache, cache_dir, workers, .. } = &config.data;
    cache::attach(&mut sets, *cache, cache_dir.as_deref(), &yaml, *workers)?;
    Ok(sets.into_iter().map(Arc::new).collect())
}

/// Makes the augmented training batches; `prefetch` of them may wait.
pub(crate) fn train_loader(
    config: &RunConfig,
    registry: &Registry,
    ready: &ReadyContext,
    set: Arc<Dataset>,
    prefetch: usize,
) -> Result<Loader> {
    let options = LoaderOptions {
        batch: config.train.batch.or(1),
        imgsz: config.model.imgsz,
        epochs: config.train.epochs,
        seed: config.train.seed,
        shuffle: true,
        rect: config.data.rect.unwrap_or(false).then_some(0.0),
        workers: config.data.workers,
        prefetch,
    };
    Ok(Loader::new(set, pipeline(config, registry, ready)?, options))
}

/// How batches go through the network: all at once, or as the memory budget allows.
fn plan(
    config: &RunConfig,
    registry: &Registry,
    network: &Network,
    train_set: &Dataset,
    cache: u64,
) -> Result<Decision> {
    let (images, classes) = (train_set.records.len(), train_set.names.len());
    let fullest = train_set.records.iter().map(|record| record.objects.len()).max().unwrap_or(0).max(1);
    let joined = if config.augment.iter().any(|stage| stage.name == "mosaic") { 4 } else { 1 };
    let moments = match config.train.batch.images() {
        Some(batch) => rule(config, run_size(config, images, batch, classes))?.moments(),
        None => MOST_MOMENTS,
    };
    let (objects, prefetch) = (joined * fullest, PREFETCH);
    let subject = Subject { config, network, classes, images, objects, moments, cache, prefetch };
    let ready = ready_context(config, &train_set.names, images);
    memory::decide(&subject, || loss_chain(config, registry, &ready, network, true))
}

fn run_size(config: &RunConfig, images: usize, batch: usize, classes: usize) -> RunSize {
    RunSize { images, batch, nbs: config.optimizer.nbs, epochs: config.train.epochs, classes }
}

fn rule(config: &RunConfig, size: RunSize) -> Result<Rule> {
    Rule::named(&config.optimizer.name, config.optimizer.lr0, config.optimizer.momentum, size)
}

/// Hints on the augmentations; a warning where one of them cannot act.
pub(crate) fn tell_of_recipe(config: &RunConfig, train_set: &Dataset) {
    recipe::hints(&config.augment, &config.model.name).iter().for_each(|hint| tracing::info!("{hint}"));
    let objects = || train_set.records.iter().flat_map(|record| &record.objects);
    let outlined = objects().filter(|object| !object.polygon.is_empty()).count();
    if let Some(idle) = recipe::idle_copy_paste(&config.augment, objects().count(), outlined) {
        tracing::warn!("{idle}");
    }
}

/// What components are told of the run before their first call.
pub(crate) fn ready_context(config: &RunConfig, names: &[String], num_images: usize) -> ReadyContext {
    let mut ready = ReadyContext::default();
    ready.model.clone_from(&config.model.name);
    ready.class_names = names.to_vec();
    ready.imgsz = config.model.imgsz;
    (ready.batch, ready.epochs, ready.seed) = (config.train.batch.or(1), config.train.epochs, config.train.seed);
    ready.num_images = num_images;
    ready
}

/// The augmentations of a run.
pub(crate) fn pipeline(config: &RunConfig, registry: &Registry, ready: &ReadyContext) -> Result<Pipeline> {
    let stage = |component: &ComponentConfig| {
        let name = &component.name;
        let mut augmentation = registry.augmentation(name, &options(component))?;
        augmentation.ready(ready).with_context(|| format!("augmentation {name}"))?;
        Ok(Stage::new(name, augmentation, config.data.on_error))
    };
    if config.data.rect != Some(true) {
        return Ok(Pipeline { stages: config.augment.iter().map(stage).collect::<Result<_>>()? });
    }
    let (stages, off) = recipe::rectangular(&config.augment);
    if !off.is_empty() {
        tracing::info!("rect=True: {} off, which would mix samples of different sizes", off.join(", "));
    }
    Ok(Pipeline { stages: stages.iter().map(stage).collect::<Result<_>>()? })
}

pub(crate) fn loss_chain(
    config: &RunConfig,
    registry: &Registry,
    ready: &ReadyContext,
    network: &Network,
    is_trained: bool,
) -> Result<LossChain> {
    let link = |component: &ComponentConfig| {
        Ok((component.name.clone(), registry.loss(&component.name, &options(component))?))
    };
    let links = config.loss.iter().map(link).collect::<Result<_>>()?;
    let parameters = LossParameters::new(network.kind(), network.device(), is_trained);
    let mut chain = LossChain::new(links, config.train.gains.by_name(), parameters);
    chain.ready(ready)?;
    Ok(chain)
}

/// A component's options as JSON.
fn options(component: &ComponentConfig) -> String {
    serde_json::Value::Object(component.options.clone()).to_string()
}

/// Gradient accumulation grows with the warm-up of the schedule, where it has one.
fn warmup_epochs(schedule: &ComponentConfig) -> f64 {
    schedule.options.get("warmup_epochs").and_then(serde_json::Value::as_f64).unwrap_or(0.0)
}
