//! Operators that make tensors of given values and types.

use anyhow::{Result, bail, ensure};

use super::{Operator, one, unary};
use crate::{
    Dtype,
    testing::{
        arguments::Arguments,
        dense::{Dense, is_float},
    },
};

const LIKE: &[&str] = &["self", "dtype?", "layout?", "device?", "pin_memory?", "memory_format?"];
const NEW: &[&str] = &["self", "size", "dtype?", "layout?", "device?", "pin_memory?"];
const SIZE: &[&str] = &["size", "dtype?", "layout?", "device?", "pin_memory?"];
const TO: &[&str] =
    &["self", "dtype?", "layout?", "device?", "pin_memory?", "non_blocking?", "copy?", "memory_format?"];

pub(super) const OPERATORS: &[Operator] = &[
    one("aten::to.dtype", &["self", "dtype", "non_blocking?", "copy?", "memory_format?"], |a| {
        Ok(a.tensor(0)?.to(a.dtype(1)?))
    }),
    one("aten::to.dtype_layout", TO, |a| Ok(a.tensor(0)?.to(a.new_type(1)?.unwrap_or(a.tensor(0)?.dtype)))),
    unary("aten::detach", |x| Ok(x.clone())),
    one("aten::zeros_like", LIKE, |a| like(a, &int(0), 1)),
    one("aten::ones_like", LIKE, |a| like(a, &int(1), 1)),
    one(
        "aten::full_like",
        &["self", "fill_value", "dtype?", "layout?", "device?", "pin_memory?", "memory_format?"],
        |a| like(a, &a.number(1)?, 2),
    ),
    one("aten::new_zeros", NEW, |a| new(a, &int(0), 2)),
    one("aten::new_ones", NEW, |a| new(a, &int(1), 2)),
    one("aten::new_full", &["self", "size", "fill_value", "dtype?", "layout?", "device?", "pin_memory?"], |a| {
        new(a, &a.number(2)?, 3)
    }),
    one("aten::zeros", SIZE, |a| {
        let size = a.ints(0)?;
        ensure!(size.iter().all(|n| *n >= 0), "zeros: Dimension size must be non-negative.");
        full(size, &int(0), a.new_type(1)?.unwrap_or(Dtype::F32))
    }),
    one("aten::ones", SIZE, |a| full(a.ints(0)?, &int(1), a.new_type(1)?.unwrap_or(Dtype::F32))),
    one("aten::full", &["size", "fill_value", "dtype?", "layout?", "device?", "pin_memory?"], |a| {
        let value = a.number(1)?;
        full(a.ints(0)?, &value, a.new_type(2)?.unwrap_or(default_type(&[&value])))
    }),
    one("aten::arange", &["end", "dtype?", "layout?", "device?", "pin_memory?"], |a| {
        arange([&int(0), &a.number(0)?, &int(1)], a.new_type(1)?)
    }),
    one("aten::arange.start_step", &["start", "end", "step?", "dtype?", "layout?", "device?", "pin_memory?"], |a| {
        let step = a.optional_number(2)?.unwrap_or_else(|| int(1));
        arange([&a.number(0)?, &a.number(1)?, &step], a.new_type(3)?)
    }),
    one("aten::linspace", &["start", "end", "steps", "dtype?", "layout?", "device?", "pin_memory?"], |a| {
        linspace(&a.number(0)?, &a.number(1)?, a.int(2)?, a.new_type(3)?.unwrap_or(Dtype::F32))
    }),
    one("aten::eye", &["n", "dtype?", "layout?", "device?", "pin_memory?"], |a| {
        eye(a.int(0)?, a.new_type(1)?.unwrap_or(Dtype::F32))
    }),
];

fn int(value: i64) -> Dense {
    Dense { number: true, ..Dense::ints(Dtype::I64, Vec::new(), vec![value]) }
}

fn like(a: &Arguments, value: &Dense, dtype: usize) -> Result<Dense> {
    let like = a.tensor(0)?;
    full(&like.size, value, a.new_type(dtype)?.unwrap_or(like.dtype))
}

fn new(a: &Arguments, value: &Dense, dtype: usize) -> Result<Dense> {
    full(a.ints(1)?, value, a.new_type(dtype)?.unwrap_or(a.tensor(0)?.dtype))
}

fn full(size: &[i64], value: &Dense, dtype: Dtype) -> Result<Dense> {
    if let Some(negative) = size.iter().find(|n| **n < 0) {
        bail!("Trying to create tensor with negative dimension {negative}: {size:?}");
    }
    Ok(Dense::filled(dtype, size.to_vec(), value))
}

/// The element type that plain numbers make: single floats unless all are integers.
fn default_type(numbers: &[&Dense]) -> Dtype {
    let highest = |dtype| numbers.iter().any(|number| number.dtype == dtype);
    if highest(Dtype::F64) { Dtype::F32 } else { numbers.first().map_or(Dtype::F32, |number| number.dtype) }
}

fn arange([start, end, step]: [&Dense; 3], dtype: Option<Dtype>) -> Result<Dense> {
    let dtype = dtype.unwrap_or(default_type(&[
        &start.to(if is_float(start.dtype) { Dtype::F64 } else { Dtype::I64 }),
        end,
        step,
    ]));
    ensure!(dtype != Dtype::BOOL, "\"arange_cpu\" not implemented for 'Bool'");
    let range = |convert: fn(&Dense) -> Dense| [start, end, step].map(|x| convert(x).as_floats()[0]);
    let [from, to, by] = range(Dense::clone);
    ensure!(by != 0.0, "step must be nonzero");
    ensure!(from.is_finite() && to.is_finite(), "unsupported range: {from} -> {to}");
    ensure!(if by > 0.0 { to >= from } else { to <= from }, "upper bound and lower bound inconsistent with step sign");
    let [from, to, by] = if is_float(dtype) { [from, to, by] } else { range(|x| x.to(Dtype::I64)) };
    let count = ((to - from) / by).ceil() as i64;
    let values = (0..count).map(|i| from + by * i as f64).collect();
    Ok(Dense::floats(Dtype::F64, vec![count], values).to(dtype))
}

fn linspace(start: &Dense, end: &Dense, steps: i64, dtype: Dtype) -> Result<Dense> {
    ensure!(steps >= 0, "number of steps must be non-negative");
    ensure!(dtype != Dtype::BOOL || steps <= 1, "\"linspace_cpu\" not implemented for 'Bool'");
    let [start, end] = [start, end].map(|x| x.to(dtype).as_floats()[0]);
    let step = if steps > 1 { (end - start) / (steps - 1) as f64 } else { 0.0 };
    let at = |i: i64| {
        if i < steps / 2 || steps == 1 { start + step * i as f64 } else { end - step * (steps - 1 - i) as f64 }
    };
    Ok(Dense::floats(Dtype::F64, vec![steps], (0..steps).map(at).collect()).to(dtype))
}

fn eye(n: i64, dtype: Dtype) -> Result<Dense> {
    ensure!(n >= 0, "n must be greater or equal to 0, got {n}");
    let elements = (0..n * n).map(|place| i64::from(place / n == place % n)).collect();
    Ok(Dense::ints(Dtype::I64, vec![n, n], elements).to(dtype))
}
