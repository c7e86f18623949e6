//! Operators that compare, and those that choose by the answers.

use anyhow::{Result, ensure};

use super::{
    OTHER, Operator, binary,
    elementwise::{c_name, paired},
    one, reduction, scalar, unary,
};
use crate::{
    Dtype,
    testing::dense::{Dense, broadcast, common_type, indices, is_float, offset, type_name},
};

const DIM: &[&str] = &["self", "dim", "keepdim?"];

pub(super) const OPERATORS: &[Operator] = &[
    binary("aten::eq.Tensor", OTHER, |a, b| compare(a, b, f64::eq, i64::eq)),
    scalar("aten::eq.Scalar", OTHER, |a, b| compare(a, b, f64::eq, i64::eq)),
    binary("aten::ne.Tensor", OTHER, |a, b| compare(a, b, f64::ne, i64::ne)),
    scalar("aten::ne.Scalar", OTHER, |a, b| compare(a, b, f64::ne, i64::ne)),
    binary("aten::lt.Tensor", OTHER, |a, b| compare(a, b, f64::lt, i64::lt)),
    scalar("aten::lt.Scalar", OTHER, |a, b| compare(a, b, f64::lt, i64::lt)),
    binary("aten::le.Tensor", OTHER, |a, b| compare(a, b, f64::le, i64::le)),
    scalar("aten::le.Scalar", OTHER, |a, b| compare(a, b, f64::le, i64::le)),
    binary("aten::gt.Tensor", OTHER, |a, b| compare(a, b, f64::gt, i64::gt)),
    scalar("aten::gt.Scalar", OTHER, |a, b| compare(a, b, f64::gt, i64::gt)),
    binary("aten::ge.Tensor", OTHER, |a, b| compare(a, b, f64::ge, i64::ge)),
    scalar("aten::ge.Scalar", OTHER, |a, b| compare(a, b, f64::ge, i64::ge)),
    binary("aten::logical_and", OTHER, |a, b| logical(a, b, |a, b| a & b)),
    binary("aten::logical_or", OTHER, |a, b| logical(a, b, |a, b| a | b)),
    binary("aten::logical_xor", OTHER, |a, b| logical(a, b, |a, b| a ^ b)),
    unary("aten::logical_not", |x| Ok(truths(&x.to(Dtype::BOOL), |x| x == 0.0))),
    unary("aten::isnan", |x| Ok(truths(x, f64::is_nan))),
    unary("aten::isinf", |x| Ok(truths(x, f64::is_infinite))),
    unary("aten::isfinite", |x| Ok(truths(x, f64::is_finite))),
    unary("aten::any", |x| reduction::truth(x, &[], false, 0, |a, b| a | b)),
    unary("aten::all", |x| reduction::truth(x, &[], false, 1, |a, b| a & b)),
    one("aten::any.dim", DIM, |a| reduction::truth(a.tensor(0)?, &[a.int(1)?], a.flag(2)?, 0, |a, b| a | b)),
    one("aten::all.dim", DIM, |a| reduction::truth(a.tensor(0)?, &[a.int(1)?], a.flag(2)?, 1, |a, b| a & b)),
    one("aten::where.self", &["condition", "self", "other"], |a| choice(a.tensor(0)?, a.tensor(1)?, a.tensor(2)?)),
    one("aten::where.ScalarOther", &["condition", "self", "other"], |a| {
        choice(a.tensor(0)?, a.tensor(1)?, &a.number(2)?)
    }),
    one("aten::masked_fill.Scalar", &["self", "mask", "value"], |a| {
        masked_fill(a.tensor(0)?, a.tensor(1)?, &a.number(2)?)
    }),
    binary("aten::masked_select", &["self", "mask"], masked_select),
    unary("aten::nonzero", |x| Ok(nonzero(x))),
];

