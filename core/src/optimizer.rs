//! The optimizer: SGD with Nesterov momentum or AdamW over libtorch's fused kernels, with state of our own. Three
//! groups of parameters: weights (decayed), norms, biases.

use anyhow::{Result, bail};
use tch::{Kind, Tensor};
use trainer_sdk::Rates;

use crate::{
    model::{Network, Role},
    torch::{Arg, Operator},
};

/// Gradients are scaled down to this norm over all parameters (the reference's constant).
pub const MAX_GRADIENT_NORM: f64 = 10.0;

/// Which rule moves the weights, with its starting rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Learning rate.
    pub lr: f64,
    /// Momentum of SGD, first beta of AdamW.
    pub momentum: f64,
}

/// The algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Sutskever et al. 2013, as libtorch computes it.
    SgdNesterov,
    /// Loshchilov and Hutter 2019; betas (momentum, 0.999), eps 1e-8.
    AdamW,
}

/// What `optimizer=auto` depends on.
#[derive(Clone, Copy, Debug)]
pub struct RunSize {
    /// Training images.
    pub images: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Nominal batch: images in an optimizer step.
    pub nbs: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Classes.
    pub classes: usize,
}

impl Rule {
    /// The rule of that name. `auto` follows ultralytics 8.3.63 (SGD above 10,000 steps, else AdamW at a rate by the
    /// number of classes), except that an `lr` or `momentum` set by the user stays.
    ///
    /// # Errors
    /// If the name is unknown.
    pub fn named(name: &str, lr: Option<f64>, momentum: Option<f64>, size: RunSize) -> Result<Self> {
        let steps = size.images.div_ceil(size.batch.max(size.nbs)) * size.epochs;
        let (algorithm, default_lr, default_momentum) = match name.to_lowercase().as_str() {
            "sgd" => (Algorithm::SgdNesterov, 0.01, 0.937),
            "adamw" => (Algorithm::AdamW, 0.01, 0.937),
            // SGD's momentum ends at 0.937 in the reference, whatever its message says: warm-up leads there.
            "auto" if steps > 10_000 => (Algorithm::SgdNesterov, 0.01, 0.937),
            "auto" => (Algorithm::AdamW, (0.002 * 5.0 / (4.0 + size.classes as f64) * 1e6).round() / 1e6, 0.9),
            _ => bail!("unknown optimizer `{name}`; known are auto, SGD, AdamW"),
        };
        Ok(Self { algorithm, lr: lr.unwrap_or(default_lr), momentum: momentum.unwrap_or(default_momentum) })
    }
}

/// The parameters of one group with their state.
struct Group {
    name: &'static str,
    weight_decay: f64,
    parameters: Vec<Tensor>,
    /// SGD: momentum buffers. AdamW: first moments.
    first: Vec<Tensor>,
    /// AdamW: second moments.
    second: Vec<Tensor>,
    /// AdamW: steps taken, a scalar each.
    steps: Vec<Tensor>,
    /// How many of the last parameters belong to losses, which may leave them without a gradient.
    adopted: usize,
}

impl Group {
    fn gradients(&self) -> Result<Vec<Tensor>> {
        let own = self.parameters.len() - self.adopted;
        let gradient = |(i, parameter): (usize, &Tensor)| match parameter.grad() {
            gradient if gradient.defined() => Ok(gradient),
            _ if i >= own => Ok(parameter.zeros_like()),
            _ => bail!("a parameter received no gradient: the loss does not depend on the whole network"),
        };
        self.parameters.iter().enumerate().map(gradient).collect()
    }
}

/// Moves a network's weights.
pub struct Optimizer {
    rule: Rule,
    groups: Vec<Group>,
    sgd: Operator,
    adamw: Operator,
    norm: Operator,
    scale: Operator,
    add: Operator,
    zero: Operator,
}

impl Optimizer {
    /// An optimizer over the trained tensors of `network`; only weights are decayed.
    ///
    /// # Errors
    /// If libtorch lacks a fused operator.
    pub fn new(network: &Network, rule: Rule, weight_decay: f64) -> Result<Self> {
        let group = |name, role, weight_decay| {
            let chosen = network.tensors().filter(|(spec, _)| spec.role == role);
            let parameters: Vec<Tensor> = chosen.map(|(_, tensor)| tensor.shallow_clone()).collect();
            let zeros = || parameters.iter().map(Tensor::zeros_like).map(|t| t.detach()).collect::<Vec<_>>();
            let counters = parameters.iter().map(|p| Tensor::zeros([0i64; 0], (Kind::Float, p.device())));
            let (second, steps) = match rule.algorithm {
                Algorithm::SgdNesterov => (Vec::new(), Vec::new()),
                Algorithm::AdamW => (zeros(), counters.collect()),
            };
            Group { name, weight_decay, first: zeros(), second, steps, parameters, adopted: 0 }
        };
        Ok(Self {
            rule,
            groups: vec![
                group("weight", Role::Weight, weight_decay),
                group("norm", Role::Norm, 0.0),
                group("bias", Role::Bias, 0.0),
            ],
            sgd: Operator::find("aten::_fused_sgd_", "")?,
            adamw: Operator::find("aten::_fused_adamw_", "")?,
            norm: Operator::find("aten::_foreach_norm", "Scalar")?,
            scale: Operator::find("aten::_foreach_mul_", "Tensor")?,
            add: Operator::find("aten::_foreach_add_", "Scalar")?,
            zero: Operator::find("aten::_foreach_zero_", "")?,
        })
    }

