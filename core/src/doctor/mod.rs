//! `trainer doctor`: what this machine really gives a training run, found by trying it.

pub mod attention;
mod device;
mod environment;
pub mod machine;
mod optional;
mod plugins;
mod print;
mod require;
mod speed;
mod warnings;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use tch::{Device, Kind};

use crate::{
    device::{Choice, has_bf16},
    threads,
    torch::{Libtorch, attention::Kernel, cuda, libraries},
};
use attention::{Shape, Trial};
use environment::Environment;
use machine::{Processor, Ram};
use optional::Distributed;
use plugins::Plugins;
pub use print::{lines, of_trial};
pub use require::Requirement;
use speed::Speed;

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// The trainer's own version and file.
    pub trainer: Own,
    /// The libtorch in this process.
    pub libtorch: LibtorchFacts,
    /// The processor.
    pub processor: Processor,
    /// The memory; none where the system does not say.
    pub memory: Option<Ram>,
    /// Threads, and how they wait.
    pub threads: threads::Described,
    /// The GPUs.
    pub gpus: Gpus,
    /// Where everything below was tried, as `device` says it.
    pub device: String,
    /// How fast the device computes in each type.
    pub speeds: Vec<Speed>,
    /// What attention was tried on.
    pub attention_shape: Shape,
    /// What came of each kernel.
    pub attention: Vec<Trial>,
    /// The kernel that libtorch takes by itself.
    pub attention_taken: Option<Kernel>,
    /// What several processes can train together with.
    pub distributed: Distributed,
    /// TensorRT's libraries.
    pub tensorrt: Vec<PathBuf>,
    /// The plugins.
    pub plugins: Plugins,
    /// What the environment slips in.
    pub environment: Environment,
    /// Why training would be slow, or go wrong.
    pub warnings: Vec<String>,
}

/// The trainer itself.
#[derive(Clone, Debug, Serialize)]
pub struct Own {
    /// Its version.
    pub version: &'static str,
    /// Its file.
    pub file: Option<PathBuf>,
}

/// The libtorch in this process.
#[derive(Clone, Debug, Serialize)]
pub struct LibtorchFacts {
    /// Its version.
    pub version: String,
    /// The version that the trainer was compiled for.
    pub built_for: String,
    /// The folder of its libraries.
    pub folder: PathBuf,
    /// The folder that the trainer was linked to.
    pub linked_to: PathBuf,
}

/// The GPUs of this machine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Gpus {
    /// Whether the system shows any, by its device files.
    pub is_shown: bool,
    /// libtorch's library for GPUs, where it could be opened.
    pub library: Option<PathBuf>,
    /// Those that can be used.
    pub usable: Vec<Gpu>,
    /// Why there are none.
    pub reason: Option<String>,
}

/// One GPU.
#[derive(Clone, Debug, Serialize)]
pub struct Gpu {
    /// Name, compute capability, size.
    #[serde(flatten)]
    pub properties: cuda::Properties,
    /// Its memory at present.
    pub memory_now: Option<cuda::Memory>,
}

impl Gpus {
    /// Opens the libraries for GPUs, and asks.
    #[must_use]
    pub fn found() -> Self {
        let is_shown = cuda::has_gpu();
        let cuda = match cuda::open() {
            Ok(cuda) => cuda,
            Err(reason) => return Self { is_shown, reason: Some(format!("{reason:#}")), ..Self::default() },
        };
        let gpu = |index| {
            let properties = cuda.properties(index).ok()?;
            Some(Gpu { properties, memory_now: cuda::Memory::of(index).ok() })
        };
        let usable = (0..cuda.count).filter_map(gpu).collect();
        Self { is_shown, library: Some(cuda.libtorch.clone()), usable, reason: None }
    }
}

/// Looks at everything and tries what can be tried on `choice`; takes some seconds.
///
/// # Errors
/// If that device cannot be used at all.
pub fn examine(choice: Choice) -> Result<Facts> {
    let libtorch = Libtorch::loaded();
    let processor = Processor::found(&libtorch.instructions); // before anything here keeps it busy
    let gpus = Gpus::found();
    let device = choice.open()?;
    let folder = libraries::libtorch().context("libtorch_cpu.so is not among this process's files")?;
    // What a run computes in by default.
    let kind = match device {
        Device::Cpu => Kind::Float,
        _ if has_bf16(device) => Kind::BFloat16,
        _ => Kind::Half,
    };
    let shape = Shape::of_network(if device == Device::Cpu { 2 } else { 16 }, 640);
    let mut facts = Facts {
        trainer: Own { version: env!("CARGO_PKG_VERSION"), file: std::env::current_exe().ok() },
        libtorch: LibtorchFacts {
            version: libtorch.version,
            built_for: libtorch.headers,
            linked_to: env!("TRAINER_LIBTORCH").into(),
            folder: folder.clone(),
        },
        memory: Ram::found(),
        threads: threads::describe(processor.busy),
        processor,
        gpus,
        device: match device {
            Device::Cuda(index) => format!("cuda:{index}"),
            _ => "cpu".to_owned(),
        },
        speeds: speed::speeds(device),
        attention_shape: shape,
        attention: attention::trials(device, kind, shape)?,
        attention_taken: attention::taken(device, kind, shape).ok(),
        distributed: Distributed::found(&folder),
        tensorrt: optional::tensorrt(&folder),
        plugins: Plugins::found(),
        environment: Environment::found(&libraries::loaded()),
        warnings: Vec::new(),
    };
    facts.warnings = warnings::warnings(&facts);
    Ok(facts)
}
