//! Methods that make tensors of given values, element types and devices.

use anyhow::Result;

use super::{Arg, Device, Dtype, Scalar, Tensor, arg::number, methods::methods};

methods! {
    /// Another element type.
    fn to_dtype(&self, dtype: Dtype) -> Self = "aten::to.dtype"(self, dtype);
    /// On another device.
    fn to_device(&self, device: Device) -> Self = "aten::to.dtype_layout"(self, Arg::None, Arg::None, device);
    /// The same values, cut off from gradients.
    fn detach(&self) -> Self = "aten::detach"(self);

    /// Zeros of the same size, type and device.
    fn zeros_like(&self) -> Self = "aten::zeros_like"(self);
    /// Ones of the same size, type and device.
    fn ones_like(&self) -> Self = "aten::ones_like"(self);
    /// A number in the same size, type and device.
    fn full_like(&self, fill_value: impl Into<Scalar>) -> Self = "aten::full_like"(self, number(fill_value));
    /// Zeros of the same type and device.
    fn new_zeros(&self, size: &[i64]) -> Self = "aten::new_zeros"(self, size);
    /// Ones of the same type and device.
    fn new_ones(&self, size: &[i64]) -> Self = "aten::new_ones"(self, size);
    /// A number in the same type and device.
    fn new_full(&self, size: &[i64], fill_value: impl Into<Scalar>) -> Self
        = "aten::new_full"(self, size, number(fill_value));

    /// Zeros.
    fn zeros(size: &[i64], dtype: Dtype, device: Device) -> Self = "aten::zeros"(size, dtype, Arg::None, device);
    /// Ones.
    fn ones(size: &[i64], dtype: Dtype, device: Device) -> Self = "aten::ones"(size, dtype, Arg::None, device);
    /// One number everywhere.
    fn full(size: &[i64], fill_value: impl Into<Scalar>, dtype: Dtype, device: Device) -> Self
        = "aten::full"(size, number(fill_value), dtype, Arg::None, device);
    /// The whole numbers from 0 to before `end`, as a vector.
    fn arange(end: impl Into<Scalar>, dtype: Dtype, device: Device) -> Self
        = "aten::arange"(number(end), dtype, Arg::None, device);
    /// The numbers from `start` to before `end` at distances of `step`, as a vector.
    fn arange_start_step(
        start: impl Into<Scalar>, end: impl Into<Scalar>, step: impl Into<Scalar>, dtype: Dtype, device: Device
    ) -> Self = "aten::arange.start_step"(number(start), number(end), number(step), dtype, Arg::None, device);
    /// `steps` numbers from `start` to `end` at equal distances, as a vector.
    fn linspace(
        start: impl Into<Scalar>, end: impl Into<Scalar>, steps: i64, dtype: Dtype, device: Device
    ) -> Self = "aten::linspace"(number(start), number(end), steps, dtype, Arg::None, device);
    /// The unit matrix `[n, n]`.
    fn eye(n: i64, dtype: Dtype, device: Device) -> Self = "aten::eye"(n, dtype, Arg::None, device);
}