/// 1 where `floats` or `ints` say so, by the common type; bool.
fn compare(a: &Dense, b: &Dense, floats: fn(&f64, &f64) -> bool, ints: fn(&i64, &i64) -> bool) -> Result<Dense> {
    let common = common_type(&[a, b]);
    let (a, b, size) = paired(a, b, common)?;
    let truths = if is_float(common) {
        a.as_floats().iter().zip(&*b.as_floats()).map(|(a, b)| i64::from(floats(a, b))).collect()
    } else {
        a.as_ints().iter().zip(&*b.as_ints()).map(|(a, b)| i64::from(ints(a, b))).collect()
    };
    Ok(Dense::ints(Dtype::BOOL, size, truths))
}

/// Both as truths.
fn logical(a: &Dense, b: &Dense, f: fn(i64, i64) -> i64) -> Result<Dense> {
    super::elementwise::pairs(a, b, Dtype::BOOL, |a, _| a, f)
}

/// Where `f` says so.
fn truths(x: &Dense, f: fn(f64) -> bool) -> Dense {
    Dense::ints(Dtype::BOOL, x.size.clone(), x.as_floats().iter().map(|&x| i64::from(f(x))).collect())
}

/// `x` where the condition is true, else `y`.
fn choice(condition: &Dense, x: &Dense, y: &Dense) -> Result<Dense> {
    ensure!(
        condition.dtype == Dtype::BOOL,
        "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
        type_name(condition.dtype)
    );
    let common = common_type(&[x, y]);
    let size = broadcast(&condition.size, &broadcast(&x.size, &y.size)?)?;
    let [condition, x, y] = [condition.clone(), x.to(common), y.to(common)].map(|x| x.expanded(&size));
    Ok(chosen(&condition, &x, &y))
}

/// As [`choice`], of equal sizes and types.
fn chosen(condition: &Dense, x: &Dense, y: &Dense) -> Dense {
    fn pick<T: Copy>(condition: &[i64], x: &[T], y: &[T]) -> Vec<T> {
        condition.iter().zip(x.iter().zip(y)).map(|(&chosen, (&x, &y))| if chosen != 0 { x } else { y }).collect()
    }
    let (dtype, size, condition) = (x.dtype, x.size.clone(), condition.as_ints());
    if is_float(dtype) {
        Dense::floats(dtype, size, pick(&condition, &x.as_floats(), &y.as_floats()))
    } else {
        Dense::ints(dtype, size, pick(&condition, &x.as_ints(), &y.as_ints()))
    }
}

/// The elements where `mask` is true, as a vector.
fn masked_select(x: &Dense, mask: &Dense) -> Result<Dense> {
    ensure!(mask.dtype == Dtype::BOOL, "masked_select: expected BoolTensor for mask");
    let size = broadcast(&x.size, &mask.size)?;
    let (x, mask) = (x.expanded(&size), mask.expanded(&size));
    let places: Vec<usize> =
        indices(&size).map(|index| offset(&size, &index)).filter(|&at| mask.as_ints()[at] != 0).collect();
    let count = places.len() as i64;
    Ok(x.picked(places, vec![count]))
}

/// `value` where `mask` is true.
fn masked_fill(x: &Dense, mask: &Dense, value: &Dense) -> Result<Dense> {
    let size = broadcast(&mask.size, &x.size)?;
    ensure!(
        mask.dtype == Dtype::BOOL,
        "masked_fill_ only supports boolean masks, but got mask with dtype {}",
        c_name(mask.dtype)
    );
    let (x, value) = (x.expanded(&size), Dense::filled(x.dtype, size.clone(), value));
    Ok(chosen(&mask.expanded(&size), &value, &x))
}

/// The indices of the elements other than 0, a row for each.
fn nonzero(x: &Dense) -> Dense {
    let truths = x.to(Dtype::BOOL);
    let found: Vec<Vec<i64>> =
        indices(&x.size).zip(&*truths.as_ints()).filter(|(_, truth)| **truth != 0).map(|(index, _)| index).collect();
    Dense::ints(Dtype::I64, vec![found.len() as i64, x.size.len() as i64], found.concat())
}
