//! Muon: a step in the direction of the momentum, its matrices made nearly orthogonal, so that all directions are learnt
//! at one pace. Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; a convolution's weight
//! counts as the matrix of its output channels by all the rest.

use std::collections::BTreeMap;

use anyhow::Result;
use tch::{Device, Kind, Tensor};

use crate::torch::{Arg, Operator};

/// Odd polynomial a x + b x^3 + c x^5 that brings singular values of (0, 1] close to 1 when it is repeated (Jordan et al.).
const QUINTIC: (f64, f64, f64) = (3.4445, -4.7750, 2.0315);
/// How often it is repeated.
const ITERATIONS: usize = 5;
/// Keeps a matrix of zeros from division by zero.
const EPS: f64 = 1e-7;

/// The matrices among the parameters of a group, and their momentum.
pub(super) struct Muon {
    /// Their places in the group.
    places: Vec<usize>,
    /// Running means of the gradients.
    momentum: Vec<Tensor>,
    /// Places in `places` of matrices of equal shape, which are orthogonalised at once.
    alike: Vec<Vec<usize>>,
    approach: Operator,
    between: Operator,
    add: Operator,
}

impl Muon {
    /// Over those of `parameters` that have two dimensions or more.
    ///
    /// # Errors
    /// If libtorch lacks a foreach operator.
    pub fn new(parameters: &[Tensor]) -> Result<Self> {
        let places: Vec<usize> = (0..parameters.len()).filter(|&i| parameters[i].dim() >= 2).collect();
        let mut alike: BTreeMap<Vec<i64>, Vec<usize>> = BTreeMap::new();
        for (i, &place) in places.iter().enumerate() {
            alike.entry(parameters[place].size()).or_default().push(i);
        }
        Ok(Self {
            momentum: places.iter().map(|&place| parameters[place].zeros_like().detach()).collect(),
            places,
            alike: alike.into_values().collect(),
            approach: Operator::find("aten::_foreach_lerp_", "Scalar")?,
            between: Operator::find("aten::_foreach_lerp", "Scalar")?,
            add: Operator::find("aten::_foreach_add_", "List")?,
        })
    }

    /// Moves the matrices among `parameters` by `lr`. Momentum `beta` is that of Nesterov, over a running mean.
    ///
    /// # Errors
    /// libtorch's own.
    pub fn step(&self, parameters: &[Tensor], gradients: &[Tensor], lr: f64, beta: f64) -> Result<()> {
        let own = |all: &[Tensor]| -> Vec<Tensor> { self.places.iter().map(|&i| all[i].shallow_clone()).collect() };
        let (parameters, gradients) = (own(parameters), own(gradients));
        let (momentum, new) = (|| Arg::Tensors(&self.momentum), || Arg::Tensors(&gradients));
        self.approach.call(&[momentum(), new(), Arg::Float(1.0 - beta)], 0)?;
        let mut updates = self.between.call(&[new(), momentum(), Arg::Float(beta)], gradients.len())?;
        for alike in &self.alike {
            let matrices = alike.iter().map(|&i| as_matrix(&updates[i])).collect::<Result<Vec<_>>>()?;
            let pace = pace(&updates[alike[0]]);
            let made = orthogonal(&Tensor::f_stack(&matrices, 0)?)?.f_mul_scalar(pace)?;
            for (&i, made) in alike.iter().zip(made.f_unbind(0)?) {
                updates[i] = from_matrix(&made, &updates[i].size())?;
            }
        }
        self.add.call(&[Arg::Tensors(&parameters), Arg::Tensors(&updates), Arg::Float(-lr)], 0)?;
        Ok(())
    }
}

/// The length of a step, by the parameter's last two dimensions: sqrt(rows / columns) of a tall one, else 1. (So it is 1
/// for square kernels, whatever their channels, in the reference too.)
fn pace(parameter: &Tensor) -> f64 {
    let size = parameter.size();
    let (rows, columns) = (size[size.len() - 2] as f64, size[size.len() - 1] as f64);
    (rows / columns).max(1.0).sqrt()
}

/// First dimension by all others; the columns in the order in which a channels-last tensor lies in memory, which the
/// outcome does not depend on.
fn as_matrix(x: &Tensor) -> Result<Tensor> {
    let x = if x.dim() == 4 { x.f_permute([0, 2, 3, 1])? } else { x.shallow_clone() };
    Ok(x.f_flatten(1, -1)?)
}

