//! Operators that take tensors apart and join them.

use anyhow::{Result, bail, ensure};

use super::{
    Operator, one, several,
    shape::{narrow, select, unsqueeze},
};
use crate::{
    Dtype,
    testing::dense::{Data, Dense, common_type, wrap},
};

pub(super) const OPERATORS: &[Operator] = &[
    several("aten::split.Tensor", &["self", "split_size", "dim?"], |a| split(a.tensor(0)?, a.int(1)?, a.int_or(2, 0)?)),
    several("aten::split_with_sizes", &["self", "split_sizes", "dim?"], |a| {
        split_with_sizes(a.tensor(0)?, a.ints(1)?, a.int_or(2, 0)?)
    }),
    several("aten::chunk", &["self", "chunks", "dim?"], |a| chunk(a.tensor(0)?, a.int(1)?, a.int_or(2, 0)?)),
    several("aten::unbind.int", &["self", "dim?"], |a| unbind(a.tensor(0)?, a.int_or(1, 0)?)),
    one("aten::cat", &["tensors", "dim?"], |a| cat(&a.tensors(0)?, a.int_or(1, 0)?)),
    one("aten::stack", &["tensors", "dim?"], |a| stack(&a.tensors(0)?, a.int_or(1, 0)?)),
];

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
    joined.unwrap_or_else(|| Dense::floats(Dtype::F32, vec![0], Vec::new()))
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
