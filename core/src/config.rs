//! A run as configuration: sections in the order of the flow, and every default. The resolved form is saved as
//! `run.toml` and alone reproduces the run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use trainer_loader::Policy;

use crate::{
    augment::{OnError, recipe},
    data::cache::CacheKind,
    precision::Amp,
    registry::Options,
    threads::Wait,
    torch::attention::Attention,
};

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Plugin files whose components may be named below.
    pub plugins: Vec<PathBuf>,
    /// How much trust plugin files need: `off`, `warn`, `lock` or `signed`; without one, `warn` for files that were
    /// named or lie beside the trainer, `lock` for those found elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin_policy: Option<Policy>,
    /// The lock file of trusted plugins; without one, the user's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugins_lock: Option<PathBuf>,
    /// Which images.
    pub data: DataConfig,
    /// The augmentations, in order.
    pub augment: Vec<ComponentConfig>,
    /// Which network.
    pub model: ModelConfig,
    /// The loss chain, in order.
    pub loss: Vec<ComponentConfig>,
    /// Which optimizer.
    pub optimizer: OptimizerConfig,
    /// The schedule of its rates.
    pub schedule: ComponentConfig,
    /// How long, how much at once, where to.
    pub train: TrainConfig,
    /// How detections are made and scored.
    pub val: ValConfig,
    /// The exporters that may be asked for.
    pub exporter: Vec<ComponentConfig>,
    /// What a model is exported to.
    pub export: ExportConfig,
}

/// A component by name, with its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentConfig {
    /// Its name.
    #[serde(rename = "use")]
    pub name: String,
    /// Its options; those left out take their defaults.
    #[serde(flatten)]
    pub options: Options,
}

/// `[data]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The data.yaml, or the folder of a data set; without one the demo data is made and used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The share of the training images that is used, above 0 to 1.
    pub fraction: f64,
    /// Whether all classes count as one.
    pub single_cls: bool,
    /// Loader threads; 0 loads in the training thread. The result does not depend on it.
    pub workers: usize,
    /// What follows when an augmentation fails: `fail`, `skip` or `disable`.
    pub on_error: OnError,
    /// Where decoded images are kept from one epoch to the next: `none`, `ram` (also `true`) or `disk`.
    #[serde(deserialize_with = "kind_or_switch")]
    pub cache: CacheKind,
    /// The folder of `cache = disk`; without one, in the user's cache folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_dir: Option<PathBuf>,
    /// Whether batches are rectangles that images of like aspect fill; without it, those of validation are and those of
    /// training are square.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rect: Option<bool>,
}

/// `[model]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// `yolo12n` to `yolo12x`.
    pub name: String,
    /// Weights to start from (safetensors); without any, fresh ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Side of the square input in pixels, a multiple of 32.
    pub imgsz: u32,
}

/// `[optimizer]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// `auto`, `SGD`, `AdamW` or `MuSGD`.
    pub name: String,
    /// Learning rate; without one, the optimizer's own rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr0: Option<f64>,
    /// Momentum, or AdamW's first beta; without one, the optimizer's own rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Decay of weights at the nominal batch.
    pub weight_decay: f64,
    /// Nominal batch: gradients of several batches are summed until so many images are seen.
    pub nbs: usize,
}

/// `[train]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Times each image is seen.
    pub epochs: usize,
    /// Images at once.
    pub batch: usize,
    /// The input size of each batch is drawn within [1 - x, 1 + x] times `imgsz`, in steps of 32 pixels; `true` is 0.5.
    #[serde(deserialize_with = "share_or_switch")]
    pub multi_scale: f64,
    /// What the network is computed in: `auto` (on where there is a GPU), `true` (bfloat16, or float16 on a GPU without it),
    /// `false` (float32), `bf16` or `fp16`.
    #[serde(deserialize_with = "amp_or_switch")]
    pub amp: Amp,
    /// Whether blocks of the network keep their input only and run once more in the backward pass: less memory, more time.
    pub gradient_checkpointing: bool,
    /// `auto` (a GPU where there is one, else the processor), `cpu`, or a GPU by its number: `0` or `cuda:0`.
    pub device: String,
    /// The kernel of attention: `auto` (libtorch's choice), `flash`, `efficient`, `math` or `cudnn`.
    pub attention: Attention,
    /// Whether a GPU computes the same bits again, at some cost of speed; the processor always does.
    pub deterministic: bool,
    /// Threads that compute on the processor; without a number, one a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// How they wait for one another: `active`, `passive` or `auto`.
    pub wait: Wait,
    /// Decides weights, order and augmentation.
    pub seed: u64,
    /// Epochs without a better mAP50-95 after which training stops; 0 never stops.
    pub patience: usize,
    /// Factors of the loss terms.
    pub gains: Gains,
    /// Parent of the run's directory.
    pub project: PathBuf,
    /// Name of the run's directory; a number is added where it exists.
    pub name: String,
    /// Write into an existing directory.
    pub exist_ok: bool,
    /// Draw labels and the first batches into the run's directory.
    pub plots: bool,
}