/// The way back, to a tensor of that shape.
fn from_matrix(matrix: &Tensor, shape: &[i64]) -> Result<Tensor> {
    Ok(match *shape {
        [out, channels, height, width] => matrix.f_view([out, height, width, channels])?.f_permute([0, 3, 1, 2])?,
        _ => matrix.f_view(shape)?,
    })
}

/// Matrices (N, R, C) with their singular vectors kept and their singular values brought to about 1 (0.68 to 1.2,
/// but for those below 0.003 of the matrix's norm), by Newton-Schulz iteration. In bfloat16 on a GPU, as published: the
/// iteration forgives its rounding. Elsewhere in the matrices' own precision.
fn orthogonal(matrices: &Tensor) -> Result<Tensor> {
    let (_, rows, columns) = matrices.size3()?;
    let kind = match (matrices.device(), matrices.kind()) {
        (Device::Cuda(_), Kind::Float) => Kind::BFloat16,
        (_, kind) => kind,
    };
    let turned = |x: &Tensor| -> Result<Tensor> {
        Ok(if rows > columns { x.f_transpose(-2, -1)? } else { x.shallow_clone() }) // the smaller side makes the products
    };
    let x = matrices.f_to_kind(kind)?;
    let norms = x.f_norm_scalaropt_dim(2.0, [-2i64, -1].as_slice(), true)?; // at least the largest singular value
    let mut x = turned(&x.f_div(&norms.f_add_scalar(EPS)?)?)?;
    let (a, b, c) = QUINTIC;
    for _ in 0..ITERATIONS {
        let gram = x.f_matmul(&x.f_transpose(-2, -1)?)?;
        let factor = gram.f_baddbmm(&gram, &gram, b, c)?;
        x = x.f_baddbmm(&factor, &x, a, 1.0)?;
    }
    Ok(turned(&x)?.f_to_kind(matrices.kind())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (N, R, C) of the same numbers everywhere.
    fn matrices(shape: [i64; 3]) -> Tensor {
        let count: i64 = shape.iter().product();
        (Tensor::arange(count, (Kind::Double, Device::Cpu)).square() * 0.7).sin().reshape(shape)
    }

    #[test]
    fn singular_values_come_close_to_one_and_vectors_stay() {
        for shape in [[3, 4, 20], [2, 20, 4], [1, 8, 8]] {
            let x = matrices(shape);
            let (u, before, v) = x.svd(true, true);
            let made = orthogonal(&x).unwrap();
            assert_eq!(made.size(), shape);
            let middle = u.transpose(-2, -1).matmul(&made).matmul(&v);
            let values = middle.diagonal(0, -2, -1);
            let rest = &middle - Tensor::diag_embed(&values, 0, -2, -1);
            assert!(rest.abs().max().double_value(&[]) < 1e-9, "{shape:?}: singular vectors stay");
            // By hand: the polynomial, five times, of each singular value / the matrix's norm.
            let mut wanted = &before / before.square().sum_dim_intlist(&[-1i64][..], true, None::<Kind>).sqrt();
            for _ in 0..5 {
                wanted = 3.4445 * &wanted - 4.775 * wanted.pow_tensor_scalar(3) + 2.0315 * wanted.pow_tensor_scalar(5);
            }
            assert!((&values - &wanted).abs().max().double_value(&[]) < 1e-6, "{shape:?}: {values} {wanted}");
            assert!(wanted.min().double_value(&[]) > 0.68 && wanted.max().double_value(&[]) < 1.2, "{wanted}");
        }
        let zeros = Tensor::zeros([1, 2, 3], (Kind::Float, Device::Cpu));
        assert_eq!(orthogonal(&zeros).unwrap(), zeros);
    }

    #[test]
    fn a_convolution_is_a_matrix_of_its_output_channels() {
        let x = matrices([6, 4, 9]).reshape([6, 4, 3, 3]);
        let there = as_matrix(&x).unwrap();
        assert_eq!(there.size(), [6, 36]);
        assert_eq!(from_matrix(&there, &x.size()).unwrap(), x);
        let plain = orthogonal(&x.reshape([1, 6, 36])).unwrap().reshape([6, 4, 3, 3]);
        let ours = from_matrix(&orthogonal(&there.unsqueeze(0)).unwrap().squeeze_dim(0), &x.size()).unwrap();
        assert!((plain - ours).abs().max().double_value(&[]) < 1e-12, "whatever the order of its columns");
        assert_eq!(pace(&x), 1.0);
        assert_eq!([pace(&Tensor::zeros([9, 4], (Kind::Float, Device::Cpu))), pace(&there)], [1.5, 1.0]);
    }
}
