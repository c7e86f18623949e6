//! Operators over dimensions that give floats: variance, norm, logarithm of a sum of exponentials.

use anyhow::{Result, ensure};

use super::{
    Operator,
    elementwise::{float_type, or_nan},
    one,
    reduction::groups,
};
use crate::testing::dense::{Dense, is_float, type_name};

const UNBIASED: &[&str] = &["self", "unbiased?"];
const CORRECTION: &[&str] = &["self", "dim?", "correction?", "keepdim?"];

pub(super) const OPERATORS: &[Operator] = &[
    one("aten::var", UNBIASED, |a| var(a.tensor(0)?, &[], f64::from(u8::from(a.flag_or(1, true)?)), false, |x| x)),
    one("aten::std", UNBIASED, |a| var(a.tensor(0)?, &[], f64::from(u8::from(a.flag_or(1, true)?)), false, f64::sqrt)),
    one("aten::var.correction", CORRECTION, |a| var(a.tensor(0)?, a.ints(1)?, a.number_or(2, 1.0)?, a.flag(3)?, |x| x)),
    one("aten::std.correction", CORRECTION, |a| {
        var(a.tensor(0)?, a.ints(1)?, a.number_or(2, 1.0)?, a.flag(3)?, f64::sqrt)
    }),
    one("aten::norm.Scalar", &["self", "p?"], |a| norm(a.tensor(0)?, a.number_or(1, 2.0)?, &[], false)),
    one("aten::norm.ScalarOpt_dim", &["self", "p", "dim", "keepdim?"], |a| {
        norm(a.tensor(0)?, a.number_or(1, 2.0)?, a.ints(2)?, a.flag(3)?)
    }),
    one("aten::logsumexp", &["self", "dim", "keepdim?"], |a| logsumexp(a.tensor(0)?, a.ints(1)?, a.flag(2)?)),
];

/// `f` of the squared distances from the mean over (count - `correction`).
fn var(x: &Dense, dims: &[i64], correction: f64, keepdim: bool, f: fn(f64) -> f64) -> Result<Dense> {
    ensure!(is_float(x.dtype), "std and var only support floating point and complex dtypes");
    let groups = groups(x, dims, keepdim)?;
    let values = x.as_floats();
    let spread = |group: &Vec<usize>| {
        let mean = group.iter().map(|&at| values[at]).sum::<f64>() / group.len() as f64;
        let squares: f64 = group.iter().map(|&at| (values[at] - mean).powi(2)).sum();
        f(squares / (group.len() as f64 - correction).max(0.0))
    };
    let spreads = groups.members.iter().map(spread).collect();
    Ok(Dense::floats(x.dtype, groups.size, spreads))
}

fn norm(x: &Dense, p: f64, dims: &[i64], keepdim: bool) -> Result<Dense> {
    ensure!(
        is_float(x.dtype),
        "norm(): input dtype should be either floating point or complex. Got {} instead.",
        type_name(x.dtype)
    );
    let groups = groups(x, dims, keepdim)?;
    let name = if p > 0.0 { "inf" } else { "-inf" };
    ensure!(
        p.is_finite() || groups.members.iter().all(|group| !group.is_empty()),
        "linalg.vector_norm cannot compute the {name} norm on an empty tensor because the operation does not have an identity"
    );
    let of = |values: &mut dyn Iterator<Item = f64>| {
        let mut sizes = values.map(f64::abs);
        match p {
            f64::INFINITY => sizes.fold(0.0, |a, b| or_nan(a, b, f64::max)),
            f64::NEG_INFINITY => sizes.fold(f64::INFINITY, |a, b| or_nan(a, b, f64::min)),
            0.0 => sizes.by_ref().filter(|&x| x != 0.0).count() as f64,
            _ => sizes.map(|x| x.powf(p)).sum::<f64>().powf(1.0 / p),
        }
    };
    let norms = groups.fold(&x.as_floats(), of);
    Ok(Dense::floats(x.dtype, groups.size, norms))
}

fn logsumexp(x: &Dense, dims: &[i64], keepdim: bool) -> Result<Dense> {
    let x = x.to(float_type(x.dtype));
    // libtorch takes an empty list for all dimensions, and stumbles over it.
    ensure!(
        !dims.is_empty() || x.size.is_empty() || keepdim || x.numel() == 0,
        "output with shape [] doesn't match the broadcast shape {:?}",
        vec![1; x.size.len()]
    );
    let (groups, values) = (groups(&x, dims, keepdim)?, x.as_floats());
    let of = |group: &Vec<usize>| {
        let largest = group.iter().map(|&at| values[at]).reduce(|a, b| or_nan(a, b, f64::max)).unwrap_or(0.0);
        let shift = if largest.is_infinite() { 0.0 } else { largest };
        group.iter().map(|&at| (values[at] - shift).exp()).sum::<f64>().ln() + shift
    };
    let results = groups.members.iter().map(of).collect();
    Ok(Dense::floats(x.dtype, groups.size, results))
}
