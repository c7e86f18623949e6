//! The interpreter that trains and predicts: the same description on libtorch tensors, channels innermost in memory.

use std::{collections::BTreeMap, rc::Rc};

use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};
use trainer_sdk::Rng;

use super::{
    Yolo12,
    head::RawPredictions,
    pass::{Map, Pass},
    survey::{Role, Start, Survey, TensorSpec},
};
use crate::torch::channels_last;

/// Batch normalisation of the reference: added to the variance.
pub(super) const BN_EPS: f64 = 1e-3;
/// Share of the new batch in running statistics.
pub(super) const BN_MOMENTUM: f64 = 0.03;

/// A network with its tensors.
pub struct Network {
    description: Yolo12,
    specs: Vec<TensorSpec>,
    tensors: Rc<BTreeMap<String, Tensor>>,
    folded: bool,
    training: Training,
}

/// How the network is run when it is trained. The outputs are the same up to rounding, whatever is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// What is computed in; the parameters stay in their own type, and so do normalisations' statistics.
    pub kind: Kind,
    /// What is kept for the backward pass.
    pub keep: Keep,
    /// Whether blocks of the backbone and the neck keep their input only and run once more in the backward pass.
    pub checkpointing: bool,
}

/// What a convolution with its normalisation and activation keeps for the backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// What autograd keeps by itself: the maps before and after each of the three steps.
    Everything,
    /// The convolution's output; the rest is computed once more by the same operators, with the same bits.
    Outputs,
    /// As `Outputs`, with normalisation and activation in one pass, forward and backward, where there is a kernel for it
    /// (float and bfloat16 on the CPU).
    #[default]
    OutputsFused,
}

/// What normalises: batch statistics, running ones, or nothing because they were folded into the convolutions.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Train { is_again: bool },
    Eval,
    Folded,
}

impl Network {
    /// A network with fresh weights, a function of `seed` alone (each tensor has its own stream, keyed by its name).
    ///
    /// # Errors
    /// If libtorch runs out of memory.
    pub fn new(description: Yolo12, seed: u64, kind: Kind, device: Device) -> Result<Self> {
        let specs = Survey::of(&description, 64, 64)?.tensors;
        let fresh = |spec: &TensorSpec| Ok((spec.name.clone(), place(&start(spec, seed), spec, kind, device)?));
        let tensors = Rc::new(specs.iter().map(fresh).collect::<Result<_>>()?);
        let training = Training { kind, keep: Keep::default(), checkpointing: false };
        Ok(Self { description, specs, tensors, folded: false, training })
    }

    /// The description.
    #[must_use]
    pub fn description(&self) -> &Yolo12 {
        &self.description
    }

    /// All tensors by name, with what they are for.
    pub fn tensors(&self) -> impl Iterator<Item = (&TensorSpec, &Tensor)> {
        self.specs.iter().map(|spec| (spec, &self.tensors[&spec.name]))
    }

    /// Copies values of the same name and shape into this network.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape; the message names it.
    pub fn load(&mut self, values: &BTreeMap<String, Tensor>) -> Result<()> {
        for spec in &self.specs {
            let value = values.get(&spec.name).with_context(|| format!("tensor {} is missing", spec.name))?;
            ensure!(
                value.size() == spec.shape,
                "tensor {} is {:?}, expected {:?}",
                spec.name,
                value.size(),
                spec.shape
            );
            tch::no_grad(|| self.tensors[&spec.name].shallow_clone().f_copy_(value))?;
        }
        Ok(())
    }

    /// The same description over other tensors (the EMA's), which are shared, not copied.
    #[must_use]
    pub fn with_tensors(&self, tensors: BTreeMap<String, Tensor>) -> Self {
        let (description, specs) = (self.description.clone(), self.specs.clone());
        Self { description, specs, tensors: Rc::new(tensors), folded: false, training: self.training }
    }

