//! Arithmetic, element by element.

use anyhow::{Result, ensure};

use super::{OTHER, Operator, binary, one, scalar};
use crate::{
    Dtype,
    testing::dense::{Dense, broadcast, common_type, is_float, type_name},
};

const ALPHA: &[&str] = &["self", "other", "alpha?"];
const EXPONENT: &[&str] = &["self", "exponent"];

pub(super) const OPERATORS: &[Operator] = &[
    one("aten::add.Tensor", ALPHA, |a| add(a.tensor(0)?, a.tensor(1)?, a.optional_number(2)?)),
    one("aten::add.Scalar", ALPHA, |a| add(a.tensor(0)?, &a.number(1)?, a.optional_number(2)?)),
    one("aten::sub.Tensor", ALPHA, |a| sub(a.tensor(0)?, a.tensor(1)?, a.optional_number(2)?)),
    one("aten::sub.Scalar", ALPHA, |a| sub(a.tensor(0)?, &a.number(1)?, a.optional_number(2)?)),
    one("aten::rsub.Tensor", ALPHA, |a| sub(a.tensor(1)?, a.tensor(0)?, a.optional_number(2)?)),
    one("aten::rsub.Scalar", ALPHA, |a| sub(&a.number(1)?, a.tensor(0)?, a.optional_number(2)?)),
    binary("aten::mul.Tensor", OTHER, mul),
    scalar("aten::mul.Scalar", OTHER, mul),
    binary("aten::div.Tensor", OTHER, div),
    scalar("aten::div.Scalar", OTHER, div),
    binary("aten::pow.Tensor_Tensor", EXPONENT, pow),
    scalar("aten::pow.Tensor_Scalar", EXPONENT, pow),
    scalar("aten::remainder.Scalar", OTHER, remainder),
    binary("aten::maximum", OTHER, |a, b| extreme(a, b, f64::max, i64::max)),
    binary("aten::minimum", OTHER, |a, b| extreme(a, b, f64::min, i64::min)),
    one("aten::clamp", &["self", "min?", "max?"], |a| {
        clamp("scalar_", a.tensor(0)?, a.optional_number(1)?.as_ref(), a.optional_number(2)?.as_ref())
    }),
    one("aten::clamp.Tensor", &["self", "min?", "max?"], |a| {
        clamp("", a.tensor(0)?, a.optional_tensor(1)?, a.optional_tensor(2)?)
    }),
    scalar("aten::clamp_min", &["self", "min"], |x, min| clamp("scalar_", x, Some(min), None)),
    scalar("aten::clamp_max", &["self", "max"], |x, max| clamp("scalar_", x, None, Some(max))),
    one("aten::lerp.Scalar", &["self", "end", "weight"], |a| lerp(a.tensor(0)?, a.tensor(1)?, &a.number(2)?)),
    binary("aten::atan2", OTHER, |a, b| real_pairs(a, b, f64::atan2)),
    binary("aten::xlogy.Tensor", OTHER, |a, b| {
        real_pairs(a, b, |a, b| if a == 0.0 && !b.is_nan() { 0.0 } else { a * b.ln() })
    }),
];

/// Pairs of elements, broadcast and converted to the type `common`.
pub(super) fn pairs(
    a: &Dense,
    b: &Dense,
    common: Dtype,
    floats: impl Fn(f64, f64) -> f64,
    ints: impl Fn(i64, i64) -> i64,
) -> Result<Dense> {
    let (a, b, size) = paired(a, b, common)?;
    Ok(if is_float(common) {
        let results = a.as_floats().iter().zip(&*b.as_floats()).map(|(&a, &b)| floats(a, b)).collect();
        Dense::floats(common, size, results)
    } else {
        let results = a.as_ints().iter().zip(&*b.as_ints()).map(|(&a, &b)| ints(a, b)).collect();
        Dense::ints(common, size, results)
    })
}

pub(super) fn paired(a: &Dense, b: &Dense, common: Dtype) -> Result<(Dense, Dense, Vec<i64>)> {
    let size = broadcast(&a.size, &b.size)?;
    Ok((a.to(common).expanded(&size), b.to(common).expanded(&size), size))
}

/// `a + alpha * b`; `alpha` is 1 where it was left out.
fn add(a: &Dense, b: &Dense, alpha: Option<Dense>) -> Result<Dense> {
    let common = common_type(&[a, b]);
    let b = scaled(b, common, alpha)?;
    pairs(a, &b, common, |a, b| a + b, i64::wrapping_add)
}

/// `a - alpha * b`; `alpha` is 1 where it was left out.
pub(super) fn sub(a: &Dense, b: &Dense, alpha: Option<Dense>) -> Result<Dense> {
    ensure!(
        a.dtype != Dtype::BOOL || b.dtype != Dtype::BOOL,
        "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
    );
    ensure!(
        a.dtype != Dtype::BOOL && b.dtype != Dtype::BOOL,
        "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
    );
    let common = common_type(&[a, b]);
    let b = scaled(b, common, alpha)?;
    pairs(a, &b, common, |a, b| a - b, i64::wrapping_sub)
}

