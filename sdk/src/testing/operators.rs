//! The operators that the kit has. Arguments are those of libtorch's schemas; `?` marks one that may be left out.

use anyhow::Result;

use super::{arguments::Arguments, dense::Dense, elementwise as each, indexing, reduction, shape};

pub(super) struct Operator {
    /// The name, with the overload after a dot.
    pub name: &'static str,
    pub arguments: &'static [&'static str],
    pub run: fn(&Arguments) -> Result<Dense>,
}

const fn operator(
    name: &'static str,
    arguments: &'static [&'static str],
    run: fn(&Arguments) -> Result<Dense>,
) -> Operator {
    Operator { name, arguments, run }
}

const SELF: &[&str] = &["self"];
const OTHER: &[&str] = &["self", "other"];
const ALPHA: &[&str] = &["self", "other", "alpha?"];
const DIMS: &[&str] = &["self", "dim", "keepdim?", "dtype?"];
const EXTREME: &[&str] = &["self", "dim?", "keepdim?"];
const SOFTMAX: &[&str] = &["self", "dim", "dtype?"];
const LIKE: &[&str] = &["self", "dtype?", "layout?", "device?", "pin_memory?", "memory_format?"];

pub(super) static OPERATORS: &[Operator] = &[
    operator("aten::add.Tensor", ALPHA, |a| each::add(a.tensor(0)?, a.tensor(1)?, a.optional_number(2)?)),
    operator("aten::add.Scalar", ALPHA, |a| each::add(a.tensor(0)?, &a.number(1)?, a.optional_number(2)?)),
    operator("aten::sub.Tensor", ALPHA, |a| each::sub(a.tensor(0)?, a.tensor(1)?, a.optional_number(2)?)),
    operator("aten::sub.Scalar", ALPHA, |a| each::sub(a.tensor(0)?, &a.number(1)?, a.optional_number(2)?)),
    operator("aten::mul.Tensor", OTHER, |a| each::mul(a.tensor(0)?, a.tensor(1)?)),
    operator("aten::mul.Scalar", OTHER, |a| each::mul(a.tensor(0)?, &a.number(1)?)),
    operator("aten::div.Tensor", OTHER, |a| each::div(a.tensor(0)?, a.tensor(1)?)),
    operator("aten::div.Scalar", OTHER, |a| each::div(a.tensor(0)?, &a.number(1)?)),
    operator("aten::pow.Tensor_Scalar", &["self", "exponent"], |a| each::pow(a.tensor(0)?, &a.number(1)?)),
    operator("aten::maximum", OTHER, |a| each::extreme(a.tensor(0)?, a.tensor(1)?, f64::max, i64::max)),
    operator("aten::minimum", OTHER, |a| each::extreme(a.tensor(0)?, a.tensor(1)?, f64::min, i64::min)),
    operator("aten::clamp", &["self", "min?", "max?"], |a| {
        each::clamp(a.tensor(0)?, a.optional_number(1)?, a.optional_number(2)?)
    }),
    operator("aten::neg", SELF, |a| each::neg(a.tensor(0)?)),
    operator("aten::abs", SELF, |a| each::abs(a.tensor(0)?)),
    operator("aten::exp", SELF, |a| Ok(each::real(a.tensor(0)?, f64::exp))),
    operator("aten::log", SELF, |a| Ok(each::real(a.tensor(0)?, f64::ln))),
    operator("aten::sqrt", SELF, |a| Ok(each::real(a.tensor(0)?, f64::sqrt))),
    operator("aten::sigmoid", SELF, |a| Ok(each::real(a.tensor(0)?, |x| 1.0 / (1.0 + (-x).exp())))),
    // Comparisons
    operator("aten::eq.Tensor", OTHER, |a| each::compare(a.tensor(0)?, a.tensor(1)?, f64::eq, i64::eq)),
    operator("aten::eq.Scalar", OTHER, |a| each::compare(a.tensor(0)?, &a.number(1)?, f64::eq, i64::eq)),
    operator("aten::ne.Tensor", OTHER, |a| each::compare(a.tensor(0)?, a.tensor(1)?, f64::ne, i64::ne)),
    operator("aten::ne.Scalar", OTHER, |a| each::compare(a.tensor(0)?, &a.number(1)?, f64::ne, i64::ne)),
    operator("aten::lt.Tensor", OTHER, |a| each::compare(a.tensor(0)?, a.tensor(1)?, f64::lt, i64::lt)),
    operator("aten::lt.Scalar", OTHER, |a| each::compare(a.tensor(0)?, &a.number(1)?, f64::lt, i64::lt)),
    operator("aten::le.Tensor", OTHER, |a| each::compare(a.tensor(0)?, a.tensor(1)?, f64::le, i64::le)),
    operator("aten::le.Scalar", OTHER, |a| each::compare(a.tensor(0)?, &a.number(1)?, f64::le, i64::le)),
    operator("aten::gt.Tensor", OTHER, |a| each::compare(a.tensor(0)?, a.tensor(1)?, f64::gt, i64::gt)),
    operator("aten::gt.Scalar", OTHER, |a| each::compare(a.tensor(0)?, &a.number(1)?, f64::gt, i64::gt)),
    operator("aten::ge.Tensor", OTHER, |a| each::compare(a.tensor(0)?, a.tensor(1)?, f64::ge, i64::ge)),
    operator("aten::ge.Scalar", OTHER, |a| each::compare(a.tensor(0)?, &a.number(1)?, f64::ge, i64::ge)),
    // Over dimensions
    operator("aten::sum", &["self", "dtype?"], |a| reduction::sum(a.tensor(0)?, &[], false, a.optional_dtype(1)?)),
    operator("aten::mean", &["self", "dtype?"], |a| reduction::mean(a.tensor(0)?, &[], false, a.optional_dtype(1)?)),
    operator("aten::sum.dim_IntList", DIMS, |a| {
        reduction::sum(a.tensor(0)?, a.ints(1)?, a.flag(2)?, a.optional_dtype(3)?)
    }),
    operator("aten::mean.dim", DIMS, |a| reduction::mean(a.tensor(0)?, a.ints(1)?, a.flag(2)?, a.optional_dtype(3)?)),
    operator("aten::amax", EXTREME, |a| {
        reduction::extreme("amax", (a.tensor(0)?, a.ints(1)?, a.flag(2)?), f64::max, i64::max)
    }),
    operator("aten::amin", EXTREME, |a| {
        reduction::extreme("amin", (a.tensor(0)?, a.ints(1)?, a.flag(2)?), f64::min, i64::min)
    }),
    operator("aten::softmax.int", SOFTMAX, |a| {
        reduction::softmax("softmax", (a.tensor(0)?, a.int(1)?), a.optional_dtype(2)?, f64::exp)
    }),
    operator("aten::log_softmax.int", SOFTMAX, |a| {
        reduction::softmax("log_softmax", (a.tensor(0)?, a.int(1)?), a.optional_dtype(2)?, |x| x)
    }),
    // Choosing
    operator("aten::gather", &["self", "dim", "index", "sparse_grad?"], |a| {
        indexing::gather(a.tensor(0)?, a.int(1)?, a.tensor(2)?)
    }),
    operator("aten::index_select", &["self", "dim", "index"], |a| {
        indexing::index_select(a.tensor(0)?, a.int(1)?, a.tensor(2)?)
    }),
    operator("aten::masked_select", &["self", "mask"], |a| indexing::masked_select(a.tensor(0)?, a.tensor(1)?)),
    operator("aten::masked_fill.Scalar", &["self", "mask", "value"], |a| {
        indexing::masked_fill(a.tensor(0)?, a.tensor(1)?, &a.number(2)?)
    }),
    // Arranging
    operator("aten::narrow", &["self", "dim", "start", "length"], |a| {
        shape::narrow(a.tensor(0)?, a.int(1)?, a.int(2)?, a.int(3)?)
    }),
    operator("aten::unsqueeze", &["self", "dim"], |a| shape::unsqueeze(a.tensor(0)?, a.int(1)?)),
    operator("aten::squeeze.dim", &["self", "dim"], |a| shape::squeeze(a.tensor(0)?, a.int(1)?)),
    operator("aten::reshape", &["self", "shape"], |a| shape::reshape(a.tensor(0)?, a.ints(1)?)),
    operator("aten::permute", &["self", "dims"], |a| shape::permute(a.tensor(0)?, a.ints(1)?)),
    operator("aten::transpose.int", &["self", "dim0", "dim1"], |a| {
        shape::transpose(a.tensor(0)?, a.int(1)?, a.int(2)?)
    }),
    // Making
    operator("aten::to.dtype", &["self", "dtype", "non_blocking?", "copy?", "memory_format?"], |a| {
        Ok(a.tensor(0)?.to(a.dtype(1)?))
    }),
    operator("aten::detach", SELF, |a| Ok(a.tensor(0)?.clone())),
    operator("aten::zeros_like", LIKE, |a| filled_like(a, 0)),
    operator("aten::ones_like", LIKE, |a| filled_like(a, 1)),
];

fn filled_like(a: &Arguments, value: i64) -> Result<Dense> {
    let like = a.tensor(0)?;
    let elements = like.size.iter().product::<i64>() as usize;
    let values = Dense::ints(crate::Dtype::I64, like.size.clone(), vec![value; elements]);
    Ok(values.to(a.optional_dtype(1)?.unwrap_or(like.dtype)))
}