    /// A copy for prediction only, with each normalisation folded into its convolution (in float64): the same outputs
    /// up to rounding, in less time.
    ///
    /// # Errors
    /// If libtorch runs out of memory.
    pub fn folded(&self) -> Result<Self> {
        let mut tensors: BTreeMap<String, Tensor> =
            self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.detach())).collect();
        for spec in self.specs.iter().filter(|spec| spec.name.ends_with(".conv.weight") && spec.role == Role::Weight) {
            let path = spec.name.trim_end_matches(".conv.weight");
            let double = |part: &str| self.tensors[&format!("{path}.{part}")].detach().f_to_kind(Kind::Double);
            let factor = double("bn.weight")?.f_div(&double("bn.running_var")?.f_add_scalar(BN_EPS)?.f_sqrt()?)?;
            let bias = double("bn.bias")?.f_sub(&double("bn.running_mean")?.f_mul(&factor)?)?;
            let weight = double("conv.weight")?.f_mul(&factor.f_view([-1, 1, 1, 1])?)?;
            let kind = self.kind();
            tensors.insert(spec.name.clone(), channels_last(&weight.f_to_kind(kind)?)?);
            tensors.insert(format!("{path}.conv.bias"), bias.f_to_kind(kind)?);
        }
        Ok(Self { folded: true, ..self.with_tensors(tensors) })
    }

    /// Says how the network is run when it is trained.
    pub fn set_training(&mut self, training: Training) {
        self.training = training;
    }

    /// How the network is run when it is trained.
    #[must_use]
    pub fn training(&self) -> Training {
        self.training
    }

    /// Predicts in training mode: batch statistics normalise and move the running ones. Images (B, 3, H, W), 0..1. The
    /// predictions are of the parameters' type and can be differentiated once.
    ///
    /// # Errors
    /// If H or W is no multiple of 32.
    pub fn forward_train(&mut self, images: &Tensor) -> Result<RawPredictions<Tensor>> {
        self.forward(images, Mode::Train { is_again: false })
    }

    /// Predicts with running statistics. Images (B, 3, H, W), 0..1.
    ///
    /// # Errors
    /// If H or W is no multiple of 32.
    pub fn forward_eval(&self, images: &Tensor) -> Result<RawPredictions<Tensor>> {
        self.forward(images, if self.folded { Mode::Folded } else { Mode::Eval })
    }

    fn forward(&self, images: &Tensor, mode: Mode) -> Result<RawPredictions<Tensor>> {
        let mut pass = Pass { tensors: Rc::clone(&self.tensors), mode, training: self.training };
        let images = channels_last(images)?;
        let RawPredictions { distribution, scores } = self.description.forward(&mut pass, &Map::from(images))?;
        let of_parameters = |map: Map| map.tensor.f_to_kind(self.kind());
        Ok(RawPredictions { distribution: of_parameters(distribution)?, scores: of_parameters(scores)? })
    }

    /// Element type of the weights.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.tensors.values().find(|tensor| tensor.kind() != Kind::Int64).map_or(Kind::Float, Tensor::kind)
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.tensors.values().next().map_or(Device::Cpu, Tensor::device)
    }
}

/// A fresh tensor on the CPU, in f32 (or int64).
fn start(spec: &TensorSpec, seed: u64) -> Tensor {
    let count = spec.shape.iter().product::<i64>().max(1) as usize;
    let mut rng = Rng::from_key(&[seed, name_hash(&spec.name)]);
    let data: Vec<f32> = match spec.start {
        Start::Counter => return Tensor::zeros([0i64; 0], (Kind::Int64, Device::Cpu)),
        Start::Fill(value) => vec![value as f32; count],
        Start::Range => (0..count).map(|i| i as f32).collect(),
        Start::Uniform(bound) => (0..count).map(|_| rng.uniform(-bound, bound) as f32).collect(),
        Start::Normal(std) => (0..count).map(|_| (std * rng.normal()) as f32).collect(),
    };
    Tensor::from_slice(&data).reshape(&spec.shape)
}

/// FNV-1a.
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// On the device, in the right type and layout, recording gradients where it is trained.
fn place(value: &Tensor, spec: &TensorSpec, kind: Kind, device: Device) -> Result<Tensor> {
    let kind = if spec.start == Start::Counter { Kind::Int64 } else { kind };
    let mut value = value.f_to_device(device)?.f_to_kind(kind)?;
    if spec.shape.len() == 4 {
        value = channels_last(&value)?;
    }
    let trained = matches!(spec.role, Role::Weight | Role::Norm | Role::Bias);
    Ok(value.copy().set_requires_grad(trained))
}
