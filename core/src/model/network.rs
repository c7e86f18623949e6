//! The interpreter that trains and predicts: the same description on libtorch tensors, channels innermost in memory.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use tch::{Device, Kind, Tensor};
use trainer_sdk::Rng;

use super::{
    Yolo12,
    head::RawPredictions,
    interpreter::{Attention, ChannelScale, Conv1x1, ConvBnAct, Interpreter},
    survey::{Role, Start, Survey, TensorSpec},
};
use crate::torch::channels_last;

/// Batch normalisation of the reference: added to the variance.
const BN_EPS: f64 = 1e-3;
/// Share of the new batch in running statistics.
const BN_MOMENTUM: f64 = 0.03;

/// A network with its tensors.
pub struct Network {
    description: Yolo12,
    specs: Vec<TensorSpec>,
    tensors: BTreeMap<String, Tensor>,
    folded: bool,
}

/// What normalises: batch statistics, running ones, or nothing because they were folded into the convolutions.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Train,
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
        let tensors = specs.iter().map(fresh).collect::<Result<_>>()?;
        Ok(Self { description, specs, tensors, folded: false })
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
        Self { description: self.description.clone(), specs: self.specs.clone(), tensors, folded: false }
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
        Ok(Self { description: self.description.clone(), specs: self.specs.clone(), tensors, folded: true })
    }

    /// Predicts in training mode: batch statistics normalise and move the running ones. Images (B, 3, H, W), 0..1.
    ///
    /// # Errors
    /// If H or W is no multiple of 32.
    pub fn forward_train(&mut self, images: &Tensor) -> Result<RawPredictions<Tensor>> {
        self.forward(images, Mode::Train)
    }

    /// Predicts with running statistics. Images (B, 3, H, W), 0..1.
    ///
    /// # Errors
    /// If H or W is no multiple of 32.
    pub fn forward_eval(&self, images: &Tensor) -> Result<RawPredictions<Tensor>> {
        self.forward(images, if self.folded { Mode::Folded } else { Mode::Eval })
    }

    fn forward(&self, images: &Tensor, mode: Mode) -> Result<RawPredictions<Tensor>> {
        let mut pass = Pass { tensors: &self.tensors, mode };
        let RawPredictions { distribution, scores } =
            self.description.forward(&mut pass, &Map(channels_last(images)?))?;
        Ok(RawPredictions { distribution: distribution.0, scores: scores.0 })
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

/// A map on its way through the network; clones share the storage.
#[derive(Debug)]
pub struct Map(Tensor);

impl Clone for Map {
    fn clone(&self) -> Self {
        Self(self.0.shallow_clone())
    }
}

impl std::ops::Deref for Map {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl std::borrow::Borrow<Tensor> for Map {
    fn borrow(&self) -> &Tensor {
        &self.0
    }
}

/// One run through the network.
struct Pass<'a> {
    tensors: &'a BTreeMap<String, Tensor>,
    mode: Mode,
}

impl Pass<'_> {
    fn tensor(&self, path: &str, part: &str) -> &Tensor {
        &self.tensors[&format!("{path}.{part}")]
    }
}

impl Interpreter for Pass<'_> {
    type Value = Map;

    fn region(&mut self, _name: &str, inputs: &[Map], block: &dyn Fn(&mut Self, &[Map]) -> Result<Map>) -> Result<Map> {
        block(self, inputs)
    }

    fn conv_bn_act(&mut self, conv: &ConvBnAct, x: &Map) -> Result<Map> {
        let padding = conv.kernel / 2;
        let tensor = |part: &str| self.tensor(&conv.name, part);
        let bias = (self.mode == Mode::Folded).then(|| tensor("conv.bias"));
        let mut y = x.f_conv2d(tensor("conv.weight"), bias, [conv.stride; 2], [padding; 2], [1, 1], conv.groups)?;
        if self.mode != Mode::Folded {
            let (weight, bias) = (Some(tensor("bn.weight")), Some(tensor("bn.bias")));
            let (mean, var) = (Some(tensor("bn.running_mean")), Some(tensor("bn.running_var")));
            y = y.f_batch_norm(weight, bias, mean, var, self.mode == Mode::Train, BN_MOMENTUM, BN_EPS, true)?;
        }
        if self.mode == Mode::Train {
            let _ = tensor("bn.num_batches_tracked").shallow_clone().f_add_scalar_(1)?;
        }
        Ok(Map(match (conv.act, self.mode) {
            (false, _) => y,
            (true, Mode::Train) => y.f_silu()?,
            (true, _) => y.f_silu_()?,
        }))
    }

    fn conv1x1(&mut self, conv: &Conv1x1, x: &Map) -> Result<Map> {
        let (weight, bias) = (self.tensor(&conv.name, "weight"), self.tensor(&conv.name, "bias"));
        Ok(Map(x.f_conv2d(weight, Some(bias), [1, 1], [0, 0], [1, 1], 1)?))
    }

    fn attention(&mut self, attention: &Attention, qkv: &Map) -> Result<(Map, Map)> {
        let (batch, _, height, width) = qkv.size4()?;
        let &Attention { channels, heads, area } = attention;
        let (tokens, dim) = (height * width, channels / heads);
        ensure!(tokens % area == 0, "{tokens} tokens cannot be cut into {area} strips");
        // Channels are innermost already, so tokens come without a copy.
        let tokens_last = qkv.f_permute([0, 2, 3, 1])?.f_reshape([batch * area, tokens / area, heads, 3 * dim])?;
        let qkv = tokens_last.f_transpose(1, 2)?;
        let part = |i: i64| qkv.f_narrow(-1, i * dim, dim);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let attended =
            Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<Tensor>, 0.0, false, None::<f64>, false)?;
        let as_map = |x: &Tensor| -> Result<Map> {
            let tokens = x.f_transpose(1, 2)?.f_reshape([batch, height, width, channels])?;
            Ok(Map(tokens.f_permute([0, 3, 1, 2])?))
        };
        Ok((as_map(&attended)?, as_map(&v)?))
    }

    fn add(&mut self, a: &Map, b: &Map) -> Result<Map> {
        Ok(Map(a.f_add(&b.0)?))
    }

    fn scale(&mut self, scale: &ChannelScale, x: &Map) -> Result<Map> {
        let factors = self.tensors[&scale.name].f_view([1, -1, 1, 1])?;
        Ok(Map(x.f_mul(&factors)?))
    }

    fn concat(&mut self, maps: &[Map]) -> Result<Map> {
        Ok(Map(Tensor::f_cat(maps, 1)?))
    }

    fn split(&mut self, x: &Map, parts: i64) -> Result<Vec<Map>> {
        Ok(x.f_chunk(parts, 1)?.into_iter().map(Map).collect())
    }

    fn upsample(&mut self, x: &Map) -> Result<Map> {
        let (_, _, height, width) = x.size4()?;
        Ok(Map(x.f_upsample_nearest2d([2 * height, 2 * width], 2.0, 2.0)?))
    }

    fn flatten(&mut self, levels: &[Map]) -> Result<Map> {
        let flat = |map: &Map| -> Result<Tensor> {
            let (batch, channels, ..) = map.size4()?;
            Ok(map.f_permute([0, 2, 3, 1])?.f_reshape([batch, -1, channels])?)
        };
        Ok(Map(Tensor::f_cat(&levels.iter().map(flat).collect::<Result<Vec<_>>>()?, 1)?))
    }
}
