//! The binary contract between Trainer and its plugins, and nothing else: `#[repr(C)]` tables of functions over
//! pointers, lengths and opaque handles, describable in C. Everything an author sees is in `trainer-sdk`.
//!
//! A plugin exports one abi_stable root module ([`Root`]); the host asks it for [`Factory`] entries, each of which
//! hands out the table of its kind by id (`trainer.loss/1`). In return [`Root::init`] receives a [`Host`], which
//! hands out the host's tables by id (`trainer.tensor/1`). Tables never change: growth is a new id, and both sides
//! ask for the newest they share.
//!
//! Rules for every function: text is UTF-8; a borrowed pointer is valid for the call only; no function unwinds; a
//! function that can fail returns a [`Status`] and writes the reason into the `error` sink.

#![allow(unsafe_code, non_local_definitions)] // abi_stable's derive needs both; there is no logic here

mod augmentation;
mod exporter;
mod fields;
mod host;
mod loss;
mod root;
mod sample;
mod scheduler;
mod tensor;
mod text;

pub use abi_stable;
pub use augmentation::{AUGMENTATION, AugmentContext, AugmentationTable};
pub use exporter::{EXPORTER, ExportContext, ExporterTable, Model, ModelTable, TensorData};
pub use fields::{Fields, FieldsTable, Init, Parameters, ParametersTable, Thunk};
pub use host::{Host, LOG, LogTable, OPTIONS, OptionsTable};
pub use loss::{LOSS, LossContext, LossTable};
pub use root::{Extension, Factory, PLAIN_ROOT, PlainRoot, Root, RootRef};
pub use sample::{LAYERS, LayersTable, Object, Pixels, Sample, SampleInfo, SampleTable};
pub use scheduler::{Metric, Progress, Rates, SCHEDULER, SchedulerTable};
pub use tensor::{Dtype, TENSOR, TensorInfo, TensorTable, Value, tag};
pub use text::{Sink, Status, Str};

/// An object of the other side: created, used and destroyed through its table only.
pub type Opaque = *mut ();

/// The version of this contract; the part before the first dot is the major that host and plugin must share.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The ELF section that holds a plugin's manifest (JSON), readable without running the plugin.
pub const MANIFEST_SECTION: &str = ".trainer.manifest";
