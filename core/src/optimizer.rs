//! The optimizer: SGD with Nesterov momentum, AdamW or MuSGD over libtorch's fused kernels, with state of our own. Three
//! groups of parameters: weights (decayed), norms, biases.

mod group;
mod muon;
mod rule;

use std::fmt;

use anyhow::{Context as _, Result};
use tch::Tensor;
use trainer_sdk::Rates;

pub use rule::{Algorithm, Rule, RunSize};

use crate::{
    model::{Network, Role},
    torch::{Arg, Operator, take_gradient},
};
use group::{Group, Kernels};

/// Gradients are scaled down to this norm over all parameters (the reference's constant).
pub const MAX_GRADIENT_NORM: f64 = 10.0;

/// MuSGD lets the head's class branch learn so much faster (the reference's).
const CLASS_BRANCH_FACTOR: f64 = 3.0;

/// The groups, by the names that schedulers know.
const GROUPS: [(&str, Role); 3] = [("weight", Role::Weight), ("norm", Role::Norm), ("bias", Role::Bias)];

/// Moves a network's weights.
pub struct Optimizer {
    rule: Rule,
    /// Those of [`GROUPS`]; with MuSGD each in two parts, the class branch behind the rest.
    groups: Vec<Group>,
    kernels: Kernels,
    norm: Operator,
    scale: Operator,
}

impl Optimizer {
    /// An optimizer over the trained tensors of `network`; only weights are decayed.
    ///
    /// # Errors
    /// If libtorch lacks an operator, or memory is out.
    pub fn new(network: &Network, rule: Rule, weight_decay: f64) -> Result<Self> {
        let is_split = rule.algorithm == Algorithm::MuSgd;
        let mut groups = Vec::new();
        for (name, role) in GROUPS {
            let decay = if role == Role::Weight { weight_decay } else { 0.0 };
            let mut rest = Group::new(name, 1.0, decay);
            let mut classes = Group::new(name, CLASS_BRANCH_FACTOR, decay);
            for (spec, tensor) in network.tensors().filter(|(spec, _)| spec.role == role) {
                let is_fast = is_split && network.description().is_class_branch(&spec.name);
                if is_fast { &mut classes } else { &mut rest }.push(tensor, rule.algorithm)?;
            }
            groups.push(rest);
            groups.extend(is_split.then_some(classes));
        }
        if is_split {
            groups.iter_mut().filter(|group| group.name == "weight").try_for_each(Group::orthogonalise)?;
        }
        Ok(Self {
            rule,
            groups,
            kernels: Kernels::find()?,
            norm: Operator::find("aten::_foreach_norm", "Scalar")?,
            scale: Operator::find("aten::_foreach_mul_", "Tensor")?,
        })
    }

    /// The groups' starting rates, for the scheduler to write into.
    #[must_use]
    pub fn rates(&self) -> Vec<Rates> {
        GROUPS.iter().map(|(name, _)| Rates::new(name, self.rule.lr, self.rule.momentum)).collect()
    }

    /// Takes a trainable parameter of a loss into the group that is not decayed, `norm`.
    ///
    /// # Errors
    /// If memory is out.
    pub fn adopt(&mut self, parameter: &Tensor) -> Result<()> {
        let norms = self.groups.iter_mut().find(|group| group.name == "norm");
        norms.map_or(Ok(()), |norms| norms.adopt(parameter, self.rule.algorithm))
    }

    /// Clips the gradients, moves the weights by `rates` (one a group of the scheduler's) and drops the gradients.
    ///
    /// # Errors
    /// If a parameter has no gradient, or a group no rates.
    pub fn step(&mut self, rates: &[Rates]) -> Result<()> {
        tch::no_grad(|| {
            let gradients: Vec<Vec<Tensor>> = self.groups.iter().map(Group::gradients).collect::<Result<_>>()?;
            let all: Vec<Tensor> = gradients.iter().flatten().map(Tensor::shallow_clone).collect();
            self.clip(&all)?;
            for (group, gradients) in self.groups.iter().zip(&gradients) {
                let rates = rates.iter().find(|rates| rates.group() == group.name);
                let rates = rates.with_context(|| format!("no rates for the group {}", group.name))?;
                group.update(&self.kernels, self.rule, gradients, rates)?;
            }
            self.groups.iter().flat_map(|group| &group.parameters).for_each(|parameter| drop(take_gradient(parameter)));
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
}

impl fmt::Display for Optimizer {
    /// Algorithm, rates and groups, such as `SGD: lr 0.01, momentum 0.937; weight: 120 tensors, decay 0.0005; norm: …`.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Rule { algorithm, lr, momentum } = self.rule;
        write!(f, "{algorithm}: lr {lr}, momentum {momentum}")?;
        for group in &self.groups {
            write!(f, "; {}: {} tensors", group.name, group.parameters.len())?;
            if group.lr_factor != 1.0 {
                write!(f, " of the class branch, lr x {}", group.lr_factor)?;
            }
            if group.weight_decay != 0.0 {
                write!(f, ", decay {}", group.weight_decay)?;
            }
        }
        Ok(())
    }
}
