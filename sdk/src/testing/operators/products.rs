//! Products of matrices, and sums of products by an equation.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Operator, binary, elementwise::c_name, one};
use crate::{
    Dtype,
    testing::dense::{Dense, broadcast, indices, is_float, offset, type_name},
};

pub(super) const OPERATORS: &[Operator] = &[
    binary("aten::matmul", &["self", "other"], matmul),
    binary("aten::bmm", &["self", "mat2"], bmm),
    one("aten::einsum", &["equation", "tensors", "path?"], |a| einsum(a.text(0)?, &a.tensors(1)?)),
];

fn matmul(a: &Dense, b: &Dense) -> Result<Dense> {
    let (a_dims, b_dims) = (a.size.len(), b.size.len());
    ensure!(
        a_dims > 0 && b_dims > 0,
        "both arguments to matmul need to be at least 1D, but they are {a_dims}D and {b_dims}D"
    );
    same_type(a, b)?;
    let mut left = a.size.clone();
    let mut right = b.size.clone();
    if a_dims == 1 {
        left.insert(0, 1);
    }
    if b_dims == 1 {
        right.push(1);
    }
    let (left_batch, left_matrix) = left.split_at(left.len() - 2);
    let (right_batch, right_matrix) = right.split_at(right.len() - 2);
    let ([n, m], [same, p]) = ([left_matrix[0], left_matrix[1]], [right_matrix[0], right_matrix[1]]);
    ensure!(m == same, "mat1 and mat2 shapes cannot be multiplied ({n}x{m} and {same}x{p})");
    let batch = broadcast(left_batch, right_batch)?;
    let spread = |x: &Dense, own: &[i64], [rows, columns]: [i64; 2]| {
        x.sized(own.to_vec()).expanded(&[&batch[..], &[rows, columns]].concat())
    };
    let product = batched(&spread(a, &left, [n, m]), &spread(b, &right, [m, p]));
    let mut size = batch;
    size.extend((a_dims > 1).then_some(n));
    size.extend((b_dims > 1).then_some(p));
    Ok(product.sized(size))
}

fn bmm(a: &Dense, b: &Dense) -> Result<Dense> {
    for (name, x) in [("batch1", a), ("batch2", b)] {
        ensure!(x.size.len() == 3, "{name} must be a 3D tensor");
    }
    let wanted = [a.size[0], a.size[2]];
    ensure!(
        b.size[..2] == wanted,
        "Expected size for first two dimensions of batch2 tensor to be: {wanted:?} but got: {:?}.",
        &b.size[..2]
    );
    same_type(a, b)?;
    Ok(batched(a, b))
}

fn same_type(a: &Dense, b: &Dense) -> Result<()> {
    let (first, second) = (c_name(a.dtype), c_name(b.dtype));
    ensure!(a.dtype == b.dtype, "expected m1 and m2 to have the same dtype, but got: {first} != {second}");
    let empty = a.numel() * b.numel() == 0;
    ensure!(a.dtype != Dtype::BOOL || empty, "\"addmm_impl_cpu_\" not implemented for '{}'", type_name(a.dtype));
    Ok(())
}

/// Products of the matrices `[..., n, m]` and `[..., m, p]`.
fn batched(a: &Dense, b: &Dense) -> Dense {
    let dims = a.size.len();
    let mut size = a.size.clone();
    let common = std::mem::replace(&mut size[dims - 1], b.size[dims - 1]);
    let places = |index: &[i64], k: i64| {
        let (mut left, mut right) = (index.to_vec(), index.to_vec());
        (left[dims - 1], right[dims - 2]) = (k, k);
        (offset(&a.size, &left), offset(&b.size, &right))
    };
    let pairs = |index: &Vec<i64>| (0..common).map(|k| places(index, k)).collect::<Vec<_>>();
    if is_float(a.dtype) {
        let (left, right) = (a.as_floats(), b.as_floats());
        let sum = |index| pairs(&index).iter().map(|&(i, j)| left[i] * right[j]).sum();
        Dense::floats(a.dtype, size.clone(), indices(&size).map(sum).collect())
    } else {
        let (left, right) = (a.as_ints(), b.as_ints());
        let add = |total: i64, &(i, j): &(usize, usize)| total.wrapping_add(left[i].wrapping_mul(right[j]));
        Dense::ints(a.dtype, size.clone(), indices(&size).map(|index| pairs(&index).iter().fold(0, add)).collect())
    }
}

