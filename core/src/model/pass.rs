//! One run through the network on libtorch tensors.

use std::{collections::BTreeMap, rc::Rc};

use anyhow::{Context as _, Result, ensure};
use tch::Tensor;

use super::{
    interpreter::{Attention, Block, ChannelScale, Conv1x1, ConvBnAct, Interpreter},
    network::{BN_EPS, BN_MOMENTUM, Keep, Mode, Training},
};
use crate::torch::{Conv, Norm, Source, region};

/// A map on its way through the network; clones share the storage.
#[derive(Debug)]
pub struct Map {
    pub tensor: Tensor,
    /// Where it comes from, if it need not be kept itself.
    source: Option<Source>,
}

impl Clone for Map {
    fn clone(&self) -> Self {
        Self { tensor: self.tensor.shallow_clone(), source: self.source.clone() }
    }
}

impl From<Tensor> for Map {
    fn from(tensor: Tensor) -> Self {
        Self { tensor, source: None }
    }
}

impl Map {
    fn source(&self) -> Source {
        self.source.clone().unwrap_or_else(|| Source::kept(&self.tensor))
    }

    /// The map that `tensor` is, made of `inputs` as `source` says.
    fn made(tensor: Tensor, inputs: &[&Self], source: impl FnOnce() -> Source) -> Self {
        let source = inputs.iter().any(|input| input.source.is_some()).then(source);
        Self { tensor, source }
    }
}

/// One run.
#[derive(Clone)]
pub struct Pass {
    pub tensors: Rc<BTreeMap<String, Tensor>>,
    pub mode: Mode,
    pub training: Training,
}

impl Pass {
    fn tensor(&self, path: &str, part: &str) -> &Tensor {
        &self.tensors[&format!("{path}.{part}")]
    }

    /// Whether maps are made again in the backward pass.
    fn is_lean(&self) -> bool {
        matches!(self.mode, Mode::Train { .. }) && self.training.keep != Keep::Everything
    }

    fn conv_bn_act_plainly(&self, conv: &ConvBnAct, x: &Map) -> Result<Tensor> {
        let tensor = |part: &str| self.tensor(&conv.name, part);
        let (stride, padding) = ([conv.stride; 2], [conv.kernel / 2; 2]);
        let bias = (self.mode == Mode::Folded).then(|| tensor("conv.bias"));
        let mut y = self.convolve(&x.tensor, tensor("conv.weight"), bias, stride, padding, conv.groups)?;
        if self.mode != Mode::Folded {
            let (weight, bias) = (Some(tensor("bn.weight")), Some(tensor("bn.bias")));
            let is_again = self.mode == Mode::Train { is_again: true };
            let running = |part| (!is_again).then(|| tensor(part));
            let (mean, var) = (running("bn.running_mean"), running("bn.running_var"));
            let by_batch = matches!(self.mode, Mode::Train { .. });
            y = y.f_batch_norm(weight, bias, mean, var, by_batch, BN_MOMENTUM, BN_EPS, true)?;
        }
        Ok(match (conv.act, self.mode) {
            (false, _) => y,
            (true, Mode::Train { .. }) => y.f_silu()?,
            (true, _) => y.f_silu_()?,
        })
    }

    /// A convolution in the type that is computed in.
    fn convolve(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: [i64; 2],
        padding: [i64; 2],
        groups: i64,
    ) -> Result<Tensor> {
        let kind = if matches!(self.mode, Mode::Train { .. }) { self.training.kind } else { weight.kind() };
        let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
        Ok(x.f_to_kind(kind)?.f_conv2d(&weight.f_to_kind(kind)?, bias, stride, padding, [1, 1], groups)?)
    }

    fn conv_bn_act_leanly(&self, conv: &ConvBnAct, x: &Map) -> Result<Map> {
        let tensor = |part: &str| self.tensor(&conv.name, part);
        let is_again = self.mode == Mode::Train { is_again: true };
        let norm = Norm {
            weight: tensor("bn.weight"),
            bias: tensor("bn.bias"),
            running: (!is_again).then(|| ["bn.running_mean", "bn.running_var"].map(tensor)),
            epsilon: BN_EPS,
            momentum: BN_MOMENTUM,
        };
        let (tensor, source) = Conv {
            input: &x.tensor,
            source: &x.source(),
            weight: tensor("conv.weight"),
            bias: None,
            norm: Some(norm),
            stride: conv.stride,
            padding: conv.kernel / 2,
            groups: conv.groups,
            silu: conv.act,
            kind: self.training.kind,
            fused: self.training.keep == Keep::OutputsFused,
        }
        .forward()?;
        Ok(Map { tensor, source: Some(source) })
    }
}

impl Interpreter for Pass {
    type Value = Map;

