//! Methods over dimensions: sums, means, extremes, order, softmax, products. `keepdim` keeps reduced dimensions as 1.

use anyhow::Result;

use super::{Arg, Scalar, Tensor, arg::number, methods::methods};

methods! {
    /// Sum of all elements; integers and bools give an int64.
    fn sum(&self) -> Self = "aten::sum"(self);
    /// Sum over dimensions.
    fn sum_dims(&self, dims: &[i64], keepdim: bool) -> Self = "aten::sum.dim_IntList"(self, dims, keepdim);
    /// Mean of all elements, of a float type.
    fn mean(&self) -> Self = "aten::mean"(self);
    /// Mean over dimensions, of a float type.
    fn mean_dims(&self, dims: &[i64], keepdim: bool) -> Self = "aten::mean.dim"(self, dims, keepdim);
    /// Variance of all elements, by count - 1; of a float type.
    fn var(&self) -> Self = "aten::var"(self);
    /// Variance over dimensions, by count - `correction`; of a float type.
    fn var_dims(&self, dims: &[i64], correction: impl Into<Scalar>, keepdim: bool) -> Self
        = "aten::var.correction"(self, dims, number(correction), keepdim);
    /// Standard deviation of all elements, by count - 1; of a float type.
    fn std(&self) -> Self = "aten::std"(self);
    /// Standard deviation over dimensions, by count - `correction`; of a float type.
    fn std_dims(&self, dims: &[i64], correction: impl Into<Scalar>, keepdim: bool) -> Self
        = "aten::std.correction"(self, dims, number(correction), keepdim);
    /// The `p`-norm of all elements, of a float type.
    fn norm(&self, p: impl Into<Scalar>) -> Self = "aten::norm.Scalar"(self, number(p));
    /// The `p`-norm over dimensions, of a float type.
    fn norm_dims(&self, p: impl Into<Scalar>, dims: &[i64], keepdim: bool) -> Self
        = "aten::norm.ScalarOpt_dim"(self, number(p), dims, keepdim);
    /// Product of all elements; integers and bools give an int64.
    fn prod(&self) -> Self = "aten::prod"(self);
    /// Product over a dimension.
    fn prod_dim(&self, dim: i64, keepdim: bool) -> Self = "aten::prod.dim_int"(self, dim, keepdim);
    /// Sums along a dimension up to each element.
    fn cumsum(&self, dim: i64) -> Self = "aten::cumsum"(self, dim);

    /// The largest element.
    fn max(&self) -> Self = "aten::max"(self);
    /// The smallest element.
    fn min(&self) -> Self = "aten::min"(self);
    /// The largest elements along a dimension, and their int64 indices.
    fn max_dim(&self, dim: i64, keepdim: bool) -> (Self, Self) = "aten::max.dim"(self, dim, keepdim);
    /// The smallest elements along a dimension, and their int64 indices.
    fn min_dim(&self, dim: i64, keepdim: bool) -> (Self, Self) = "aten::min.dim"(self, dim, keepdim);
    /// Largest values over dimensions; equal ones share the gradient.
    fn amax(&self, dims: &[i64], keepdim: bool) -> Self = "aten::amax"(self, dims, keepdim);
    /// Smallest values over dimensions; equal ones share the gradient.
    fn amin(&self, dims: &[i64], keepdim: bool) -> Self = "aten::amin"(self, dims, keepdim);
    /// Int64 indices of the largest elements along a dimension.
    fn argmax(&self, dim: i64, keepdim: bool) -> Self = "aten::argmax"(self, dim, keepdim);
    /// Int64 indices of the smallest elements along a dimension.
    fn argmin(&self, dim: i64, keepdim: bool) -> Self = "aten::argmin"(self, dim, keepdim);
    /// The `k` largest (or smallest) elements along a dimension, in order if `sorted`, and their int64 indices.
    fn topk(&self, k: i64, dim: i64, largest: bool, sorted: bool) -> (Self, Self)
        = "aten::topk"(self, k, dim, largest, sorted);
    /// The elements along a dimension in order, and their int64 indices.
    fn sort(&self, dim: i64, descending: bool) -> (Self, Self) = "aten::sort"(self, dim, descending);
    /// Int64 indices that put a dimension in order.
    fn argsort(&self, dim: i64, descending: bool) -> Self = "aten::argsort"(self, dim, descending);

    /// Softmax over a dimension, of a float type.
    fn softmax(&self, dim: i64) -> Self = "aten::softmax.int"(self, dim);
    /// Logarithm of the softmax over a dimension, of a float type.
    fn log_softmax(&self, dim: i64) -> Self = "aten::log_softmax.int"(self, dim);
    /// Logarithm of the sum of exponentials over dimensions.
    fn logsumexp(&self, dims: &[i64], keepdim: bool) -> Self = "aten::logsumexp"(self, dims, keepdim);

    /// Matrix product; of more than two dimensions the last two are the matrices, vectors are rows or columns as fits.
    fn matmul(&self, other: &Self) -> Self = "aten::matmul"(self, other);
    /// Matrix products of `[batch, n, m]` and `[batch, m, p]`.
    fn bmm(&self, mat2: &Self) -> Self = "aten::bmm"(self, mat2);
    /// Sums of products by an equation such as `"bij,bjk->bik"`.
    fn einsum(equation: &str, tensors: &[&Self]) -> Self = "aten::einsum"(equation, tensors);
}
