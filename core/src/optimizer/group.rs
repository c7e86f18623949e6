//! One group of parameters, its state, and the update by each algorithm.

use anyhow::{Result, bail};
use tch::{Kind, Tensor};
use trainer_sdk::Rates;

use super::{
    muon::Muon,
    rule::{Algorithm, Rule},
};
use crate::torch::{Arg, Operator};

/// Share of the learning rate that Muon's part of MuSGD takes (the reference's); SGD's part takes all of it.
const MUON_SHARE: f64 = 0.2;

/// The parameters of one group with their state.
pub(super) struct Group {
    /// Whose rates it follows.
    pub name: &'static str,
    /// What the learning rate is multiplied by.
    pub lr_factor: f64,
    pub weight_decay: f64,
    pub parameters: Vec<Tensor>,
    /// SGD, MuSGD: momentum buffers. AdamW: first moments.
    first: Vec<Tensor>,
    /// AdamW: second moments.
    second: Vec<Tensor>,
    /// AdamW: steps taken, a scalar each.
    steps: Vec<Tensor>,
    /// MuSGD: its part for matrices, where the group has some.
    muon: Option<Muon>,
    /// How many of the last parameters belong to losses, which may leave them without a gradient.
    adopted: usize,
}

/// The kernels of all algorithms.
pub(super) struct Kernels {
    sgd: Operator,
    adamw: Operator,
    count: Operator,
}

impl Kernels {
    /// # Errors
    /// If libtorch lacks one.
    pub fn find() -> Result<Self> {
        Ok(Self {
            sgd: Operator::find("aten::_fused_sgd_", "")?,
            adamw: Operator::find("aten::_fused_adamw_", "")?,
            count: Operator::find("aten::_foreach_add_", "Scalar")?,
        })
    }
}

impl Group {
    /// A group without parameters, for [`push`](Self::push).
    pub fn new(name: &'static str, lr_factor: f64, weight_decay: f64) -> Self {
        Self {
            name,
            lr_factor,
            weight_decay,
            parameters: Vec::new(),
            first: Vec::new(),
            second: Vec::new(),
            steps: Vec::new(),
            muon: None,
            adopted: 0,
        }
    }

    /// Takes a parameter in, with fresh state.
    ///
    /// # Errors
    /// If memory is out.
    pub fn push(&mut self, parameter: &Tensor, algorithm: Algorithm) -> Result<()> {
        let zeros = || parameter.detach().f_zeros_like();
        self.first.push(zeros()?);
        if algorithm == Algorithm::AdamW {
            self.second.push(zeros()?);
            self.steps.push(Tensor::f_zeros([0i64; 0], (Kind::Float, parameter.device()))?);
        }
        self.parameters.push(parameter.shallow_clone());
        Ok(())
    }

    /// Takes a parameter of a loss in.
    ///
    /// # Errors
    /// If memory is out.
    pub fn adopt(&mut self, parameter: &Tensor, algorithm: Algorithm) -> Result<()> {
        self.push(parameter, algorithm)?;
        self.adopted += 1;
        Ok(())
    }

    /// Gives its matrices to Muon.
    ///
    /// # Errors
    /// If libtorch lacks an operator.
    pub fn orthogonalise(&mut self) -> Result<()> {
        self.muon = Some(Muon::new(&self.parameters)?);
        Ok(())
    }

    /// The gradients of all parameters; of an adopted one, zeros if it has none.
    ///
    /// # Errors
    /// If another has none.
    pub fn gradients(&self) -> Result<Vec<Tensor>> {
        let own = self.parameters.len() - self.adopted;
        let gradient = |(i, parameter): (usize, &Tensor)| match parameter.grad() {
            gradient if gradient.defined() => Ok(gradient),
            _ if i >= own => Ok(parameter.detach().f_zeros_like()?),
            _ => bail!("a parameter received no gradient: the loss does not depend on the whole network"),
        };
        self.parameters.iter().enumerate().map(gradient).collect()
    }

    /// Moves the parameters.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn update(&self, kernels: &Kernels, rule: Rule, gradients: &[Tensor], rates: &Rates) -> Result<()> {
        let (lr, momentum) = (rates.lr * self.lr_factor, rates.momentum);
        match rule.algorithm {
            Algorithm::SgdNesterov => self.sgd(&kernels.sgd, gradients, lr, momentum),
            Algorithm::MuSgd => {
                if let Some(muon) = &self.muon {
                    muon.step(&self.parameters, gradients, lr * MUON_SHARE, momentum)?;
                }
                self.sgd(&kernels.sgd, gradients, lr, momentum)
            }
            Algorithm::AdamW => {
                kernels.count.call(&[Arg::Tensors(&self.steps), Arg::Float(1.0)], 0)?;
                self.adamw(&kernels.adamw, gradients, lr, rule.momentum)
            }
        }
    }

    fn sgd(&self, kernel: &Operator, gradients: &[Tensor], lr: f64, momentum: f64) -> Result<()> {
        let (parameters, gradients) = (Arg::Tensors(&self.parameters), Arg::Tensors(gradients));
        let with_momentum = momentum > 0.0; // the kernel takes no buffers where it uses none
        let buffers = Arg::Tensors(if with_momentum { &self.first } else { &[] });
        let (decay, momentum, lr) = (Arg::Float(self.weight_decay), Arg::Float(momentum), Arg::Float(lr));
        let (dampening, nesterov, no) = (Arg::Float(0.0), Arg::Bool(with_momentum), || Arg::Bool(false));
        // Buffers start at 0, so the first step needs no special case (`is_first_step` is the last flag).
        let arguments = [parameters, gradients, buffers, decay, momentum, lr, dampening, nesterov, no(), no()];
        kernel.call(&arguments, 0)?;
        Ok(())
    }

    fn adamw(&self, kernel: &Operator, gradients: &[Tensor], lr: f64, beta1: f64) -> Result<()> {
        let (parameters, gradients) = (Arg::Tensors(&self.parameters), Arg::Tensors(gradients));
        let (first, second) = (Arg::Tensors(&self.first), Arg::Tensors(&self.second));
        let (amsgrad, steps) = (Arg::Tensors(&[]), Arg::Tensors(&self.steps));
        let (beta1, beta2, eps) = (Arg::Float(beta1), Arg::Float(0.999), Arg::Float(1e-8));
        let (lr, decay, no) = (Arg::Float(lr), Arg::Float(self.weight_decay), || Arg::Bool(false));
        let arguments =
            [parameters, gradients, first, second, amsgrad, steps, lr, beta1, beta2, decay, eps, no(), no()];
        kernel.call(&arguments, 0)?;
        Ok(())
    }
}
