//! Methods that arrange the same elements otherwise, take tensors apart and join them. Results share memory where
//! PyTorch's do.

use anyhow::Result;

use super::{Arg, Tensor, methods::methods};

methods! {
    /// The same elements under other sizes; one may be -1.
    fn reshape(&self, size: &[i64]) -> Self = "aten::reshape"(self, size);
    /// As [`reshape`](Self::reshape), but never copies: an error where the elements do not lie so in memory.
    fn view(&self, size: &[i64]) -> Self = "aten::view"(self, size);
    /// The dimensions from `start_dim` to `end_dim` as one.
    fn flatten(&self, start_dim: i64, end_dim: i64) -> Self = "aten::flatten.using_ints"(self, start_dim, end_dim);
    /// The dimensions in another order.
    fn permute(&self, dims: &[i64]) -> Self = "aten::permute"(self, dims);
    /// Two dimensions swapped.
    fn transpose(&self, dim0: i64, dim1: i64) -> Self = "aten::transpose.int"(self, dim0, dim1);
    /// A new dimension of size 1.
    fn unsqueeze(&self, dim: i64) -> Self = "aten::unsqueeze"(self, dim);
    /// Without a dimension of size 1.
    fn squeeze(&self, dim: i64) -> Self = "aten::squeeze.dim"(self, dim);
    /// Dimensions of size 1 stretched to `size`, and new ones in front; -1 keeps a size.
    fn expand(&self, size: &[i64]) -> Self = "aten::expand"(self, size);
    /// Stretched to the size of `other`.
    fn expand_as(&self, other: &Self) -> Self = "aten::expand_as"(self, other);
    /// Stretched to `size`.
    fn broadcast_to(&self, size: &[i64]) -> Self = "aten::broadcast_to"(self, size);
    /// Copied side by side, so many times along each dimension.
    fn repeat(&self, repeats: &[i64]) -> Self = "aten::repeat"(self, repeats);
    /// Some dimensions in reverse.
    fn flip(&self, dims: &[i64]) -> Self = "aten::flip"(self, dims);
    /// The same elements, row-major in memory.
    fn contiguous(&self) -> Self = "aten::contiguous"(self);

    /// `length` places of a dimension from `start` on; a negative start counts from the end.
    fn narrow(&self, dim: i64, start: i64, length: i64) -> Self = "aten::narrow"(self, dim, start, length);
    /// Every `step`th place of a dimension from `start` to before `end`, which are cut off at its ends.
    fn slice(&self, dim: i64, start: i64, end: i64, step: i64) -> Self = "aten::slice.Tensor"(self, dim, start, end, step);
    /// One place of a dimension, which goes.
    fn select(&self, dim: i64, index: i64) -> Self = "aten::select.int"(self, dim, index);
    /// Pieces of `split_size` along a dimension; the last may be smaller.
    fn split(&self, split_size: i64, dim: i64) -> Vec<Self> = "aten::split.Tensor"(self, split_size, dim);
    /// Pieces of these sizes along a dimension.
    fn split_with_sizes(&self, split_sizes: &[i64], dim: i64) -> Vec<Self>
        = "aten::split_with_sizes"(self, split_sizes, dim);
    /// At most so many pieces of equal size along a dimension; the last may be smaller.
    fn chunk(&self, chunks: i64, dim: i64) -> Vec<Self> = "aten::chunk"(self, chunks, dim);
    /// All places of a dimension, which goes.
    fn unbind(&self, dim: i64) -> Vec<Self> = "aten::unbind.int"(self, dim);
    /// Joined along a dimension; the other sizes are equal.
    fn cat(tensors: &[&Self], dim: i64) -> Self = "aten::cat"(tensors, dim);
    /// Joined along a new dimension; all sizes are equal.
    fn stack(tensors: &[&Self], dim: i64) -> Self = "aten::stack"(tensors, dim);
}