    fn region(&mut self, input: &Map, block: Block<Self>) -> Result<Map> {
        let is_first = self.mode == Mode::Train { is_again: false };
        if !(is_first && self.training.checkpointing && input.tensor.requires_grad()) {
            return block(self, input);
        }
        let (first, again) = (self.clone(), Self { mode: Mode::Train { is_again: true }, ..self.clone() });
        let has_run = std::cell::Cell::new(false);
        let run = move |inputs: &[Tensor]| {
            let mut pass = if has_run.replace(true) { again.clone() } else { first.clone() };
            Ok(block(&mut pass, &Map::from(inputs[0].shallow_clone()))?.tensor)
        };
        Ok(Map::from(region(&[(input.tensor.shallow_clone(), input.source())], Box::new(run))?))
    }

    fn conv_bn_act(&mut self, conv: &ConvBnAct, x: &Map) -> Result<Map> {
        if self.mode == (Mode::Train { is_again: false }) {
            let _ = self.tensor(&conv.name, "bn.num_batches_tracked").shallow_clone().f_add_scalar_(1)?;
        }
        match self.is_lean() {
            true => self.conv_bn_act_leanly(conv, x),
            false => self.conv_bn_act_plainly(conv, x).map(Map::from),
        }
        .with_context(|| conv.name.clone())
    }

    fn conv1x1(&mut self, conv: &Conv1x1, x: &Map) -> Result<Map> {
        let (weight, bias) = (self.tensor(&conv.name, "weight"), self.tensor(&conv.name, "bias"));
        if !self.is_lean() {
            return Ok(self.convolve(&x.tensor, weight, Some(bias), [1, 1], [0, 0], 1)?.into());
        }
        let (tensor, _) = Conv {
            input: &x.tensor,
            source: &x.source(),
            weight,
            bias: Some(bias),
            norm: None,
            stride: 1,
            padding: 0,
            groups: 1,
            silu: false,
            kind: self.training.kind,
            fused: false,
        }
        .forward()?;
        Ok(tensor.into())
    }

    fn attention(&mut self, attention: &Attention, qkv: &Map) -> Result<(Map, Map)> {
        let (batch, _, height, width) = qkv.tensor.size4()?;
        let &Attention { channels, heads, area } = attention;
        let (tokens, dim) = (height * width, channels / heads);
        ensure!(tokens % area == 0, "{tokens} tokens cannot be cut into {area} strips");
        // Channels are innermost already, so tokens come without a copy.
        let tokens_last = qkv.tensor.f_permute([0, 2, 3, 1])?;
        let tokens_last = tokens_last.f_reshape([batch * area, tokens / area, heads, 3 * dim])?;
        let qkv = tokens_last.f_transpose(1, 2)?;
        let part = |i: i64| qkv.f_narrow(-1, i * dim, dim);
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let attended =
            Tensor::f_scaled_dot_product_attention(&q, &k, &v, None::<Tensor>, 0.0, false, None::<f64>, false)?;
        let as_map = |x: &Tensor| -> Result<Map> {
            let tokens = x.f_transpose(1, 2)?.f_reshape([batch, height, width, channels])?;
            Ok(tokens.f_permute([0, 3, 1, 2])?.into())
        };
        Ok((as_map(&attended)?, as_map(&v)?))
    }

    fn add(&mut self, a: &Map, b: &Map) -> Result<Map> {
        Ok(Map::made(a.tensor.f_add(&b.tensor)?, &[a, b], || Source::sum(&a.source(), &b.source())))
    }

    fn scale(&mut self, scale: &ChannelScale, x: &Map) -> Result<Map> {
        let factors = self.tensors[&scale.name].f_view([1, -1, 1, 1])?.f_to_kind(x.tensor.kind())?;
        Ok(x.tensor.f_mul(&factors)?.into())
    }

    fn concat(&mut self, maps: &[Map]) -> Result<Map> {
        let tensors: Vec<&Tensor> = maps.iter().map(|map| &map.tensor).collect();
        let sources = || Source::joined(&maps.iter().map(Map::source).collect::<Vec<_>>());
        Ok(Map::made(Tensor::f_cat(&tensors, 1)?, &maps.iter().collect::<Vec<_>>(), sources))
    }

    fn split(&mut self, x: &Map, parts: i64) -> Result<Vec<Map>> {
        let mut start = 0;
        let part = |tensor: Tensor| {
            let length = tensor.size()[1];
            start += length;
            Map::made(tensor, &[x], || x.source().channels(start - length, length))
        };
        Ok(x.tensor.f_chunk(parts, 1)?.into_iter().map(part).collect())
    }

    fn upsample(&mut self, x: &Map) -> Result<Map> {
        let (_, _, height, width) = x.tensor.size4()?;
        let doubled = x.tensor.f_upsample_nearest2d([2 * height, 2 * width], 2.0, 2.0)?;
        Ok(Map::made(doubled, &[x], || x.source().doubled()))
    }

    fn flatten(&mut self, levels: &[Map]) -> Result<Map> {
        let flat = |map: &Map| -> Result<Tensor> {
            let (batch, channels, ..) = map.tensor.size4()?;
            Ok(map.tensor.f_permute([0, 2, 3, 1])?.f_reshape([batch, -1, channels])?)
        };
        Ok(Tensor::f_cat(&levels.iter().map(flat).collect::<Result<Vec<_>>>()?, 1)?.into())
    }
}
