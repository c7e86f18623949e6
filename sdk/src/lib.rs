//! What authors of [Trainer](https://github.com/trainer-rs/trainer) plugins write against.
//!
//! A plugin is a dynamic library that adds augmentations, schedules, losses or exporters to the trainer. This is a
//! whole one:
//!
//! ```no_run
//! use trainer_sdk::{Loss, LossContext, Result, Targets, export_plugin};
//!
//! /// The options, with their defaults; users write `label_smooth.epsilon=0.1`.
//! #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct LabelSmooth {
//!     /// Share of each target that is spread over all classes.
//!     #[schemars(range(min = 0.0, max = 1.0))]
//!     epsilon: f64,
//! }
//!
//! impl Default for LabelSmooth {
//!     fn default() -> Self {
//!         Self { epsilon: 0.05 }
//!     }
//! }
//!
//! impl Loss for LabelSmooth {
//!     fn targets(&mut self, targets: &mut Targets, cx: &LossContext) -> Result<()> {
//!         let scores = targets.scores()?;
//!         let spread = scores.sum_dims(&[-1], true)?.mul_scalar(self.epsilon / cx.num_classes as f64)?;
//!         targets.set_scores(&scores.mul_scalar(1.0 - self.epsilon)?.add(&spread)?)
//!     }
//! }
//!
//! export_plugin! { loss "label_smooth" "spreads part of each class target over all classes": LabelSmooth }
//! ```
//!
//! Its crate is a `cdylib` and needs only this SDK, serde and schemars; libtorch stays in the trainer.

pub mod component;
pub mod export;
pub mod model_store;
pub mod parameter_store;
pub mod sample_store;
pub mod store;
pub mod testing;

mod augmentation;
mod exporter;
mod fields;
mod layers;
mod loss;
mod model;
mod ready;
mod rng;
mod sample;
mod scheduler;
mod tensor;

pub use anyhow::{Context, Error, Result, bail, ensure};
pub use augmentation::{AugmentContext, Augmentation};
pub use exporter::{Artifact, ExportContext, Exporter, Format};
pub use fields::{FieldMap, Init, ParameterMap};
pub use loss::{Loss, LossContext, Predictions, Targets, Terms};
pub use model::{Metadata, Model, OnnxOptions, TensorView};
pub use ready::ReadyContext;
pub use rng::Rng;
pub use sample::{Pixels, Sample};
pub use scheduler::{Metric, Progress, Rates, Scheduler, schedule};
pub use tensor::{Arg, Device, Dtype, MemoryFormat, Reduction, Scalar, Tensor};
pub use tracing;
pub use trainer_abi as abi;
pub use trainer_image::{Bbox, HsvGains, Image, Matrix, Object, Size};

#[doc(hidden)]
pub use {constcat, inventory};
