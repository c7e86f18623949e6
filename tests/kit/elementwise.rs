//! Operators that treat each element by itself, and comparisons.

use trainer_sdk::{
    Arg::{self, Bool, Float, Int, Ints},
    testing,
};

use super::{Compared, TYPES, numbers};

const BINARY: [&str; 19] = [
    "add.Tensor",
    "sub.Tensor",
    "rsub.Tensor",
    "mul.Tensor",
    "div.Tensor",
    "maximum",
    "minimum",
    "atan2",
    "xlogy.Tensor",
    "eq.Tensor",
    "ne.Tensor",
    "lt.Tensor",
    "le.Tensor",
    "gt.Tensor",
    "ge.Tensor",
    "logical_and",
    "logical_or",
    "logical_xor",
    "clamp.Tensor",
];
const SCALAR: [&str; 16] = [
    "add.Scalar",
    "sub.Scalar",
    "rsub.Scalar",
    "mul.Scalar",
    "div.Scalar",
    "remainder.Scalar",
    "pow.Tensor_Scalar",
    "clamp_min",
    "clamp_max",
    "leaky_relu",
    "eq.Scalar",
    "ne.Scalar",
    "lt.Scalar",
    "le.Scalar",
    "gt.Scalar",
    "ge.Scalar",
];
const UNARY: [&str; 41] = [
    "neg",
    "abs",
    "sign",
    "square",
    "floor",
    "ceil",
    "round",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "tanh",
    "erf",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "relu",
    "leaky_relu",
    "silu",
    "gelu",
    "nan_to_num",
    "logical_not",
    "isnan",
    "isinf",
    "isfinite",
    "any",
    "all",
    "nonzero",
    "detach",
    "zeros_like",
    "ones_like",
];

pub(super) fn compare(compared: &mut Compared) {
    let sizes: [&[i64]; 5] = [&[2, 3, 4], &[3, 1], &[4], &[], &[0, 3, 4]];
    for dtype in TYPES {
        for size in sizes {
            let x = numbers("x", size, dtype);
            let x = Arg::Tensor(&x);
            compared.each(&UNARY, &[x]);
            for other in TYPES {
                for other_size in sizes {
                    let y = numbers("y", other_size, other);
                    compared.each(&BINARY, &[x, Arg::Tensor(&y)]);
                    compared.each(&["clamp.Tensor"], &[x, Arg::None, Arg::Tensor(&y)]);
                    compared.each(&["clamp.Tensor"], &[x, Arg::Tensor(&y), x]);
                    compared.each(&["lerp.Scalar"], &[x, Arg::Tensor(&y), Float(0.3)]);
                    compared.each(&["pow.Tensor_Tensor"], &[x, Arg::Tensor(&y)]);
                }
                compared.each(&["to.dtype", "zeros_like", "ones_like", "sum", "mean"], &[x, Arg::Dtype(other)]);
            }
            for number in [Int(2), Int(0), Int(-1), Float(0.1), Float(-2.0), Float(f64::INFINITY), Bool(true)] {
                compared.each(&SCALAR, &[x, number]);
                compared.each(&["clamp"], &[x, number, Float(1.5)]);
                compared.each(&["clamp"], &[x, number, Int(1)]);
                compared.each(&["clamp"], &[x, number]);
                compared.each(&["clamp"], &[x, Arg::None, number]);
                compared.each(&["add.Tensor", "sub.Tensor"], &[x, x, number]);
            }
            compared.each(&["clamp", "clamp.Tensor"], &[x, Arg::None, Arg::None]);
            compared.each(&["softplus"], &[x, Float(2.0), Int(3)]);
            compared.each(&["nan_to_num"], &[x, Float(0.5), Float(2.0), Float(-2.0)]);
        }
    }
    let odd = testing::tensor(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0], &[5]);
    let (one, odd) = (testing::tensor(&[1.0], &[1]), Arg::Tensor(&odd));
    compared.each(&BINARY, &[odd, Arg::Tensor(&one)]);
    compared.each(&BINARY, &[odd, odd]);
    compared.each(&UNARY, &[odd]);
    compared.each(&["clamp"], &[odd, Float(-1.0), Float(1.0)]);
    compared.each(&["nan_to_num"], &[odd, Arg::None, Float(2.0)]);
    compared.each(&SCALAR, &[odd, Float(0.5)]);
    compared.each(&["amax", "amin", "mean", "max", "min", "argmax", "argmin", "std", "prod", "norm.Scalar"], &[odd]);
    let along = ["softmax.int", "log_softmax.int", "max.dim", "min.dim", "sort", "argsort", "cumsum"];
    compared.each(&along, &[odd, Int(0)]);
    compared.each(&["logsumexp"], &[odd, Ints(&[0])]);
}
