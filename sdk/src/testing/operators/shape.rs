//! Operators that arrange the same elements otherwise, take tensors apart and join them.

use anyhow::{Result, bail, ensure};

use super::{OTHER, Operator, binary, one, several};
use crate::testing::dense::{Data, Dense, common_type, type_name, wrap};

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
    several("aten::split.Tensor", &["self", "split_size", "dim?"], |a| split(a.tensor(0)?, a.int(1)?, a.int_or(2, 0)?)),
    several("aten::split_with_sizes", &["self", "split_sizes", "dim?"], |a| {
        split_with_sizes(a.tensor(0)?, a.ints(1)?, a.int_or(2, 0)?)
    }),
    several("aten::chunk", &["self", "chunks", "dim?"], |a| chunk(a.tensor(0)?, a.int(1)?, a.int_or(2, 0)?)),
    several("aten::unbind.int", &["self", "dim?"], |a| unbind(a.tensor(0)?, a.int_or(1, 0)?)),
    one("aten::cat", &["tensors", "dim?"], |a| cat(&a.tensors(0)?, a.int_or(1, 0)?)),
    one("aten::stack", &["tensors", "dim?"], |a| stack(&a.tensors(0)?, a.int_or(1, 0)?)),
];

fn unsqueeze(x: &Dense, dim: i64) -> Result<Dense> {
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
fn narrow(x: &Dense, dim: i64, start: i64, length: i64) -> Result<Dense> {
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
    let shown = format!("expand(torch.{}Tensor{{{:?}}}, size={size:?})", type_name(x.dtype), x.size);
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
    if let Some(negative) = repeats.iter().zip(&own).map(|(times, n)| times * n).find(|n| *n < 0) {
        bail!("Trying to create tensor with negative dimension {negative}: {repeats:?}");
    }
    let size = repeats.iter().zip(&own).map(|(times, n)| times * n).collect();
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

fn select(x: &Dense, dim: i64, index: i64) -> Result<Dense> {
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

fn split(x: &Dense, split_size: i64, dim: i64) -> Result<Vec<Dense>> {
    ensure!(!x.size.is_empty(), "split expects at least a 1-dimensional tensor");
    ensure!(split_size >= 0, "split expects split_size be non-negative, but got split_size={split_size}");
    let whole = x.size[x.dim(dim)?];
    ensure!(
        split_size > 0 || whole == 0,
        "split_size can only be 0 if dimension size is 0, but got dimension size of {whole}"
    );
    let starts = (0..whole.max(1)).step_by(split_size.max(1) as usize);
    starts.map(|start| narrow(x, dim, start, split_size.min(whole - start))).collect()
}

fn split_with_sizes(x: &Dense, sizes: &[i64], dim: i64) -> Result<Vec<Dense>> {
    ensure!(!x.size.is_empty(), "split expects at least a 1-dimensional tensor");
    let whole = x.size[x.dim(dim)?];
    ensure!(
        sizes.iter().all(|size| *size >= 0),
        "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes:?}"
    );
    ensure!(
        sizes.iter().sum::<i64>() == whole,
        "split_with_sizes expects split_sizes to sum exactly to {whole} (input tensor's size at dimension {dim}), but got split_sizes={sizes:?}"
    );
    let mut start = 0;
    let mut piece = |&size: &i64| {
        start += size;
        narrow(x, dim, start - size, size)
    };
    sizes.iter().map(&mut piece).collect()
}

fn chunk(x: &Dense, chunks: i64, dim: i64) -> Result<Vec<Dense>> {
    ensure!(!x.size.is_empty(), "chunk expects at least a 1-dimensional tensor");
    ensure!(chunks > 0, "chunk expects `chunks` to be greater than 0, got: {chunks}");
    let whole = x.size[x.dim(dim)?];
    match whole {
        0 => split_with_sizes(x, &vec![0; chunks as usize], dim),
        _ => split(x, (whole - 1) / chunks + 1, dim),
    }
}

fn unbind(x: &Dense, dim: i64) -> Result<Vec<Dense>> {
    let at = x.dim(dim)?;
    ensure!(!x.size.is_empty(), "Dimension specified as {dim} but tensor has no dimensions");
    (0..x.size[at]).map(|index| select(x, dim, index)).collect()
}

fn cat(tensors: &[&Dense], dim: i64) -> Result<Dense> {
    ensure!(!tensors.is_empty(), "torch.cat(): expected a non-empty list of Tensors");
    if let Some(place) = tensors.iter().position(|x| x.size.is_empty()) {
        bail!("zero-dimensional tensor (at position {place}) cannot be concatenated");
    }
    let common = common_type(tensors);
    // Vectors without elements count for their type only, as libtorch has it from its first days.
    let joined: Vec<(usize, &&Dense)> = tensors.iter().enumerate().filter(|(_, x)| x.size != [0]).collect();
    let Some(&(_, first)) = joined.first() else { return Ok(tensors[0].to(common)) };
    let at = first.dim(dim)?;
    for (place, x) in &joined[1..] {
        let (dims, others) = (first.size.len(), x.size.len());
        ensure!(dims == others, "Tensors must have same number of dimensions: got {dims} and {others}");
        let differs = first.size.iter().zip(&x.size).enumerate().find(|(d, (a, b))| *d != at && a != b);
        if let Some((_, (wanted, got))) = differs {
            bail!(
                "Sizes of tensors must match except in dimension {at}. Expected size {wanted} but got size {got} for tensor number {place} in the list."
            );
        }
    }
    let mut size = first.size.clone();
    size[at] = joined.iter().map(|(_, x)| x.size[at]).sum();
    let outer: i64 = size[..at].iter().product();
    let inner: i64 = size[at + 1..].iter().product();
    // All elements one tensor after the other, and where each place of the result finds its own.
    let mut starts = 0;
    let rows: Vec<(usize, usize)> = joined
        .iter()
        .map(|(_, x)| {
            let start = starts;
            starts += x.numel();
            (start, (x.size[at] * inner) as usize)
        })
        .collect();
    let places = (0..outer as usize).flat_map(|row| {
        rows.iter().flat_map(move |&(start, length)| (0..length).map(move |i| start + row * length + i))
    });
    let places: Vec<usize> = places.collect();
    Ok(end_to_end(joined.iter().map(|(_, x)| x.to(common))).picked(places, size))
}

/// The elements of tensors of one type, one after the other.
fn end_to_end(tensors: impl Iterator<Item = Dense>) -> Dense {
    let joined = tensors.reduce(|mut all, next| {
        match (&mut all.data, next.data) {
            (Data::Floats(all), Data::Floats(next)) => all.extend(next),
            (Data::Ints(all), Data::Ints(next)) => all.extend(next),
            _ => {}
        }
        all
    });
    joined.unwrap_or_else(|| Dense::floats(crate::Dtype::F32, vec![0], Vec::new()))
}

fn stack(tensors: &[&Dense], dim: i64) -> Result<Dense> {
    ensure!(!tensors.is_empty(), "stack expects a non-empty TensorList");
    let first = &tensors[0].size;
    let at = wrap(dim, first.len() as i64 + 1)?;
    if let Some(place) = tensors.iter().position(|x| x.size != *first) {
        bail!(
            "stack expects each tensor to be equal size, but got {first:?} at entry 0 and {:?} at entry {place}",
            tensors[place].size
        );
    }
    let common = common_type(tensors);
    let slices = tensors.iter().map(|x| unsqueeze(&x.to(common), at as i64)).collect::<Result<Vec<_>>>()?;
    cat(&slices.iter().collect::<Vec<_>>(), at as i64)
}
