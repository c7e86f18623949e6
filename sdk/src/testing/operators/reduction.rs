//! Operators over dimensions: sums, products, means, extremes, softmax.

use anyhow::{Result, bail, ensure};

use super::{Operator, elementwise::or_nan, one};
use crate::{
    Dtype,
    testing::dense::{Dense, indices, is_float, offset, type_name},
};

const ALL: &[&str] = &["self", "dtype?"];
const DIMS: &[&str] = &["self", "dim", "keepdim?", "dtype?"];
const DIM: &[&str] = &["self", "dim", "dtype?"];
const EXTREME: &[&str] = &["self", "dim?", "keepdim?"];

pub(super) const OPERATORS: &[Operator] = &[
    one("aten::sum", ALL, |a| sum(a.tensor(0)?, &[], false, a.optional_dtype(1)?)),
    one("aten::sum.dim_IntList", DIMS, |a| sum(a.tensor(0)?, a.ints(1)?, a.flag(2)?, a.optional_dtype(3)?)),
    one("aten::prod", ALL, |a| prod(a.tensor(0)?, &[], false, a.optional_dtype(1)?)),
    one("aten::prod.dim_int", DIMS, |a| prod(a.tensor(0)?, &[a.int(1)?], a.flag(2)?, a.optional_dtype(3)?)),
    one("aten::mean", ALL, |a| mean(a.tensor(0)?, &[], false, a.optional_dtype(1)?)),
    one("aten::mean.dim", DIMS, |a| mean(a.tensor(0)?, a.ints(1)?, a.flag(2)?, a.optional_dtype(3)?)),
    one("aten::cumsum", DIM, |a| cumsum(a.tensor(0)?, a.int(1)?, a.optional_dtype(2)?)),
    one("aten::amax", EXTREME, |a| extreme("amax", (a.tensor(0)?, a.ints(1)?, a.flag(2)?), f64::max, i64::max)),
    one("aten::amin", EXTREME, |a| extreme("amin", (a.tensor(0)?, a.ints(1)?, a.flag(2)?), f64::min, i64::min)),
    one("aten::softmax.int", DIM, |a| softmax("softmax", (a.tensor(0)?, a.int(1)?), a.optional_dtype(2)?, f64::exp)),
    one("aten::log_softmax.int", DIM, |a| {
        softmax("log_softmax", (a.tensor(0)?, a.int(1)?), a.optional_dtype(2)?, |x| x)
    }),
];

/// How the elements of a tensor fall into groups, each of which is reduced to one.
pub(super) struct Groups {
    /// The size of the result.
    pub size: Vec<i64>,
    /// For each group, the places of its elements.
    pub members: Vec<Vec<usize>>,
}

/// Groups over `dims`; an empty list means all dimensions.
pub(super) fn groups(x: &Dense, dims: &[i64], keepdim: bool) -> Result<Groups> {
    let mut reduced = vec![dims.is_empty(); x.size.len().max(1)];
    for &dim in dims {
        let dim = x.dim(dim)?;
        ensure!(!reduced[dim], "dim {dim} appears multiple times in the list of dims");
        reduced[dim] = true;
    }
    let sizes = x.size.iter().zip(&reduced);
    let kept: Vec<i64> = sizes.clone().map(|(&n, &reduced)| if reduced { 1 } else { n }).collect();
    let size = if keepdim { kept.clone() } else { sizes.filter(|(_, reduced)| !**reduced).map(|(&n, _)| n).collect() };
    let mut members = vec![Vec::new(); kept.iter().product::<i64>() as usize];
    for (place, index) in indices(&x.size).enumerate() {
        let group: Vec<i64> = index.iter().zip(&reduced).map(|(&i, &reduced)| if reduced { 0 } else { i }).collect();
        members[offset(&kept, &group)].push(place);
    }
    Ok(Groups { size, members })
}

impl Groups {
    pub fn fold<T: Copy, U>(&self, values: &[T], f: impl Fn(&mut dyn Iterator<Item = T>) -> U) -> Vec<U> {
        self.members.iter().map(|group| f(&mut group.iter().map(|&at| values[at]))).collect()
    }
}

/// Sums or products; integers and bools give an int64.
fn total(
    x: &Dense,
    (dims, keepdim): (&[i64], bool),
    dtype: Option<Dtype>,
    (start, floats, ints): (i64, fn(f64, f64) -> f64, fn(i64, i64) -> i64),
) -> Result<Dense> {
    let x = x.to(dtype.unwrap_or(if is_float(x.dtype) { x.dtype } else { Dtype::I64 }));
    let groups = groups(&x, dims, keepdim)?;
    Ok(if is_float(x.dtype) {
        let totals = groups.fold(&x.as_floats(), |values| values.fold(start as f64, floats));
        Dense::floats(x.dtype, groups.size, totals)
    } else {
        let totals = groups.fold(&x.as_ints(), |values| values.fold(start, ints));
        Dense::ints(x.dtype, groups.size, totals)
    })
}

pub(super) fn sum(x: &Dense, dims: &[i64], keepdim: bool, dtype: Option<Dtype>) -> Result<Dense> {
    total(x, (dims, keepdim), dtype, (0, |a, b| a + b, i64::wrapping_add))
}

