//! Operators over dimensions: sums, means, extremes, softmax.

use anyhow::{Result, bail, ensure};

use super::{
    dense::{Dense, indices, is_float, offset, type_name},
    elementwise::or_nan,
};
use crate::Dtype;

/// How the elements of a tensor fall into groups, each of which is reduced to one.
struct Groups {
    /// The size of the result.
    size: Vec<i64>,
    /// For each group, the places of its elements.
    members: Vec<Vec<usize>>,
}

/// Groups over `dims`; an empty list means all dimensions.
fn groups(x: &Dense, dims: &[i64], keepdim: bool) -> Result<Groups> {
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
    fn fold<T: Copy>(&self, values: &[T], f: impl Fn(&mut dyn Iterator<Item = T>) -> T) -> Vec<T> {
        self.members.iter().map(|group| f(&mut group.iter().map(|&at| values[at]))).collect()
    }
}

/// Sums; integers and bools give an int64.
pub(super) fn sum(x: &Dense, dims: &[i64], keepdim: bool, dtype: Option<Dtype>) -> Result<Dense> {
    let x = x.to(dtype.unwrap_or(if is_float(x.dtype) { x.dtype } else { Dtype::I64 }));
    let groups = groups(&x, dims, keepdim)?;
    Ok(if is_float(x.dtype) {
        let sums = groups.fold(&x.as_floats(), |values| values.fold(0.0, |a, b| a + b));
        Dense::floats(x.dtype, groups.size, sums)
    } else {
        let sums = groups.fold(&x.as_ints(), |values| values.fold(0, i64::wrapping_add));
        Dense::ints(x.dtype, groups.size, sums)
    })
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
pub(super) fn extreme(
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
