//! Operators that arrange the same elements otherwise.

use anyhow::{Result, bail, ensure};

use super::dense::{Dense, wrap};

pub(super) fn unsqueeze(x: &Dense, dim: i64) -> Result<Dense> {
    let mut size = x.size.clone();
    size.insert(wrap(dim, size.len() as i64 + 1)?, 1);
    Ok(x.sized(size))
}

/// Without the dimension `dim` if its size is 1.
pub(super) fn squeeze(x: &Dense, dim: i64) -> Result<Dense> {
    let (dim, mut size) = (x.dim(dim)?, x.size.clone());
    if size.get(dim) == Some(&1) {
        size.remove(dim);
    }
    Ok(x.sized(size))
}

pub(super) fn reshape(x: &Dense, shape: &[i64]) -> Result<Dense> {
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

pub(super) fn permute(x: &Dense, dims: &[i64]) -> Result<Dense> {
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

pub(super) fn transpose(x: &Dense, dim0: i64, dim1: i64) -> Result<Dense> {
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