/// Sums of products over the letters that `equation` does not keep, e.g. `bij,bjk->bik`. Not here: `...`, bools, and
/// integers beyond 2^53.
fn einsum(equation: &str, tensors: &[&Dense]) -> Result<Dense> {
    let equation: String = equation.split_whitespace().collect();
    ensure!(!equation.contains('.'), "the testing kit has no einsum with ellipses");
    let (left, right) = equation.split_once("->").map_or((&*equation, None), |(left, right)| (left, Some(right)));
    let inputs: Vec<&str> = left.split(',').collect();
    ensure!(
        inputs.len() == tensors.len(),
        "einsum(): more operands were provided than specified in the equation, or fewer"
    );
    let mut sizes = BTreeMap::new();
    for (place, (letters, tensor)) in inputs.iter().zip(tensors).enumerate() {
        let dims = tensor.size.len();
        ensure!(
            letters.chars().count() == dims && letters.chars().all(char::is_alphabetic),
            "einsum(): the number of subscripts in the equation ({}) does not match the number of dimensions ({dims}) for operand {place} and no ellipsis was given",
            letters.chars().count()
        );
        for (letter, &n) in letters.chars().zip(&tensor.size) {
            let known = sizes.entry(letter).or_insert(n);
            ensure!(
                n == *known || n == 1 || *known == 1,
                "einsum(): subscript {letter} has size {n} for operand {place} which does not broadcast with previously seen size {known}"
            );
            *known = if *known == 1 { n } else { *known };
        }
    }
    let once = |letter: &char| left.chars().filter(|it| it == letter).count() == 1;
    let kept: Vec<char> = match right {
        Some(right) => right.chars().collect(),
        None => sizes.keys().copied().filter(once).collect(),
    };
    let size_of = |letter: &char| sizes.get(letter).copied();
    let size = kept.iter().map(size_of).collect::<Option<Vec<i64>>>();
    let size = size.context("einsum(): an output subscript does not appear in the equation for any input operand")?;
    if kept.iter().enumerate().any(|(i, letter)| kept[..i].contains(letter)) {
        bail!("einsum(): an output subscript appears more than once in the output");
    }
    let summed: Vec<char> = sizes.keys().copied().filter(|letter| !kept.contains(letter)).collect();
    let summed_size: Vec<i64> = summed.iter().filter_map(size_of).collect();
    let Some(dtype) = tensors.first().map(|tensor| tensor.dtype) else {
        bail!("einsum(): must provide at least one operand")
    };
    ensure!(dtype != Dtype::BOOL, "the testing kit has no einsum of bools");
    for tensor in tensors {
        same_type(tensors[0], tensor)?;
    }
    let sum = |index: Vec<i64>| {
        let product = |rest: Vec<i64>| {
            let at: BTreeMap<char, i64> =
                kept.iter().copied().zip(index.iter().copied()).chain(summed.iter().copied().zip(rest)).collect();
            let element = |(letters, tensor): (&&str, &&Dense)| {
                let place: Vec<i64> =
                    letters.chars().zip(&tensor.size).map(|(letter, &n)| at[&letter].min(n - 1)).collect();
                tensor.as_floats()[offset(&tensor.size, &place)]
            };
            inputs.iter().zip(tensors).map(element).product::<f64>()
        };
        indices(&summed_size).map(product).sum()
    };
    Ok(Dense::floats(Dtype::F64, size.clone(), indices(&size).map(sum).collect()).to(dtype))
}
