//! Operators that put the elements of a dimension in order, or find the first.

use std::cmp::Ordering;

use anyhow::{Result, bail, ensure};

use super::{
    Operator, one,
    reduction::{Groups, groups},
    several, unary,
};
use crate::{
    Dtype,
    testing::dense::{Data, Dense},
};

const DIM: &[&str] = &["self", "dim", "keepdim?"];
const ANY_DIM: &[&str] = &["self", "dim?", "keepdim?"];
const SORT: &[&str] = &["self", "dim?", "descending?"];

pub(super) const OPERATORS: &[Operator] = &[
    unary("aten::max", |x| whole("max", x, true)),
    unary("aten::min", |x| whole("min", x, false)),
    several("aten::max.dim", DIM, |a| along("max", a.tensor(0)?, a.int(1)?, a.flag(2)?, true)),
    several("aten::min.dim", DIM, |a| along("min", a.tensor(0)?, a.int(1)?, a.flag(2)?, false)),
    one("aten::argmax", ANY_DIM, |a| {
        let dim = a.is_there(1).then(|| a.int(1)).transpose()?;
        first_index("argmax", a.tensor(0)?, dim, a.flag(2)?, true)
    }),
    one("aten::argmin", ANY_DIM, |a| {
        let dim = a.is_there(1).then(|| a.int(1)).transpose()?;
        first_index("argmin", a.tensor(0)?, dim, a.flag(2)?, false)
    }),
    several("aten::topk", &["self", "k", "dim?", "largest?", "sorted?"], |a| {
        topk(a.tensor(0)?, a.int(1)?, a.int_or(2, -1)?, a.flag_or(3, true)?)
    }),
    several("aten::sort", SORT, |a| sort(a.tensor(0)?, a.int_or(1, -1)?, a.flag(2)?)),
    one("aten::argsort", SORT, |a| Ok(sort(a.tensor(0)?, a.int_or(1, -1)?, a.flag(2)?)?.swap_remove(1))),
];

/// The order of two elements, from the largest down or the smallest up; not-a-number counts as the largest.
fn compare(x: &Dense, a: usize, b: usize, descending: bool) -> Ordering {
    let order = match &x.data {
        Data::Ints(values) => values[a].cmp(&values[b]),
        Data::Floats(values) => {
            let (a, b) = (values[a], values[b]);
            a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
        }
    };
    if descending { order.reverse() } else { order }
}

/// Not-a-number comes first either way, where the first element of an order is asked for.
fn first(x: &Dense, group: &[usize], largest: bool) -> Option<usize> {
    let is_nan = |at: usize| matches!(&x.data, Data::Floats(values) if values[at].is_nan());
    let nan = group.iter().position(|&at| is_nan(at));
    nan.or_else(|| (0..group.len()).min_by(|&a, &b| compare(x, group[a], group[b], largest)))
}

fn whole(name: &str, x: &Dense, largest: bool) -> Result<Dense> {
    let all: Vec<usize> = (0..x.numel()).collect();
    match first(x, &all, largest) {
        Some(at) => Ok(x.picked(vec![at], Vec::new())),
        None => bail!(
            "{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        ),
    }
}

/// For each group over `dim` the place of its first element in order.
fn firsts(name: &str, x: &Dense, dim: i64, keepdim: bool, largest: bool) -> Result<(Groups, Vec<usize>)> {
    let groups = groups(x, &[dim], keepdim)?;
    ensure!(x.size.get(x.dim(dim)?) != Some(&0), "{name}(): Expected reduction dim {dim} to have non-zero size.");
    let places = groups.members.iter().filter_map(|group| first(x, group, largest)).collect();
    Ok((groups, places))
}

fn along(name: &str, x: &Dense, dim: i64, keepdim: bool, largest: bool) -> Result<Vec<Dense>> {
    let (groups, places) = firsts(name, x, dim, keepdim, largest)?;
    let picked = groups.members.iter().zip(&places).map(|(group, &place)| group[place]).collect();
    let indices = places.iter().map(|&place| place as i64).collect();
    Ok(vec![x.picked(picked, groups.size.clone()), Dense::ints(Dtype::I64, groups.size, indices)])
}

/// The index of the largest or smallest element along `dim`, or of all elements.
fn first_index(name: &str, x: &Dense, dim: Option<i64>, keepdim: bool, largest: bool) -> Result<Dense> {
    ensure!(x.dtype != Dtype::BOOL, "{name}(): does not support bool input");
    ensure!(dim.is_some() || x.numel() > 0, "{name}(): Expected reduction dim to be specified for input.numel() == 0.");
    let flat = x.sized(vec![x.numel() as i64]);
    let (groups, places) = match dim {
        Some(dim) => firsts(name, x, dim, keepdim, largest)?,
        None => firsts(name, &flat, 0, false, largest)?,
    };
    let size = if dim.is_none() && keepdim { vec![1; x.size.len()] } else { groups.size };
    Ok(Dense::ints(Dtype::I64, size, places.iter().map(|&place| place as i64).collect()))
}

fn sort(x: &Dense, dim: i64, descending: bool) -> Result<Vec<Dense>> {
    let count = if x.size.is_empty() { 1 } else { x.size[x.dim(dim)?] };
    ordered(x, dim, count, descending)
}

fn topk(x: &Dense, k: i64, dim: i64, largest: bool) -> Result<Vec<Dense>> {
    ensure!(x.dtype != Dtype::BOOL, "topk does not support bool dtypes on CPU");
    let at = x.dim(dim)?;
    let count = x.size.get(at).copied().unwrap_or(1);
    ensure!((0..=count).contains(&k), "selected index k out of range");
    ordered(x, dim, k, largest)
}

/// The first `count` elements along `dim` in order, and their indices; equal ones keep their order.
fn ordered(x: &Dense, dim: i64, count: i64, descending: bool) -> Result<Vec<Dense>> {
    let groups = groups(x, &[dim], true)?;
    let (mut places, mut indices) = (vec![0; x.numel()], vec![0; x.numel()]);
    for group in &groups.members {
        let mut order: Vec<usize> = (0..group.len()).collect();
        order.sort_by(|&a, &b| compare(x, group[a], group[b], descending));
        for (&to, from) in group.iter().zip(order) {
            (places[to], indices[to]) = (group[from], from as i64);
        }
    }
    let mut size = x.size.clone();
    if let Some(n) = size.get_mut(x.dim(dim)?) {
        *n = count;
    }
    let whole = [x.picked(places, x.size.clone()), Dense::ints(Dtype::I64, x.size.clone(), indices)];
    Ok(whole.map(|whole| whole.rearranged(size.clone(), |_| {})).into())
}
