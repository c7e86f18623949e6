//! Operators over dimensions: sums, statistics, order, products.

use trainer_sdk::{
    Arg::{self, Bool, Float, Int, Ints},
    Dtype, testing,
};

use super::{Compared, TYPES, numbers};

pub(super) fn compare(compared: &mut Compared) {
    for dtype in TYPES {
        for size in [&[2, 3, 4][..], &[5], &[], &[2, 0, 4]] {
            let x = numbers("x", size, dtype);
            let x = Arg::Tensor(&x);
            compared.each(&["sum", "mean", "prod", "amax", "amin", "max", "min", "argmax", "argmin"], &[x]);
            let has_spread = size.iter().product::<i64>() > 1; // libtorch warns where there is none
            if has_spread {
                compared.each(&["var", "std"], &[x]);
                compared.each(&["var", "std"], &[x, Bool(false)]);
            }
            compared.each(&["sum", "mean", "prod"], &[x, Arg::Dtype(Dtype::F64)]);
            for p in [Int(2), Int(1), Int(0), Float(3.0), Float(f64::INFINITY), Float(f64::NEG_INFINITY)] {
                compared.each(&["norm.Scalar"], &[x, p]);
                compared.each(&["norm.ScalarOpt_dim"], &[x, p, Ints(&[0])]);
                compared.each(&["norm.ScalarOpt_dim"], &[x, p, Ints(&[-1, 0]), Bool(true)]);
            }
            for dims in [&[][..], &[0], &[-1], &[1], &[0, -1], &[0, 1, 2], &[1, 1], &[3]] {
                for keep in [false, true] {
                    let reduce = ["sum.dim_IntList", "mean.dim", "amax", "amin", "logsumexp"];
                    compared.each(&reduce, &[x, Ints(dims), Bool(keep)]);
                    for correction in [Int(1), Float(0.5)].into_iter().filter(|_| has_spread) {
                        compared.each(&["var.correction", "std.correction"], &[x, Ints(dims), correction, Bool(keep)]);
                    }
                }
                let as_double = [x, Ints(dims), Bool(false), Arg::Dtype(Dtype::F64)];
                compared.each(&["sum.dim_IntList", "mean.dim"], &as_double);
            }
            for dim in [0, -1, 1, 3] {
                let along = ["any.dim", "all.dim", "prod.dim_int", "argmax", "argmin", "max.dim", "min.dim"];
                compared.each(&along, &[x, Int(dim)]);
                compared.each(&along, &[x, Int(dim), Bool(true)]);
                compared.each(&["sort", "argsort"], &[x, Int(dim), Bool(false)]);
                compared.each(&["sort", "argsort"], &[x, Int(dim), Bool(true)]);
                for (k, largest) in [(0, true), (1, true), (2, false), (9, true), (-1, true)] {
                    topk(compared, x, k, dim, largest);
                }
                compared.each(&["softmax.int", "log_softmax.int", "cumsum"], &[x, Int(dim)]);
                compared.each(&["softmax.int", "log_softmax.int", "cumsum"], &[x, Int(dim), Arg::Dtype(Dtype::F32)]);
            }
        }
    }
}

/// Of distinct elements where there are more than one: which of equal ones are chosen is libtorch's own affair.
fn topk(compared: &mut Compared, x: Arg, k: i64, dim: i64, largest: bool) {
    let Arg::Tensor(tensor) = x else { return };
    let count = tensor.numel() as i64;
    let distinct = testing::tensor(&(0..count).map(|i| (i * 7 % 25) as f64 - 5.0).collect::<Vec<_>>(), &tensor.size());
    let distinct = distinct.to_dtype(tensor.dtype()).unwrap();
    if tensor.dtype() != Dtype::BOOL || k != 1 && k != 2 {
        compared.each(&["topk"], &[Arg::Tensor(&distinct), Int(k), Int(dim), Bool(largest)]);
    }
}

pub(super) fn products(compared: &mut Compared) {
    let sizes: [&[i64]; 9] =
        [&[], &[3], &[2, 3], &[3, 2], &[4, 2, 3], &[4, 3, 2], &[1, 3, 2], &[5, 1, 2, 3], &[4, 3, 0]];
    for (dtype, other) in TYPES.into_iter().flat_map(|dtype| [(dtype, dtype), (dtype, Dtype::F32)]) {
        for size in sizes {
            for other_size in sizes {
                let (x, y) = (numbers("x", size, dtype), numbers("y", other_size, other));
                // Of no elements libtorch forgets to compare the types.
                if dtype == other || x.numel() * y.numel() > 0 {
                    compared.each(&["matmul", "bmm"], &[Arg::Tensor(&x), Arg::Tensor(&y)]);
                }
            }
        }
        let [x, y, z] = [("x", dtype), ("y", other), ("z", other)].map(|(name, dtype)| numbers(name, &[3, 3], dtype));
        for (equation, count) in [
            ("ij,jk->ik", 2),
            ("ij, ij -> i", 2),
            ("ij,ij", 2),
            ("ij,kj", 2),
            ("ij,jk,kl->il", 3),
            ("ii->i", 1),
            ("ij->ji", 1),
            ("ij->", 1),
            ("ij", 2),
            ("i,jk", 2),
            ("ij,jk->im", 2),
            ("ij->ii", 1),
        ] {
            if dtype == Dtype::BOOL {
                continue; // the kit has none of bools
            }
            compared.each(&["einsum"], &[Arg::Text(equation), Arg::Tensors(&[&x, &y, &z][..count])]);
        }
    }
}
