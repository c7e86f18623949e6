//! Methods that compare elements, and what is done with the answers. Comparisons give bool tensors.

use anyhow::Result;

use super::{Arg, Scalar, Tensor, arg::number, methods::methods};

methods! {
    /// Where `self == other`.
    fn eq(&self, other: &Self) -> Self = "aten::eq.Tensor"(self, other);
    /// Where `self == other`.
    fn eq_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::eq.Scalar"(self, number(other));
    /// Where `self != other`.
    fn ne(&self, other: &Self) -> Self = "aten::ne.Tensor"(self, other);
    /// Where `self != other`.
    fn ne_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::ne.Scalar"(self, number(other));
    /// Where `self < other`.
    fn lt(&self, other: &Self) -> Self = "aten::lt.Tensor"(self, other);
    /// Where `self < other`.
    fn lt_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::lt.Scalar"(self, number(other));
    /// Where `self <= other`.
    fn le(&self, other: &Self) -> Self = "aten::le.Tensor"(self, other);
    /// Where `self <= other`.
    fn le_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::le.Scalar"(self, number(other));
    /// Where `self > other`.
    fn gt(&self, other: &Self) -> Self = "aten::gt.Tensor"(self, other);
    /// Where `self > other`.
    fn gt_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::gt.Scalar"(self, number(other));
    /// Where `self >= other`.
    fn ge(&self, other: &Self) -> Self = "aten::ge.Tensor"(self, other);
    /// Where `self >= other`.
    fn ge_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::ge.Scalar"(self, number(other));

    /// Where both are true; of any type, other than 0 is true.
    fn logical_and(&self, other: &Self) -> Self = "aten::logical_and"(self, other);
    /// Where either is true.
    fn logical_or(&self, other: &Self) -> Self = "aten::logical_or"(self, other);
    /// Where just one is true.
    fn logical_xor(&self, other: &Self) -> Self = "aten::logical_xor"(self, other);
    /// Where it is not true.
    fn logical_not(&self) -> Self = "aten::logical_not"(self);
    /// Where it is not-a-number.
    fn isnan(&self) -> Self = "aten::isnan"(self);
    /// Where it is plus or minus infinity.
    fn isinf(&self) -> Self = "aten::isinf"(self);
    /// Where it is neither infinite nor not-a-number.
    fn isfinite(&self) -> Self = "aten::isfinite"(self);

    /// Whether any element is true: a bool without dimensions.
    fn any(&self) -> Self = "aten::any"(self);
    /// Whether any element along a dimension is true.
    fn any_dim(&self, dim: i64, keepdim: bool) -> Self = "aten::any.dim"(self, dim, keepdim);
    /// Whether all elements are true: a bool without dimensions.
    fn all(&self) -> Self = "aten::all"(self);
    /// Whether all elements along a dimension are true.
    fn all_dim(&self, dim: i64, keepdim: bool) -> Self = "aten::all.dim"(self, dim, keepdim);

    /// `self` where `condition` (bool) is true, else `other`. PyTorch's `where`, which is a word of Rust.
    fn where_self(&self, condition: &Self, other: &Self) -> Self = "aten::where.self"(condition, self, other);
    /// `self` where `condition` (bool) is true, else the number `other`.
    fn where_scalar(&self, condition: &Self, other: impl Into<Scalar>) -> Self
        = "aten::where.ScalarOther"(condition, self, number(other));
    /// `value` where `mask` (bool) is true, else `self`.
    fn masked_fill(&self, mask: &Self, value: impl Into<Scalar>) -> Self
        = "aten::masked_fill.Scalar"(self, mask, number(value));
    /// The elements where `mask` (bool) is true, as a vector; waits for the device.
    fn masked_select(&self, mask: &Self) -> Self = "aten::masked_select"(self, mask);
    /// The indices of the elements other than 0: int64 `[count, dimensions]`; waits for the device.
    fn nonzero(&self) -> Self = "aten::nonzero"(self);
}
