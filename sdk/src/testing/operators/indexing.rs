//! Operators that pick elements by an index, or put them there.

use anyhow::{Result, bail, ensure};

use super::{Operator, elementwise, one};
use crate::{
    Dtype,
    testing::dense::{Data, Dense, indices, offset, type_name},
};

const SOURCE: &[&str] = &["self", "dim", "index", "src"];

pub(super) const OPERATORS: &[Operator] = &[
    one("aten::gather", &["self", "dim", "index", "sparse_grad?"], |a| gather(a.tensor(0)?, a.int(1)?, a.tensor(2)?)),
    one("aten::scatter.src", SOURCE, |a| scatter("scatter", a.tensor(0)?, a.int(1)?, a.tensor(2)?, a.tensor(3)?)),
    one("aten::scatter.value", &["self", "dim", "index", "value"], |a| {
        let (x, index) = (a.tensor(0)?, a.tensor(2)?);
        scatter("scatter", x, a.int(1)?, index, &Dense::filled(x.dtype, index.size.clone(), &a.number(3)?))
    }),
    one("aten::scatter_add", SOURCE, |a| scatter("scatter_add", a.tensor(0)?, a.int(1)?, a.tensor(2)?, a.tensor(3)?)),
    one("aten::index_select", &["self", "dim", "index"], |a| index_select(a.tensor(0)?, a.int(1)?, a.tensor(2)?)),
    one("aten::index_add", &["self", "dim", "index", "source", "alpha?"], |a| {
        let source = match a.optional_number(4)? {
            Some(alpha) => elementwise::mul(a.tensor(3)?, &alpha)?.to(a.tensor(3)?.dtype),
            None => a.tensor(3)?.clone(),
        };
        index_add(a.tensor(0)?, a.int(1)?, a.tensor(2)?, &source)
    }),
    one("aten::index_fill.int_Scalar", &["self", "dim", "index", "value"], |a| {
        index_fill(a.tensor(0)?, a.int(1)?, a.tensor(2)?, &a.number(3)?)
    }),
    one("aten::one_hot", &["self", "num_classes?"], |a| one_hot(a.tensor(0)?, a.int_or(1, -1)?)),
];

