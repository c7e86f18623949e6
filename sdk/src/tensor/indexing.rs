//! Methods that pick elements by an int64 index, or put them there.

use anyhow::Result;

use super::{Arg, Scalar, Tensor, arg::number, methods::methods};

methods! {
    /// Picks elements along a dimension: the result has the size of `index` (int64, as many dimensions).
    fn gather(&self, dim: i64, index: &Self) -> Self = "aten::gather"(self, dim, index);
    /// `self` with the elements of `src` put at `index` (int64) along a dimension; of several at one place any may win.
    fn scatter(&self, dim: i64, index: &Self, src: &Self) -> Self = "aten::scatter.src"(self, dim, index, src);
    /// `self` with the number `value` put at `index` (int64) along a dimension.
    fn scatter_scalar(&self, dim: i64, index: &Self, value: impl Into<Scalar>) -> Self
        = "aten::scatter.value"(self, dim, index, number(value));
    /// `self` with the elements of `src` added at `index` (int64) along a dimension.
    fn scatter_add(&self, dim: i64, index: &Self, src: &Self) -> Self = "aten::scatter_add"(self, dim, index, src);
    /// Picks whole slices along a dimension by an int64 vector.
    fn index_select(&self, dim: i64, index: &Self) -> Self = "aten::index_select"(self, dim, index);
    /// `self` with the slices of `source` added at `index` (an int64 vector) of a dimension.
    fn index_add(&self, dim: i64, index: &Self, source: &Self) -> Self = "aten::index_add"(self, dim, index, source);
    /// `self` with the number `value` in the slices at `index` (an int64 vector) of a dimension.
    fn index_fill_scalar(&self, dim: i64, index: &Self, value: impl Into<Scalar>) -> Self
        = "aten::index_fill.int_Scalar"(self, dim, index, number(value));
    /// A further dimension of `num_classes` (-1: as many as there are) that is 1 at the class (int64), else 0; int64.
    fn one_hot(&self, num_classes: i64) -> Self = "aten::one_hot"(self, num_classes);
}
