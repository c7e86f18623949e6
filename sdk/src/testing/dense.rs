//! The kit's tensors: elements in plain memory, row-major. Nothing is ever written in place, so nothing is a view.

use std::borrow::Cow;

use anyhow::{Result, bail, ensure};

use crate::Dtype;

/// A tensor. Single floats are kept as doubles that are exact singles, bools as the integers 0 and 1.
#[derive(Clone, Debug)]
pub(super) struct Dense {
    pub dtype: Dtype,
    pub size: Vec<i64>,
    pub data: Data,
    /// Whether it stands for a plain number among the arguments, which yields to the element type of any tensor.
    pub number: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Data {
    Floats(Vec<f64>),
    Ints(Vec<i64>),
}

impl Dense {
    pub fn floats(dtype: Dtype, size: Vec<i64>, mut values: Vec<f64>) -> Self {
        if dtype == Dtype::F32 {
            values.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        }
        Self { dtype, size, data: Data::Floats(values), number: false }
    }

    pub fn ints(dtype: Dtype, size: Vec<i64>, mut values: Vec<i64>) -> Self {
        if dtype == Dtype::BOOL {
            values.iter_mut().for_each(|x| *x = i64::from(*x != 0));
        }
        Self { dtype, size, data: Data::Ints(values), number: false }
    }

    /// `size` times the one element of `value`, converted.
    pub fn filled(dtype: Dtype, size: Vec<i64>, value: &Self) -> Self {
        let count = size.iter().product::<i64>() as usize;
        value.to(dtype).picked(vec![0; count], size)
    }

    pub fn numel(&self) -> usize {
        self.size.iter().product::<i64>() as usize
    }

    /// The same elements under another size of as many.
    pub fn sized(&self, size: Vec<i64>) -> Self {
        Self { size, ..self.clone() }
    }

    pub fn as_floats(&self) -> Cow<'_, [f64]> {
        match &self.data {
            Data::Floats(values) => Cow::Borrowed(values),
            Data::Ints(values) => values.iter().map(|&x| x as f64).collect(),
        }
    }

    pub fn as_ints(&self) -> Cow<'_, [i64]> {
        match &self.data {
            Data::Floats(values) => values.iter().map(|&x| x as i64).collect(),
            Data::Ints(values) => Cow::Borrowed(values),
        }
    }

    /// Converts elements: floats to integers towards zero, anything but 0 to true.
    pub fn to(&self, dtype: Dtype) -> Self {
        match (dtype, &self.data) {
            (Dtype::BOOL, Data::Floats(values)) => {
                Self::ints(dtype, self.size.clone(), values.iter().map(|&x| i64::from(x != 0.0)).collect())
            }
            _ if is_float(dtype) => Self::floats(dtype, self.size.clone(), self.as_floats().into_owned()),
            _ => Self::ints(dtype, self.size.clone(), self.as_ints().into_owned()),
        }
    }

    /// A tensor of `size` whose element at an index is this one's at `from` of it.
    pub fn rearranged(&self, size: Vec<i64>, from: impl Fn(&mut Vec<i64>)) -> Self {
        let places = indices(&size).map(|mut index| {
            from(&mut index);
            offset(&self.size, &index)
        });
        self.picked(places.collect(), size)
    }

    /// The elements at `places`, as a tensor of `size`.
    pub fn picked(&self, places: Vec<usize>, size: Vec<i64>) -> Self {
        let data = match &self.data {
            Data::Floats(values) => Data::Floats(places.into_iter().map(|at| values[at]).collect()),
            Data::Ints(values) => Data::Ints(places.into_iter().map(|at| values[at]).collect()),
        };
        Self { dtype: self.dtype, size, data, number: false }
    }

    /// Broadcast to `size`, which [`broadcast`] has found.
    pub fn expanded(&self, size: &[i64]) -> Self {
        self.rearranged(size.to_vec(), |index| {
            index.drain(..size.len() - self.size.len());
            index.iter_mut().zip(&self.size).for_each(|(i, n)| *i = (*i).min(n - 1));
        })
    }

    /// The dimension as a place among the sizes; negative ones count from the end.
    pub fn dim(&self, dim: i64) -> Result<usize> {
        wrap(dim, self.size.len().max(1) as i64)
    }
}

/// `dim` counted from the start, of `count` dimensions.
pub(super) fn wrap(dim: i64, count: i64) -> Result<usize> {
    let range = -count..count;
    let last = count - 1;
    ensure!(
        range.contains(&dim),
        "Dimension out of range (expected to be in range of [{}, {last}], but got {dim})",
        -count
    );
    Ok(dim.rem_euclid(count) as usize)
}

/// All indices of a tensor of `size`, in row-major order.
pub(super) fn indices(size: &[i64]) -> impl Iterator<Item = Vec<i64>> {
    (0..size.iter().product::<i64>()).map(move |mut rest| {
        let mut index = vec![0; size.len()];
        for (i, n) in index.iter_mut().zip(size).rev() {
            (*i, rest) = (rest % n, rest / n);
        }
        index
    })
}

/// Where the element at `index` lies in memory.
pub(super) fn offset(size: &[i64], index: &[i64]) -> usize {
    size.iter().zip(index).fold(0, |place, (n, i)| place * n + i) as usize
}

/// The size that both broadcast to.
pub(super) fn broadcast(a: &[i64], b: &[i64]) -> Result<Vec<i64>> {
    let dims = a.len().max(b.len());
    let at = |size: &[i64], dim: usize| (dim + size.len()).checked_sub(dims).map_or(1, |i| size[i]);
    let common = |dim| match (at(a, dim), at(b, dim)) {
        (x, y) if x == y || y == 1 => Ok(x),
        (1, y) => Ok(y),
        (x, y) => {
            bail!("The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton dimension {dim}")
        }
    };
    (0..dims).rev().map(common).collect::<Result<Vec<_>>>().map(|mut size| {
        size.reverse();
        size
    })
}

pub(super) fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64)
}

/// libtorch's name of an element type.
pub(super) fn type_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::BOOL => "Bool",
        Dtype::I64 => "Long",
        Dtype::F32 => "Float",
        Dtype::F64 => "Double",
        _ => "(unknown)",
    }
}

/// The element type in which an operator works: tensors with dimensions decide, a tensor without any or a plain
/// number counts only where its kind (bool, integer, float) is higher. As c10's `result_type`.
pub(super) fn common_type(operands: &[&Dense]) -> Dtype {
    let rank =
        |dtype: &Dtype| [Dtype::BOOL, Dtype::I64, Dtype::F32, Dtype::F64].iter().position(|known| known == dtype);
    let kind = |dtype: Dtype| if is_float(dtype) { 2 } else { i32::from(dtype != Dtype::BOOL) };
    let plain = |x: &Dense| if x.number && is_float(x.dtype) { Dtype::F32 } else { x.dtype };
    let highest = |group: fn(&Dense) -> bool| operands.iter().filter(|x| group(x)).map(|x| plain(x)).max_by_key(rank);
    let groups = [
        highest(|x| !x.size.is_empty()),
        highest(|x| x.size.is_empty() && !x.number),
        highest(|x| x.size.is_empty() && x.number),
    ];
    let combine = |higher, lower| if kind(lower) > kind(higher) { lower } else { higher };
    groups.into_iter().flatten().reduce(combine).unwrap_or(Dtype::F32)
}
