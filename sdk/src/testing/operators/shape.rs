//! Operators that arrange the same elements otherwise, or take part of them.

use anyhow::{Result, bail, ensure};

use super::{OTHER, Operator, binary, one};
use crate::testing::dense::{Dense, type_name, wrap};

const SIZE: &[&str] = &["self", "size"];
const DIM: &[&str] = &["self", "dim"];

pub(super) const OPERATORS: &[Operator] = &[
    one("aten::reshape", &["self", "shape"], |a| reshape(a.tensor(0)?, a.ints(1)?)),
    one("aten::view", SIZE, |a| reshape(a.tensor(0)?, a.ints(1)?)),
    one("aten::flatten.using_ints", &["self", "start_dim?", "end_dim?"], |a| {
        flatten(a.tensor(0)?, a.int_or(1, 0)?, a.int_or(2, -1)?)
    }),
    one("aten::permute", &["self", "dims"], |a| permute(a.tensor(0)?, a.ints(1)?)),
    one("aten::transpose.int", &["self", "dim0", "dim1"], |a| transpose(a.tensor(0)?, a.int(1)?, a.int(2)?)),
    one("aten::unsqueeze", DIM, |a| unsqueeze(a.tensor(0)?, a.int(1)?)),
    one("aten::squeeze.dim", DIM, |a| squeeze(a.tensor(0)?, a.int(1)?)),
    one("aten::expand", &["self", "size", "implicit?"], |a| expand(a.tensor(0)?, a.ints(1)?)),
    binary("aten::expand_as", OTHER, |x, other| expand(x, &other.size)),
    one("aten::broadcast_to", SIZE, |a| expand(a.tensor(0)?, a.ints(1)?)),
    one("aten::repeat", &["self", "repeats"], |a| repeat(a.tensor(0)?, a.ints(1)?)),
    one("aten::flip", &["self", "dims"], |a| flip(a.tensor(0)?, a.ints(1)?)),
    one("aten::contiguous", &["self", "memory_format?"], |a| Ok(a.tensor(0)?.clone())),
    one("aten::narrow", &["self", "dim", "start", "length"], |a| narrow(a.tensor(0)?, a.int(1)?, a.int(2)?, a.int(3)?)),
    one("aten::slice.Tensor", &["self", "dim?", "start?", "end?", "step?"], |a| {
        slice(a.tensor(0)?, a.int_or(1, 0)?, (a.int_or(2, 0)?, a.int_or(3, i64::MAX)?), a.int_or(4, 1)?)
    }),
    one("aten::select.int", &["self", "dim", "index"], |a| select(a.tensor(0)?, a.int(1)?, a.int(2)?)),
];

pub(super) fn unsqueeze(x: &Dense, dim: i64) -> Result<Dense> {
    let mut size = x.size.clone();
    size.insert(wrap(dim, size.len() as i64 + 1)?, 1);
    Ok(x.sized(size))
}

/// Without the dimension `dim` if its size is 1.
fn squeeze(x: &Dense, dim: i64) -> Result<Dense> {
    let (dim, mut size) = (x.dim(dim)?, x.size.clone());
    if size.get(dim) == Some(&1) {
        size.remove(dim);
    }
    Ok(x.sized(size))
}

fn reshape(x: &Dense, shape: &[i64]) -> Result<Dense> {
    if let Some(at) = shape.iter().position(|&n| n < -1) {
        bail!("invalid shape dimension {} at index {at} of shape {shape:?}", shape[at]);
    }
    ensure!(shape.iter().filter(|&&n| n == -1).count() <= 1, "only one dimension can be inferred");
    let elements: i64 = x.size.iter().product();
    let others = shape.iter().filter(|&&n| n != -1).try_fold(1i64, |a, &b| a.checked_mul(b)).unwrap_or(i64::MAX);
    let inferred = shape.contains(&-1);
    ensure!(
        !(inferred && elements == 0 && others == 0),
        "cannot reshape tensor of 0 elements into shape {shape:?} because the unspecified dimension size -1 can be any value and is ambiguous"
    );
    let fits = if inferred { others > 0 && elements % others == 0 } else { others == elements };
    ensure!(fits, "shape '{shape:?}' is invalid for input of size {elements}");
    Ok(x.sized(shape.iter().map(|&n| if n == -1 { elements / others } else { n }).collect()))
}

fn permute(x: &Dense, dims: &[i64]) -> Result<Dense> {
    ensure!(
        dims.len() == x.size.len(),
        "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {} is not equal to len(dims) = {}",
        x.size.len(),
        dims.len()
    );
    let dims = dims.iter().map(|&dim| x.dim(dim)).collect::<Result<Vec<_>>>()?;
    let repeated = dims.iter().enumerate().any(|(i, dim)| dims[..i].contains(dim));
    ensure!(!repeated, "permute(): duplicate dims are not allowed.");
    Ok(x.rearranged(dims.iter().map(|&dim| x.size[dim]).collect(), |index| {
        let mut from = index.clone();
        dims.iter().zip(&*index).for_each(|(&dim, &i)| from[dim] = i);
        *index = from;
    }))
}

fn transpose(x: &Dense, dim0: i64, dim1: i64) -> Result<Dense> {
    let (dim0, dim1) = (x.dim(dim0)?, x.dim(dim1)?);
    if x.size.is_empty() {
        return Ok(x.clone());
    }
    let mut size = x.size.clone();
    size.swap(dim0, dim1);
    Ok(x.rearranged(size, |index| index.swap(dim0, dim1)))
}