fn scaled(b: &Dense, common: Dtype, alpha: Option<Dense>) -> Result<Dense> {
    let Some(alpha) = alpha else { return Ok(b.clone()) };
    ensure!(common == Dtype::BOOL || alpha.dtype != Dtype::BOOL, "Boolean alpha only supported for Boolean results.");
    ensure!(
        is_float(common) || !is_float(alpha.dtype),
        "For integral input tensors, argument alpha must not be a floating point number."
    );
    pairs(b, &alpha, common, |b, alpha| b * alpha, i64::wrapping_mul)
}

pub(super) fn mul(a: &Dense, b: &Dense) -> Result<Dense> {
    pairs(a, b, common_type(&[a, b]), |a, b| a * b, i64::wrapping_mul)
}

/// True division: integers become single floats.
fn div(a: &Dense, b: &Dense) -> Result<Dense> {
    pairs(a, b, float_type(common_type(&[a, b])), |a, b| a / b, |_, _| 0)
}

/// Integers stay integers and wrap around; their exponents must not be negative.
pub(super) fn pow(base: &Dense, exponent: &Dense) -> Result<Dense> {
    let common = common_type(&[base, exponent]);
    let negative = exponent.number && !is_float(common) && exponent.as_ints()[0] < 0;
    ensure!(!negative, "Integers to negative integer powers are not allowed.");
    ensure!(exponent.number || common != Dtype::BOOL, "\"pow\" not implemented for 'Bool'");
    let is_root = exponent.number && exponent.as_floats()[0] == 0.5;
    pairs(base, exponent, common, |x, y| if is_root { x.sqrt() } else { x.powf(y) }, integer_power)
}

/// A tensor's negative exponents count as the fraction cut off towards zero, as in libtorch.
fn integer_power(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (1, _) => 1,
        (-1, _) => 1 - 2 * (exponent & 1),
        (_, ..0) => 0,
        _ => base.wrapping_pow(u32::try_from(exponent).unwrap_or(u32::MAX)),
    }
}

/// With the sign of `b`.
fn remainder(a: &Dense, b: &Dense) -> Result<Dense> {
    let common = common_type(&[a, b]);
    ensure!(common != Dtype::BOOL, "\"remainder_cpu\" not implemented for 'Bool'");
    ensure!(is_float(common) || b.as_ints()[0] != 0 || a.numel() == 0, "ZeroDivisionError");
    let same_sign = |rest: f64, b: f64| if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest };
    pairs(a, b, common, |a, b| same_sign(a % b, b), |a, b| a.wrapping_sub(b.wrapping_mul(a.wrapping_div_euclid(b))))
}

/// A function of two real numbers; integers become single floats.
fn real_pairs(a: &Dense, b: &Dense, f: fn(f64, f64) -> f64) -> Result<Dense> {
    pairs(a, b, float_type(common_type(&[a, b])), f, |_, _| 0)
}

fn lerp(x: &Dense, end: &Dense, weight: &Dense) -> Result<Dense> {
    ensure!(x.dtype == end.dtype, "expected dtype {} for `end` but got dtype {}", c_name(x.dtype), c_name(end.dtype));
    ensure!(is_float(x.dtype), "\"lerp_kernel_scalar\" not implemented for '{}'", type_name(x.dtype));
    let weight = weight.as_floats()[0];
    pairs(x, end, x.dtype, |x, end| x + weight * (end - x), |x, _| x)
}

/// The larger (`f64::max`) or smaller of two; not-a-number wins.
fn extreme(a: &Dense, b: &Dense, floats: fn(f64, f64) -> f64, ints: fn(i64, i64) -> i64) -> Result<Dense> {
    pairs(a, b, common_type(&[a, b]), |a, b| or_nan(a, b, floats), ints)
}

pub(super) fn or_nan(a: f64, b: f64, f: fn(f64, f64) -> f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { f(a, b) }
}

/// Limits to `min` and then to `max`, so that `max` wins where they cross.
fn clamp(kind: &str, x: &Dense, min: Option<&Dense>, max: Option<&Dense>) -> Result<Dense> {
    let limits: Vec<&Dense> = [Some(x), min, max].into_iter().flatten().collect();
    ensure!(limits.len() > 1, "torch.clamp: At least one of 'min' or 'max' must not be None");
    let common = common_type(&limits);
    let which = if max.is_none() {
        "min_"
    } else if min.is_none() {
        "max_"
    } else {
        ""
    };
    let refused = common == Dtype::BOOL && (!kind.is_empty() || which.is_empty());
    ensure!(!refused, "\"clamp_{which}{kind}cpu\" not implemented for 'Bool'");
    let low =
        min.map_or_else(|| Ok(x.clone()), |min| pairs(x, min, common, |a, b| or_nan(a, b, f64::max), i64::max))?;
    max.map_or_else(|| Ok(low.clone()), |max| pairs(&low, max, common, |a, b| or_nan(a, b, f64::min), i64::min))
}

/// The floating type that results have where the arguments' type is `dtype`.
pub(super) fn float_type(dtype: Dtype) -> Dtype {
    if is_float(dtype) { dtype } else { Dtype::F32 }
}

/// The name that an element type has in C++.
pub(super) fn c_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::BOOL => "bool",
        Dtype::F32 => "float",
        Dtype::F64 => "double",
        _ => "long int",
    }
}
