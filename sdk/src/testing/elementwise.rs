//! Operators that treat each element by itself.

use anyhow::{Result, ensure};

use super::dense::{Dense, broadcast, common_type, is_float};
use crate::Dtype;

/// Pairs of elements, broadcast and converted to the type `common`.
fn binary(
    a: &Dense,
    b: &Dense,
    common: Dtype,
    floats: impl Fn(f64, f64) -> f64,
    ints: impl Fn(i64, i64) -> i64,
) -> Result<Dense> {
    let (a, b, size) = paired(a, b, common)?;
    Ok(if is_float(common) {
        let pairs = a.as_floats().iter().zip(&*b.as_floats()).map(|(&a, &b)| floats(a, b)).collect();
        Dense::floats(common, size, pairs)
    } else {
        let pairs = a.as_ints().iter().zip(&*b.as_ints()).map(|(&a, &b)| ints(a, b)).collect();
        Dense::ints(common, size, pairs)
    })
}

fn paired(a: &Dense, b: &Dense, common: Dtype) -> Result<(Dense, Dense, Vec<i64>)> {
    let size = broadcast(&a.size, &b.size)?;
    Ok((a.to(common).expanded(&size), b.to(common).expanded(&size), size))
}

/// `a + alpha * b`; `alpha` is 1 where it was left out.
pub(super) fn add(a: &Dense, b: &Dense, alpha: Option<Dense>) -> Result<Dense> {
    let common = common_type(&[a, b]);
    let b = scaled(b, common, alpha)?;
    binary(a, &b, common, |a, b| a + b, i64::wrapping_add)
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
    binary(a, &b, common, |a, b| a - b, i64::wrapping_sub)
}

fn scaled(b: &Dense, common: Dtype, alpha: Option<Dense>) -> Result<Dense> {
    let Some(alpha) = alpha else { return Ok(b.clone()) };
    ensure!(common == Dtype::BOOL || alpha.dtype != Dtype::BOOL, "Boolean alpha only supported for Boolean results.");
    ensure!(
        is_float(common) || !is_float(alpha.dtype),
        "For integral input tensors, argument alpha must not be a floating point number."
    );
    binary(b, &alpha, common, |b, alpha| b * alpha, i64::wrapping_mul)
}

pub(super) fn mul(a: &Dense, b: &Dense) -> Result<Dense> {
    binary(a, b, common_type(&[a, b]), |a, b| a * b, i64::wrapping_mul)
}

/// True division: integers become single floats.
pub(super) fn div(a: &Dense, b: &Dense) -> Result<Dense> {
    binary(a, b, float_type(common_type(&[a, b])), |a, b| a / b, |_, _| 0)
}

pub(super) fn pow(base: &Dense, exponent: &Dense) -> Result<Dense> {
    let common = common_type(&[base, exponent]);
    ensure!(is_float(common) || exponent.as_ints()[0] >= 0, "Integers to negative integer powers are not allowed.");
    let power = |base: i64, exponent: i64| base.wrapping_pow(u32::try_from(exponent).unwrap_or(u32::MAX));
    binary(base, exponent, common, f64::powf, power)
}

/// The larger (`f64::max`) or smaller of two; not-a-number wins.
pub(super) fn extreme(a: &Dense, b: &Dense, floats: fn(f64, f64) -> f64, ints: fn(i64, i64) -> i64) -> Result<Dense> {
    binary(a, b, common_type(&[a, b]), |a, b| or_nan(a, b, floats), ints)
}

pub(super) fn or_nan(a: f64, b: f64, f: fn(f64, f64) -> f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { f(a, b) }
}

/// Limits to `min` and then to `max`, so that `max` wins where they cross.
pub(super) fn clamp(x: &Dense, min: Option<Dense>, max: Option<Dense>) -> Result<Dense> {
    let limits: Vec<&Dense> = [Some(x), min.as_ref(), max.as_ref()].into_iter().flatten().collect();
    ensure!(limits.len() > 1, "torch.clamp: At least one of 'min' or 'max' must not be None");
    let common = common_type(&limits);
    let kernel = ["clamp_scalar_cpu", "clamp_min_scalar_cpu", "clamp_max_scalar_cpu"];
    let kernel = kernel[if max.is_none() { 1 } else { 2 * usize::from(min.is_none()) }];
    ensure!(common != Dtype::BOOL, "\"{kernel}\" not implemented for 'Bool'");
    let low =
        min.map_or_else(|| Ok(x.clone()), |min| binary(x, &min, common, |a, b| or_nan(a, b, f64::max), i64::max))?;
    max.map_or_else(|| Ok(low.clone()), |max| binary(&low, &max, common, |a, b| or_nan(a, b, f64::min), i64::min))
}

/// 1 where `floats` or `ints` say so, by the common type; bool.
pub(super) fn compare(
    a: &Dense,
    b: &Dense,
    floats: fn(&f64, &f64) -> bool,
    ints: fn(&i64, &i64) -> bool,
) -> Result<Dense> {
    let common = common_type(&[a, b]);
    let (a, b, size) = paired(a, b, common)?;
    let truths = if is_float(common) {
        a.as_floats().iter().zip(&*b.as_floats()).map(|(a, b)| i64::from(floats(a, b))).collect()
    } else {
        a.as_ints().iter().zip(&*b.as_ints()).map(|(a, b)| i64::from(ints(a, b))).collect()
    };
    Ok(Dense::ints(Dtype::BOOL, size, truths))
}

/// A function of real numbers; integers become single floats.
pub(super) fn real(x: &Dense, f: impl Fn(f64) -> f64) -> Dense {
    let x = x.to(float_type(x.dtype));
    Dense::floats(x.dtype, x.size.clone(), x.as_floats().iter().map(|&x| f(x)).collect())
}

pub(super) fn neg(x: &Dense) -> Result<Dense> {
    ensure!(
        x.dtype != Dtype::BOOL,
        "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
    );
    Ok(each(x, |x| -x, i64::wrapping_neg))
}

pub(super) fn abs(x: &Dense) -> Result<Dense> {
    ensure!(x.dtype != Dtype::BOOL, "\"abs_cpu\" not implemented for 'Bool'");
    Ok(each(x, f64::abs, i64::wrapping_abs))
}

fn each(x: &Dense, floats: impl Fn(f64) -> f64, ints: impl Fn(i64) -> i64) -> Dense {
    if is_float(x.dtype) {
        real(x, floats)
    } else {
        Dense::ints(x.dtype, x.size.clone(), x.as_ints().iter().map(|&x| ints(x)).collect())
    }
}

/// The floating type that results have where the arguments' type is `dtype`.
pub(super) fn float_type(dtype: Dtype) -> Dtype {
    if is_float(dtype) { dtype } else { Dtype::F32 }
}