/// Factors of the built-in loss terms.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Gains {
    /// Of complete IoU.
    #[serde(rename = "box")]
    pub boxes: f64,
    /// Of classification.
    pub cls: f64,
    /// Of the distance bins.
    pub dfl: f64,
    /// Of terms that plugins add; 1 for those left out.
    #[serde(flatten)]
    pub others: std::collections::BTreeMap<String, f64>,
}

/// `[val]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ValConfig {
    /// Least confidence of a detection, 0 to 1.
    pub conf: f32,
    /// Overlap above which the weaker detection of a class goes, 0 to 1.
    pub iou: f32,
    /// Most detections an image.
    pub max_det: usize,
}

/// `[export]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportConfig {
    /// The name of a format that one of the exporters makes.
    pub format: String,
    /// The file to write; without one, beside the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
}

/// A number, or true for the usual 0.5 and false for 0.
fn share_or_switch<'de, D: serde::Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected true, false or a number")]
    enum Given {
        Switch(bool),
        Share(f64),
    }
    Ok(match Given::deserialize(value)? {
        Given::Switch(on) => f64::from(u8::from(on)) / 2.0,
        Given::Share(share) => share,
    })
}

/// A kind of cache, or true for `ram` and false for `none`.
fn kind_or_switch<'de, D: serde::Deserializer<'de>>(value: D) -> Result<CacheKind, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected none, ram, disk, true or false")]
    enum Given {
        Switch(bool),
        Kind(CacheKind),
    }
    Ok(match Given::deserialize(value)? {
        Given::Switch(true) => CacheKind::Ram,
        Given::Switch(false) => CacheKind::None,
        Given::Kind(kind) => kind,
    })
}

/// What `amp` says, or true and false.
fn amp_or_switch<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Amp, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected auto, true, false, bf16 or fp16")]
    enum Given {
        Switch(bool),
        Amp(Amp),
    }
    Ok(match Given::deserialize(value)? {
        Given::Switch(true) => Amp::On,
        Given::Switch(false) => Amp::Off,
        Given::Amp(amp) => amp,
    })
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { format: "safetensors".into(), out: None }
    }
}

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            plugins: Vec::new(),
            plugin_policy: None,
            plugins_lock: None,
            data: DataConfig::default(),
            augment: recipe::STAGES.map(ComponentConfig::named).to_vec(),
            model: ModelConfig::default(),
            loss: vec![ComponentConfig::named("detection")],
            optimizer: OptimizerConfig::default(),
            schedule: ComponentConfig::default(),
            train: TrainConfig::default(),
            val: ValConfig::default(),
            exporter: vec![ComponentConfig::named("safetensors")],
            export: ExportConfig::default(),
        }
    }
}

impl RunConfig {
    /// The defaults of a run on the demo data: small images and enough steps for two processor cores.
    #[must_use]
    pub fn demo() -> Self {
        let mut config = Self::default();
        config.model.imgsz = 160;
        config.train.epochs = 40;
        config.train.batch = 16;
        config.optimizer.nbs = 16;
        config
    }
}

impl Gains {
    /// All gains by the name of the term.
    #[must_use]
    pub fn by_name(&self) -> std::collections::BTreeMap<String, f64> {
        let mut gains = self.others.clone();
        gains.extend([("box", self.boxes), ("cls", self.cls), ("dfl", self.dfl)].map(|(n, g)| (n.to_owned(), g)));
        gains
    }
}

impl ComponentConfig {
    /// A component with default options.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), options: Options::new() }
    }
}

impl Default for ComponentConfig {
    /// The default schedule.
    fn default() -> Self {
        Self::named("linear")
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            path: None,
            fraction: 1.0,
            single_cls: false,
            workers: cores.min(8),
            on_error: OnError::Fail,
            cache: CacheKind::None,
            cache_dir: None,
            rect: None,
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { name: "yolo12n".into(), weights: None, imgsz: 640 }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self { name: "auto".into(), lr0: None, momentum: None, weight_decay: 5e-4, nbs: 64 }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch: 16,
            multi_scale: 0.0,
            amp: Amp::default(),
            gradient_checkpointing: false,
            device: "auto".into(),
            attention: Attention::Auto,
            deterministic: true,
            threads: None,
            wait: Wait::Auto,
            seed: 0,
            patience: 100,
            gains: Gains::default(),
            project: "runs/train".into(),
            name: "train".into(),
            exist_ok: false,
            plots: true,
        }
    }
}

impl Default for Gains {
    fn default() -> Self {
        Self { boxes: 7.5, cls: 0.5, dfl: 1.5, others: std::collections::BTreeMap::new() }
    }
}

impl Default for ValConfig {
    fn default() -> Self {
        Self { conf: 0.001, iou: 0.7, max_det: 300 }
    }
}
