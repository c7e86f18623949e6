//! Methods that treat each element by itself: arithmetic and functions.

use anyhow::Result;

use super::{Arg, Scalar, Tensor, arg::number, methods::methods};

methods! {
    /// `self + other`.
    fn add(&self, other: &Self) -> Self = "aten::add.Tensor"(self, other);
    /// `self + other`.
    fn add_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::add.Scalar"(self, number(other));
    /// `self - other`; bools have no difference.
    fn sub(&self, other: &Self) -> Self = "aten::sub.Tensor"(self, other);
    /// `self - other`.
    fn sub_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::sub.Scalar"(self, number(other));
    /// `other - self`.
    fn rsub(&self, other: &Self) -> Self = "aten::rsub.Tensor"(self, other);
    /// `other - self`.
    fn rsub_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::rsub.Scalar"(self, number(other));
    /// `self * other`.
    fn mul(&self, other: &Self) -> Self = "aten::mul.Tensor"(self, other);
    /// `self * other`.
    fn mul_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::mul.Scalar"(self, number(other));
    /// `self / other`; integers become single floats.
    fn div(&self, other: &Self) -> Self = "aten::div.Tensor"(self, other);
    /// `self / other`; integers become single floats.
    fn div_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::div.Scalar"(self, number(other));
    /// `self ^ exponent`.
    fn pow(&self, exponent: &Self) -> Self = "aten::pow.Tensor_Tensor"(self, exponent);
    /// `self ^ exponent`.
    fn pow_scalar(&self, exponent: impl Into<Scalar>) -> Self = "aten::pow.Tensor_Scalar"(self, number(exponent));
    /// The remainder of `self / other`, with the sign of `other`.
    fn remainder_scalar(&self, other: impl Into<Scalar>) -> Self = "aten::remainder.Scalar"(self, number(other));
    /// The larger of two elements; not-a-number wins.
    fn maximum(&self, other: &Self) -> Self = "aten::maximum"(self, other);
    /// The smaller of two elements; not-a-number wins.
    fn minimum(&self, other: &Self) -> Self = "aten::minimum"(self, other);
    /// Limits to `min..=max`.
    fn clamp(&self, min: impl Into<Scalar>, max: impl Into<Scalar>) -> Self = "aten::clamp"(self, number(min), number(max));
    /// Limits to `min..=max`, element by element.
    fn clamp_tensor(&self, min: &Self, max: &Self) -> Self = "aten::clamp.Tensor"(self, min, max);
    /// At least `min`.
    fn clamp_min(&self, min: impl Into<Scalar>) -> Self = "aten::clamp_min"(self, number(min));
    /// At most `max`.
    fn clamp_max(&self, max: impl Into<Scalar>) -> Self = "aten::clamp_max"(self, number(max));
    /// `self + weight * (end - self)`, for floats of one type.
    fn lerp_scalar(&self, end: &Self, weight: impl Into<Scalar>) -> Self = "aten::lerp.Scalar"(self, end, number(weight));

    /// `-self`.
    fn neg(&self) -> Self = "aten::neg"(self);
    /// `|self|`.
    fn abs(&self) -> Self = "aten::abs"(self);
    /// -1, 0 or 1.
    fn sign(&self) -> Self = "aten::sign"(self);
    /// `self * self`.
    fn square(&self) -> Self = "aten::square"(self);
    /// The largest whole number that is not above.
    fn floor(&self) -> Self = "aten::floor"(self);
    /// The smallest whole number that is not below.
    fn ceil(&self) -> Self = "aten::ceil"(self);
    /// The nearest whole number; halves go to the even one.
    fn round(&self) -> Self = "aten::round"(self);
    /// Square root.
    fn sqrt(&self) -> Self = "aten::sqrt"(self);
    /// `1 / sqrt(self)`.
    fn rsqrt(&self) -> Self = "aten::rsqrt"(self);
    /// `1 / self`.
    fn reciprocal(&self) -> Self = "aten::reciprocal"(self);
    /// Exponential.
    fn exp(&self) -> Self = "aten::exp"(self);
    /// `exp(self) - 1`, exact near 0.
    fn expm1(&self) -> Self = "aten::expm1"(self);
    /// Natural logarithm.
    fn log(&self) -> Self = "aten::log"(self);
    /// `log(1 + self)`, exact near 0.
    fn log1p(&self) -> Self = "aten::log1p"(self);
    /// Logarithm to base 2.
    fn log2(&self) -> Self = "aten::log2"(self);
    /// `self * log(other)`, 0 where `self` is 0.
    fn xlogy(&self, other: &Self) -> Self = "aten::xlogy.Tensor"(self, other);
    /// Sine of radians.
    fn sin(&self) -> Self = "aten::sin"(self);
    /// Cosine of radians.
    fn cos(&self) -> Self = "aten::cos"(self);
    /// Tangent of radians.
    fn tan(&self) -> Self = "aten::tan"(self);
    /// Arc sine, in radians.
    fn asin(&self) -> Self = "aten::asin"(self);
    /// Arc cosine, in radians.
    fn acos(&self) -> Self = "aten::acos"(self);
    /// Arc tangent, in radians.
    fn atan(&self) -> Self = "aten::atan"(self);
    /// The angle of the point (`other`, `self`), in radians from -pi to pi.
    fn atan2(&self, other: &Self) -> Self = "aten::atan2"(self, other);
    /// Hyperbolic tangent.
    fn tanh(&self) -> Self = "aten::tanh"(self);
    /// Error function.
    fn erf(&self) -> Self = "aten::erf"(self);
    /// `1 / (1 + exp(-self))`.
    fn sigmoid(&self) -> Self = "aten::sigmoid"(self);
    /// `log(sigmoid(self))`, for floats.
    fn log_sigmoid(&self) -> Self = "aten::log_sigmoid"(self);
    /// `log(1 + exp(self))`, for floats.
    fn softplus(&self) -> Self = "aten::softplus"(self);
    /// `max(self, 0)`.
    fn relu(&self) -> Self = "aten::relu"(self);
    /// `self` where positive, else `negative_slope * self`; for floats.
    fn leaky_relu(&self, negative_slope: impl Into<Scalar>) -> Self = "aten::leaky_relu"(self, number(negative_slope));
    /// `self * sigmoid(self)`, for floats.
    fn silu(&self) -> Self = "aten::silu"(self);
    /// `self` times the normal distribution's share below it (by the error function), for floats.
    fn gelu(&self) -> Self = "aten::gelu"(self);
    /// Replaces not-a-number and the infinities.
    fn nan_to_num(&self, nan: f64, posinf: f64, neginf: f64) -> Self = "aten::nan_to_num"(self, nan, posinf, neginf);
}
