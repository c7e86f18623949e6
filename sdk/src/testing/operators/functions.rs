//! Functions of one element.

use anyhow::{Result, ensure};

use super::{
    Operator,
    elementwise::{float_type, or_nan, pow},
    one, unary,
};
use crate::{
    Dtype,
    testing::dense::{Dense, is_float, type_name},
};

pub(super) const OPERATORS: &[Operator] = &[
    unary("aten::neg", neg),
    unary("aten::abs", abs),
    unary("aten::sign", |x| {
        Ok(each(
            x,
            |x| if x.is_nan() { 0.0 } else { f64::from(u8::from(x > 0.0)) - f64::from(u8::from(x < 0.0)) },
            i64::signum,
        ))
    }),
    unary("aten::square", |x| pow(x, &Dense::ints(Dtype::I64, Vec::new(), vec![2]))),
    unary("aten::floor", |x| whole("floor", x, f64::floor)),
    unary("aten::ceil", |x| whole("ceil", x, f64::ceil)),
    unary("aten::round", |x| whole("round", x, f64::round_ties_even)),
    unary("aten::sqrt", |x| Ok(real(x, f64::sqrt))),
    unary("aten::rsqrt", |x| Ok(real(x, |x| 1.0 / x.sqrt()))),
    unary("aten::reciprocal", |x| Ok(real(x, f64::recip))),
    unary("aten::exp", |x| Ok(real(x, f64::exp))),
    unary("aten::expm1", |x| Ok(real(x, f64::exp_m1))),
    unary("aten::log", |x| Ok(real(x, f64::ln))),
    unary("aten::log1p", |x| Ok(real(x, f64::ln_1p))),
    unary("aten::log2", |x| Ok(real(x, f64::log2))),
    unary("aten::sin", |x| Ok(real(x, f64::sin))),
    unary("aten::cos", |x| Ok(real(x, f64::cos))),
    unary("aten::tan", |x| Ok(real(x, f64::tan))),
    unary("aten::asin", |x| Ok(real(x, f64::asin))),
    unary("aten::acos", |x| Ok(real(x, f64::acos))),
    unary("aten::atan", |x| Ok(real(x, f64::atan))),
    unary("aten::tanh", |x| Ok(real(x, f64::tanh))),
    unary("aten::erf", |x| Ok(real(x, erf))),
    unary("aten::sigmoid", |x| Ok(real(x, |x| 1.0 / (1.0 + (-x).exp())))),
    unary("aten::log_sigmoid", |x| float_only("log_sigmoid_cpu", x, |x| -softplus(-x, 1.0, f64::INFINITY))),
    one("aten::softplus", &["self", "beta?", "threshold?"], |a| {
        let [beta, threshold] = [(1, 1.0), (2, 20.0)].map(|(place, default)| a.number_or(place, default));
        let (beta, threshold) = (beta?, threshold?);
        float_only("softplus_cpu", a.tensor(0)?, |x| softplus(x, beta, threshold))
    }),
    unary("aten::relu", relu),
    one("aten::leaky_relu", &["self", "negative_slope?"], |a| {
        let slope = a.number_or(1, 0.01)?;
        float_only("leaky_relu_cpu", a.tensor(0)?, |x| if x > 0.0 { x } else { x * slope })
    }),
    unary("aten::silu", |x| float_only("silu_cpu", x, |x| x / (1.0 + (-x).exp()))),
    one("aten::gelu", &["self", "approximate?"], |a| {
        ensure!(!a.is_there(1) || a.text(1)? == "none", "the testing kit has gelu by the error function only");
        float_only("GeluKernelImpl", a.tensor(0)?, |x| x * 0.5 * (1.0 + erf(x / std::f64::consts::SQRT_2)))
    }),
    one("aten::nan_to_num", &["self", "nan?", "posinf?", "neginf?"], |a| {
        let of = |place| a.optional_float(place);
        Ok(nan_to_num(a.tensor(0)?, of(1)?.unwrap_or(0.0), of(2)?, of(3)?))
    }),
];

/// A function of real numbers; integers become single floats.
fn real(x: &Dense, f: impl Fn(f64) -> f64) -> Dense {
    let x = x.to(float_type(x.dtype));
    Dense::floats(x.dtype, x.size.clone(), x.as_floats().iter().map(|&x| f(x)).collect())
}

fn neg(x: &Dense) -> Result<Dense> {
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

/// A function that only floats have.
pub(super) fn float_only(kernel: &str, x: &Dense, f: impl Fn(f64) -> f64) -> Result<Dense> {
    ensure!(is_float(x.dtype), "\"{kernel}\" not implemented for '{}'", type_name(x.dtype));
    Ok(real(x, f))
}

/// A whole number near; integers are whole already.
fn whole(name: &str, x: &Dense, f: fn(f64) -> f64) -> Result<Dense> {
    ensure!(x.dtype != Dtype::BOOL, "\"{name}_vml_cpu\" not implemented for 'Bool'");
    Ok(each(x, f, |x| x))
}

fn relu(x: &Dense) -> Result<Dense> {
    ensure!(x.dtype != Dtype::BOOL, "Boolean inputs not supported for relu");
    Ok(each(x, |x| or_nan(x, 0.0, f64::max), |x| x.max(0)))
}

/// `log(1 + exp(beta x)) / beta`, and `x` itself beyond the threshold.
pub(super) fn softplus(x: f64, beta: f64, threshold: f64) -> f64 {
    let scaled = x * beta;
    if scaled > threshold { x } else { (scaled.max(0.0) + (-scaled.abs()).exp().ln_1p()) / beta }
}

/// The error function, by its series of positive terms (Abramowitz and Stegun 7.1.6).
fn erf(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 6.0 {
        return if x.is_nan() { x } else { x.signum() };
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

fn nan_to_num(x: &Dense, nan: f64, posinf: Option<f64>, neginf: Option<f64>) -> Dense {
    let largest = if x.dtype == Dtype::F32 { f64::from(f32::MAX) } else { f64::MAX };
    let number = |x: f64| match x {
        _ if x.is_nan() => nan,
        f64::INFINITY => posinf.unwrap_or(largest),
        f64::NEG_INFINITY => neginf.unwrap_or(-largest),
        _ => x,
    };
    each(x, number, |x| x)
}
