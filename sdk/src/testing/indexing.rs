//! Operators that choose elements by an index or a mask.

use anyhow::{Result, bail, ensure};

use super::dense::{Dense, broadcast, indices, is_float, offset, type_name};
use crate::Dtype;

/// The elements of dimension `dim` at `index`, a tensor of as many dimensions.
pub(super) fn gather(x: &Dense, dim: i64, index: &Dense) -> Result<Dense> {
    let dim = x.dim(dim)?;
    if index.size.contains(&0) {
        return Ok(x.picked(Vec::new(), index.size.clone()));
    }
    ensure!(index.dtype == Dtype::I64, "gather(): Expected dtype int32/int64 for index");
    ensure!(
        index.size.len().max(1) == x.size.len().max(1),
        "Index tensor must have the same number of dimensions as input tensor"
    );
    let (source, chosen) = (with_dims(x), with_dims(index));
    let inside = chosen.size.iter().zip(&source.size).enumerate().all(|(d, (i, n))| d == dim || i <= n);
    ensure!(
        inside,
        "Size does not match at dimension {} expected index {:?} to be no larger than self {:?} apart from dimension {dim}",
        chosen.size.iter().zip(&source.size).enumerate().position(|(d, (i, n))| d != dim && i > n).unwrap_or(0),
        index.size,
        x.size
    );
    let wanted = chosen.as_ints();
    let count = source.size[dim];
    if let Some(bad) = wanted.iter().find(|i| !(0..count).contains(i)) {
        bail!("index {bad} is out of bounds for dimension {dim} with size {count}");
    }
    let picked = source.rearranged(chosen.size.clone(), |at| at[dim] = wanted[offset(&chosen.size, at)]);
    Ok(picked.sized(index.size.clone()))
}

/// The slices of dimension `dim` at `index`, a vector.
pub(super) fn index_select(x: &Dense, dim: i64, index: &Dense) -> Result<Dense> {
    let dim = x.dim(dim)?;
    ensure!(index.size.len() <= 1, "index_select(): Index is supposed to be a vector");
    ensure!(
        index.dtype == Dtype::I64,
        "index_select(): Expected dtype int32 or int64 for index but got: {}",
        type_name(index.dtype)
    );
    let (source, wanted) = (with_dims(x), index.as_ints());
    let count = source.size[dim];
    ensure!(wanted.iter().all(|i| (0..count).contains(i)), "index out of range in self");
    ensure!(
        !x.size.is_empty() || wanted.len() == 1,
        "index_select(): Index to scalar can have only 1 value, got {} value(s)",
        wanted.len()
    );
    let mut size = source.size.clone();
    size[dim] = wanted.len() as i64;
    let picked = source.rearranged(size, |at| at[dim] = wanted[at[dim] as usize]);
    Ok(if x.size.is_empty() { picked.sized(Vec::new()) } else { picked })
}

/// A tensor without dimensions as a vector of one element.
fn with_dims(x: &Dense) -> Dense {
    if x.size.is_empty() { x.sized(vec![1]) } else { x.clone() }
}

/// The elements where `mask` is true, as a vector.
pub(super) fn masked_select(x: &Dense, mask: &Dense) -> Result<Dense> {
    ensure!(mask.dtype == Dtype::BOOL, "masked_select: expected BoolTensor for mask");
    let size = broadcast(&x.size, &mask.size)?;
    let (x, mask) = (x.expanded(&size), mask.expanded(&size));
    let places: Vec<usize> =
        indices(&size).map(|index| offset(&size, &index)).filter(|&at| mask.as_ints()[at] != 0).collect();
    let count = places.len() as i64;
    Ok(x.picked(places, vec![count]))
}

/// `value` where `mask` is true.
pub(super) fn masked_fill(x: &Dense, mask: &Dense, value: &Dense) -> Result<Dense> {
    fn chosen<T: Copy>(x: &[T], value: T, mask: &[i64]) -> Vec<T> {
        x.iter().zip(mask).map(|(&x, &masked)| if masked != 0 { value } else { x }).collect()
    }
    let size = broadcast(&mask.size, &x.size)?;
    let found = match mask.dtype {
        Dtype::BOOL => None,
        Dtype::F32 => Some("float"),
        Dtype::F64 => Some("double"),
        _ => Some("long int"),
    };
    if let Some(found) = found {
        bail!("masked_fill_ only supports boolean masks, but got mask with dtype {found}");
    }
    let (x, mask, value) = (x.expanded(&size), mask.expanded(&size), value.to(x.dtype));
    Ok(if is_float(x.dtype) {
        Dense::floats(x.dtype, size, chosen(&x.as_floats(), value.as_floats()[0], &mask.as_ints()))
    } else {
        Dense::ints(x.dtype, size, chosen(&x.as_ints(), value.as_ints()[0], &mask.as_ints()))
    })
}