fn prod(x: &Dense, dims: &[i64], keepdim: bool, dtype: Option<Dtype>) -> Result<Dense> {
    total(x, (dims, keepdim), dtype, (1, |a, b| a * b, i64::wrapping_mul))
}

/// Sums along `dim` up to each element.
fn cumsum(x: &Dense, dim: i64, dtype: Option<Dtype>) -> Result<Dense> {
    fn running<T: Copy>(groups: &Groups, values: &mut [T], add: fn(T, T) -> T) {
        for group in &groups.members {
            group.windows(2).for_each(|pair| values[pair[1]] = add(values[pair[0]], values[pair[1]]));
        }
    }
    let x = x.to(dtype.unwrap_or(if is_float(x.dtype) { x.dtype } else { Dtype::I64 }));
    let (groups, size) = (groups(&x, &[dim], true)?, x.size.clone());
    let (mut floats, mut ints) = (x.as_floats().into_owned(), x.as_ints().into_owned());
    running(&groups, &mut floats, |a, b| a + b);
    running(&groups, &mut ints, i64::wrapping_add);
    Ok(if is_float(x.dtype) { Dense::floats(x.dtype, size, floats) } else { Dense::ints(x.dtype, size, ints) })
}

/// All truths combined by `f`, from `start` on; bool.
pub(super) fn truth(x: &Dense, dims: &[i64], keepdim: bool, start: i64, f: fn(i64, i64) -> i64) -> Result<Dense> {
    let x = x.to(Dtype::BOOL);
    let groups = groups(&x, dims, keepdim)?;
    let truths = groups.fold(&x.as_ints(), |values| values.fold(start, f));
    Ok(Dense::ints(Dtype::BOOL, groups.size, truths))
}

pub(super) fn mean(x: &Dense, dims: &[i64], keepdim: bool, dtype: Option<Dtype>) -> Result<Dense> {
    match dtype {
        Some(dtype) => ensure!(
            is_float(dtype),
            "mean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype. Got: {}",
            type_name(dtype)
        ),
        None => ensure!(
            is_float(x.dtype),
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {}",
            type_name(x.dtype)
        ),
    }
    let x = x.to(dtype.unwrap_or(x.dtype));
    let groups = groups(&x, dims, keepdim)?;
    let sums = groups.fold(&x.as_floats(), |values| values.fold(0.0, |a, b| a + b));
    let means = sums.iter().zip(&groups.members).map(|(sum, group)| sum / group.len() as f64).collect();
    Ok(Dense::floats(x.dtype, groups.size, means))
}

/// Largest or smallest elements; not-a-number wins.
fn extreme(
    name: &str,
    (x, dims, keepdim): (&Dense, &[i64], bool),
    floats: fn(f64, f64) -> f64,
    ints: fn(i64, i64) -> i64,
) -> Result<Dense> {
    let elements = x.size.iter().product::<i64>();
    ensure!(
        elements != 0 || !dims.is_empty(),
        "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
    );
    let groups = groups(x, dims, keepdim)?;
    let empty = dims.iter().find(|&&dim| x.dim(dim).is_ok_and(|dim| x.size.get(dim) == Some(&0)));
    if let Some(dim) = empty {
        bail!("{name}(): Expected reduction dim {dim} to have non-zero size.");
    }
    Ok(if is_float(x.dtype) {
        let found =
            groups.fold(&x.as_floats(), |values| values.reduce(|a, b| or_nan(a, b, floats)).unwrap_or(f64::NAN));
        Dense::floats(x.dtype, groups.size, found)
    } else {
        let found = groups.fold(&x.as_ints(), |values| values.reduce(ints).unwrap_or(0));
        Dense::ints(x.dtype, groups.size, found)
    })
}

/// The logarithm of the softmax over `dim`, then `f` of it: `f64::exp` gives the softmax itself.
pub(super) fn softmax(name: &str, (x, dim): (&Dense, i64), dtype: Option<Dtype>, f: fn(f64) -> f64) -> Result<Dense> {
    let x = x.to(dtype.unwrap_or(x.dtype));
    let groups = groups(&x, &[dim], true)?;
    let values = x.as_floats();
    if values.is_empty() {
        return Ok(x);
    }
    let kernel = if x.dim(dim)? + 1 >= x.size.len() { "lastdim_kernel" } else { "kernel" };
    ensure!(is_float(x.dtype), "\"{name}_{kernel}_impl\" not implemented for '{}'", type_name(x.dtype));
    let largest = groups.fold(&values, |values| values.reduce(|a, b| or_nan(a, b, f64::max)).unwrap_or(f64::NAN));
    let mut results = vec![0.0; values.len()];
    for (group, largest) in groups.members.iter().zip(largest) {
        let total: f64 = group.iter().map(|&at| (values[at] - largest).exp()).sum();
        group.iter().for_each(|&at| results[at] = f(values[at] - largest - total.ln()));
    }
    Ok(Dense::floats(x.dtype, x.size.clone(), results))
}