/// `length` places of dimension `dim` from `start` on; a negative start counts from the end.
pub(super) fn narrow(x: &Dense, dim: i64, start: i64, length: i64) -> Result<Dense> {
    ensure!(!x.size.is_empty(), "narrow() cannot be applied to a 0-dim tensor.");
    ensure!(length >= 0, "narrow(): length must be non-negative.");
    let dim = x.dim(dim)?;
    let whole = x.size[dim];
    ensure!(
        (-whole..=whole).contains(&start),
        "start out of range (expected to be in range of [-{whole}, {whole}], but got {start})"
    );
    let start = if start < 0 { start + whole } else { start };
    ensure!(length <= whole - start, "start ({start}) + length ({length}) exceeds dimension size ({whole}).");
    let mut size = x.size.clone();
    size[dim] = length;
    Ok(x.rearranged(size, |index| index[dim] += start))
}

fn flatten(x: &Dense, start: i64, end: i64) -> Result<Dense> {
    let (start, end) = (x.dim(start)?, x.dim(end)?);
    ensure!(start <= end, "flatten() has invalid args: start_dim cannot come after end_dim");
    if x.size.is_empty() {
        return Ok(x.sized(vec![1]));
    }
    let mut size = x.size.clone();
    size.splice(start..=end, [x.size[start..=end].iter().product()]);
    Ok(x.sized(size))
}

fn expand(x: &Dense, size: &[i64]) -> Result<Dense> {
    let shown = format!("expand(CPU{}Type{{{:?}}}, size={size:?})", type_name(x.dtype), x.size);
    ensure!(
        size.len() >= x.size.len(),
        "{shown}: the number of sizes provided ({}) must be greater or equal to the number of dimensions in the tensor ({})",
        size.len(),
        x.size.len()
    );
    let new = size.len() - x.size.len();
    let mut wanted = size.to_vec();
    for (dim, n) in wanted.iter_mut().enumerate() {
        let own = dim.checked_sub(new).map(|dim| x.size[dim]);
        ensure!(
            *n != -1 || own.is_some(),
            "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {dim}"
        );
        *n = if *n == -1 { own.unwrap_or(1) } else { *n };
        ensure!(
            own.is_none_or(|own| own == *n || own == 1) && *n >= 0,
            "The expanded size of the tensor ({n}) must match the existing size ({}) at non-singleton dimension {dim}.  Target sizes: {size:?}.  Tensor sizes: {:?}",
            own.unwrap_or(1),
            x.size
        );
    }
    Ok(x.expanded(&wanted))
}

fn repeat(x: &Dense, repeats: &[i64]) -> Result<Dense> {
    ensure!(
        repeats.len() >= x.size.len(),
        "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
    );
    let mut own = vec![1; repeats.len() - x.size.len()];
    own.extend(&x.size);
    let size: Vec<i64> = repeats.iter().zip(&own).map(|(times, n)| times * n).collect();
    if let Some(negative) = size.iter().find(|n| **n < 0) {
        bail!("Trying to create tensor with negative dimension {negative}: {size:?}");
    }
    Ok(x.sized(own.clone()).rearranged(size, |index| index.iter_mut().zip(&own).for_each(|(i, n)| *i %= n)))
}

fn flip(x: &Dense, dims: &[i64]) -> Result<Dense> {
    let count = x.size.len().max(1) as i64;
    let wrapped = dims.iter().map(|&dim| wrap(dim, count)).collect::<Result<Vec<_>>>()?;
    for (i, dim) in wrapped.iter().enumerate() {
        ensure!(!wrapped[..i].contains(dim), "dim {dim} appears multiple times in the list of dims");
    }
    let reversed: Vec<usize> = wrapped.into_iter().filter(|&dim| dim < x.size.len()).collect();
    Ok(x.rearranged(x.size.clone(), |index| reversed.iter().for_each(|&dim| index[dim] = x.size[dim] - 1 - index[dim])))
}

/// Every `step`th place of `dim` within `range`, whose ends may lie outside or count from the end.
fn slice(x: &Dense, dim: i64, (start, end): (i64, i64), step: i64) -> Result<Dense> {
    ensure!(!x.size.is_empty(), "slice() cannot be applied to a 0-dim tensor.");
    let dim = x.dim(dim)?;
    ensure!(step > 0, "slice step must be positive");
    let whole = x.size[dim];
    let inside = |place: i64| if place < 0 { place.saturating_add(whole).max(0) } else { place.min(whole) };
    let (start, end) = (inside(start), inside(end));
    let mut size = x.size.clone();
    size[dim] = (end - start).max(0).saturating_add(step - 1) / step;
    Ok(x.rearranged(size, |index| index[dim] = start + index[dim] * step))
}

pub(super) fn select(x: &Dense, dim: i64, index: i64) -> Result<Dense> {
    ensure!(!x.size.is_empty(), "select() cannot be applied to a 0-dim tensor.");
    let at = x.dim(dim)?;
    let count = x.size[at];
    ensure!(
        (-count..count).contains(&index),
        "select(): index {index} out of range for tensor of size {:?} at dimension {dim}",
        x.size
    );
    let mut size = x.size.clone();
    size.remove(at);
    Ok(x.rearranged(size, |place| place.insert(at, index.rem_euclid(count))))
}