    /// The groups' starting rates, for the scheduler to write into.
    #[must_use]
    pub fn rates(&self) -> Vec<Rates> {
        let Rule { lr, momentum, .. } = self.rule;
        self.groups.iter().map(|group| Rates::new(group.name, lr, momentum)).collect()
    }

    /// Takes a trainable parameter of a loss into the group that is not decayed, `norm`.
    pub fn adopt(&mut self, parameter: &Tensor) {
        let zeros = || parameter.zeros_like().detach();
        for group in self.groups.iter_mut().filter(|group| group.name == "norm") {
            group.first.push(zeros());
            if self.rule.algorithm == Algorithm::AdamW {
                group.second.push(zeros());
                group.steps.push(Tensor::zeros([0i64; 0], (Kind::Float, parameter.device())));
            }
            group.parameters.push(parameter.shallow_clone());
            group.adopted += 1;
        }
    }

    /// Name, number of tensors and weight decay of each group.
    pub fn groups(&self) -> impl Iterator<Item = (&'static str, usize, f64)> {
        self.groups.iter().map(|group| (group.name, group.parameters.len(), group.weight_decay))
    }

    /// Clips the gradients, moves the weights by `rates` (one a group) and zeroes the gradients.
    ///
    /// # Errors
    /// If a parameter has no gradient.
    pub fn step(&mut self, rates: &[Rates]) -> Result<()> {
        tch::no_grad(|| {
            let gradients: Vec<Vec<Tensor>> = self.groups.iter().map(Group::gradients).collect::<Result<_>>()?;
            let all: Vec<Tensor> = gradients.iter().flatten().map(Tensor::shallow_clone).collect();
            self.clip(&all)?;
            for ((group, gradients), rates) in self.groups.iter().zip(&gradients).zip(rates) {
                self.update(group, gradients, rates)?;
            }
            self.zero.call(&[Arg::Tensors(&all)], 0)?;
            Ok(())
        })
    }

    fn clip(&self, gradients: &[Tensor]) -> Result<()> {
        let norms = self.norm.call(&[Arg::Tensors(gradients), Arg::Float(2.0)], gradients.len())?;
        let total = Tensor::f_stack(&norms, 0)?.f_norm()?;
        let factor = (total.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(MAX_GRADIENT_NORM)?).f_clamp_max(1)?;
        self.scale.call(&[Arg::Tensors(gradients), Arg::Tensor(&factor)], 0)?;
        Ok(())
    }

    fn update(&self, group: &Group, gradients: &[Tensor], rates: &Rates) -> Result<()> {
        let (parameters, gradients) = (Arg::Tensors(&group.parameters), Arg::Tensors(gradients));
        let (first, decay, lr) = (Arg::Tensors(&group.first), Arg::Float(group.weight_decay), Arg::Float(rates.lr));
        let no = || Arg::Bool(false);
        match self.rule.algorithm {
            Algorithm::SgdNesterov => {
                let (momentum, dampening) = (Arg::Float(rates.momentum), Arg::Float(0.0));
                let with_momentum = rates.momentum > 0.0; // the kernel takes no buffers where it uses none
                let buffers = if with_momentum { first } else { Arg::Tensors(&[]) };
                let nesterov = Arg::Bool(with_momentum);
                // Buffers start at 0, so the first step needs no special case (`is_first_step` is the last flag).
                let arguments = [parameters, gradients, buffers, decay, momentum, lr, dampening, nesterov, no(), no()];
                self.sgd.call(&arguments, 0)?;
            }
            Algorithm::AdamW => {
                self.add.call(&[Arg::Tensors(&group.steps), Arg::Float(1.0)], 0)?;
                let (second, steps) = (Arg::Tensors(&group.second), Arg::Tensors(&group.steps));
                let (beta1, beta2, eps) = (Arg::Float(self.rule.momentum), Arg::Float(0.999), Arg::Float(1e-8));
                let amsgrad = Arg::Tensors(&[]);
                let arguments =
                    [parameters, gradients, first, second, amsgrad, steps, lr, beta1, beta2, decay, eps, no(), no()];
                self.adamw.call(&arguments, 0)?;
            }
        }
        Ok(())
    }
}