/// The elements of dimension `dim` at `index`, a tensor of as many dimensions.
fn gather(x: &Dense, dim: i64, index: &Dense) -> Result<Dense> {
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
fn index_select(x: &Dense, dim: i64, index: &Dense) -> Result<Dense> {
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

/// `x` with the elements of `src` put, or added, at the places that `pairs` lists.
fn placed(x: &Dense, src: &Dense, pairs: &[(usize, usize)], add: bool) -> Dense {
    fn put<T: Copy>(mut values: Vec<T>, src: &[T], pairs: &[(usize, usize)], f: impl Fn(T, T) -> T) -> Vec<T> {
        pairs.iter().for_each(|&(to, from)| values[to] = f(values[to], src[from]));
        values
    }
    let size = x.size.clone();
    match &x.data {
        Data::Floats(values) => {
            let f = |old: f64, new: f64| if add { old + new } else { new };
            Dense::floats(x.dtype, size, put(values.clone(), &src.as_floats(), pairs, f))
        }
        Data::Ints(values) => {
            let f = |old: i64, new: i64| if add { old.wrapping_add(new) } else { new };
            Dense::ints(x.dtype, size, put(values.clone(), &src.as_ints(), pairs, f))
        }
    }
}

/// `x` with the elements of `src` put, or added, at `index` along `dim`.
fn scatter(name: &str, x: &Dense, dim: i64, index: &Dense, src: &Dense) -> Result<Dense> {
    let dim = x.dim(dim)?;
    ensure!(index.dtype == Dtype::I64 || index.numel() == 0, "scatter(): Expected dtype int32/int64 for index");
    ensure!(x.dtype == src.dtype, "{name}(): Expected self.dtype to be equal to src.dtype");
    if index.numel() == 0 {
        return Ok(x.clone());
    }
    let [target, chosen, source] = [x, index, src].map(with_dims);
    let dims = target.size.len();
    ensure!(
        chosen.size.len() == dims && source.size.len() == dims,
        "Index tensor must have the same number of dimensions as {} tensor",
        if chosen.size.len() == dims { "src" } else { "self" }
    );
    let too_large = |(d, n): (usize, &i64)| d != dim && *n > target.size[d] || *n > source.size[d];
    ensure!(
        !chosen.size.iter().enumerate().any(too_large),
        "Expected index {:?} to be no larger than self {:?} apart from dimension {dim} and to be no larger size than src {:?}",
        index.size,
        x.size,
        src.size
    );
    let (wanted, count) = (chosen.as_ints(), target.size[dim]);
    if let Some(bad) = wanted.iter().find(|i| !(0..count).contains(i)) {
        bail!("index {bad} is out of bounds for dimension {dim} with size {count}");
    }
    let pairs: Vec<_> = indices(&chosen.size)
        .zip(&*wanted)
        .map(|(mut at, &to)| {
            let from = offset(&source.size, &at);
            at[dim] = to;
            (offset(&target.size, &at), from)
        })
        .collect();
    Ok(placed(x, &source, &pairs, name == "scatter_add"))
}

/// `x` with the slices of `source` added at `index`, a vector.
fn index_add(x: &Dense, dim: i64, index: &Dense, source: &Dense) -> Result<Dense> {
    let dim = x.dim(dim)?;
    ensure!(
        index.size.len() <= 1,
        "index_add_(): Index is supposed to be a vector, but got dim: {} with type: {} and size: {:?}",
        index.size.len(),
        type_name(index.dtype),
        index.size
    );
    ensure!(
        index.dtype == Dtype::I64,
        "index_add_(): Expected dtype int32/int64 for index but got: {}",
        type_name(index.dtype)
    );
    ensure!(
        x.dtype == source.dtype,
        "index_add_(): self ({}) and source ({}) must have the same scalar type",
        type_name(x.dtype),
        type_name(source.dtype)
    );
    let source_dims = source.size.len();
    let [target, source] = [x, source].map(with_dims);
    let wanted = index.as_ints();
    let (mut own, mut other) = (target.size.clone(), source.size.clone());
    ensure!(
        own.len() == other.len() && other[dim] == wanted.len() as i64,
        "index_add_(): Number of indices ({}) should be equal to source.size(dim): ({}), for dim: {dim}",
        wanted.len(),
        other.get(dim).unwrap_or(&0)
    );
    (own[dim], other[dim]) = (0, 0);
    ensure!(
        own == other && x.size.len() == source_dims,
        "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {:?} source.shape = {:?}",
        target.size,
        source.size
    );
    ensure!(wanted.iter().all(|i| (0..target.size[dim]).contains(i)), "index out of range in self");
    let pair = |mut at: Vec<i64>| {
        let from = offset(&source.size, &at);
        at[dim] = wanted[at[dim] as usize];
        (offset(&target.size, &at), from)
    };
    let pairs: Vec<_> = indices(&source.size).map(pair).collect();
    Ok(placed(x, &source, &pairs, true))
}

/// `x` with `value` in the slices at `index`, a vector; negative indices count from the end.
fn index_fill(x: &Dense, dim: i64, index: &Dense, value: &Dense) -> Result<Dense> {
    let dim = x.dim(dim)?;
    ensure!(index.dtype == Dtype::I64, "index_fill_(): Expected dtype int64 for index.");
    ensure!(index.size.len() <= 1, "Index has to be a vector/scalar");
    let target = with_dims(x);
    let count = target.size[dim];
    let wanted = index.as_ints();
    if let Some(bad) = wanted.iter().find(|i| !(-count..count).contains(i)) {
        bail!("index {bad} is out of bounds for dimension {dim} with size {count}");
    }
    let is_wanted = |at: i64| wanted.iter().any(|i| i.rem_euclid(count) == at);
    let places: Vec<_> =
        indices(&target.size).enumerate().filter(|(_, at)| is_wanted(at[dim])).map(|(to, _)| (to, 0)).collect();
    Ok(placed(x, &value.to(x.dtype), &places, false))
}

/// A further dimension of `count` (-1: as many as there are) that is 1 at the class, else 0.
fn one_hot(x: &Dense, count: i64) -> Result<Dense> {
    ensure!(x.dtype == Dtype::I64, "one_hot is only applicable to index tensor of type LongTensor.");
    let classes = x.as_ints();
    ensure!(!classes.is_empty() || count > 0, "Can not infer total number of classes from empty tensor.");
    ensure!(classes.iter().all(|class| *class >= 0), "Class values must be non-negative.");
    let count = match count {
        -1 => classes.iter().max().map_or(0, |class| class + 1),
        _ => count,
    };
    ensure!(classes.iter().all(|class| *class < count), "Class values must be smaller than num_classes.");
    let hot = classes.iter().flat_map(|&class| (0..count).map(move |at| i64::from(at == class))).collect();
    Ok(Dense::ints(Dtype::I64, [&x.size[..], &[count]].concat(), hot))
}
