//! What both refuse in the same words.

use trainer_sdk::{
    Arg::{self, Bool, Float, Int, Ints, Tensors},
    Dtype, Tensor, testing,
};

use super::numbers;

#[test]
fn refusals_read_as_libtorchs() {
    let [x, wide, long, mask, scalar, empty] = [
        numbers("x", &[2, 3], Dtype::F32),
        numbers("x", &[4], Dtype::F64),
        numbers("x", &[4], Dtype::I64),
        numbers("x", &[2, 3], Dtype::BOOL),
        numbers("x", &[], Dtype::F32),
        numbers("x", &[0], Dtype::F32),
    ];
    let [far, row, none] =
        [(&[3, 0][..], &[2, 1][..]), (&[0; 4], &[1, 4]), (&[], &[0])].map(|(i, size)| testing::ints(i, size));
    let [x, wide, long, mask, scalar, empty] = [&x, &wide, &long, &mask, &scalar, &empty].map(Arg::Tensor);
    let [far, row, none] = [&far, &row, &none].map(Arg::Tensor);
    let refusals: &[(&str, &[Arg])] = &[
        ("add.Tensor", &[x, long]),
        ("add.Tensor", &[long, long, Float(0.5)]),
        ("add.Tensor", &[x, x, Bool(true)]),
        ("sub.Tensor", &[mask, mask]),
        ("sub.Tensor", &[x, mask]),
        ("pow.Tensor_Scalar", &[long, Int(-1)]),
        ("neg", &[mask]),
        ("abs", &[mask]),
        ("clamp", &[x]),
        ("clamp", &[mask, Bool(true)]),
        ("clamp", &[mask, Bool(true), Bool(true)]),
        ("clamp", &[mask, Arg::None, Bool(true)]),
        ("sum.dim_IntList", &[x, Ints(&[2])]),
        ("sum.dim_IntList", &[x, Ints(&[0, -2])]),
        ("mean", &[long]),
        ("mean", &[x, Arg::Dtype(Dtype::I64)]),
        ("amax", &[empty]),
        ("amax", &[empty, Ints(&[0])]),
        ("amin", &[empty, Ints(&[-1])]),
        ("softmax.int", &[long, Int(0)]),
        ("log_softmax.int", &[long, Int(0)]),
        ("softmax.int", &[mask, Int(0)]),
        ("reshape", &[x, Ints(&[4, -1])]),
        ("reshape", &[x, Ints(&[-1, -1])]),
        ("reshape", &[x, Ints(&[2, -2])]),
        ("reshape", &[empty, Ints(&[0, -1])]),
        ("permute", &[x, Ints(&[0])]),
        ("permute", &[x, Ints(&[0, 0])]),
        ("narrow", &[x, Int(1), Int(2), Int(2)]),
        ("narrow", &[x, Int(1), Int(4), Int(0)]),
        ("narrow", &[x, Int(1), Int(0), Int(-1)]),
        ("narrow", &[scalar, Int(0), Int(0), Int(0)]),
        ("unsqueeze", &[x, Int(4)]),
        ("gather", &[x, Int(1), far]),
        ("gather", &[x, Int(1), long]),
        ("gather", &[x, Int(1), x]),
        ("gather", &[x, Int(0), row]),
        ("index_select", &[x, Int(0), x]),
        ("index_select", &[x, Int(0), far]),
        ("index_select", &[scalar, Int(0), none]),
        ("masked_fill.Scalar", &[x, x, Int(0)]),
        ("masked_fill.Scalar", &[x, long, Int(0)]),
        ("masked_fill.Scalar", &[long, long, Int(0)]),
        ("masked_fill.Scalar", &[wide, wide, Int(0)]),
        ("masked_select", &[x, x]),
    ];
    for (operator, arguments) in refusals {
        let operator = format!("aten::{operator}");
        let kit = testing::call(&operator, arguments).unwrap_err();
        assert_eq!(format!("{kit:#}"), format!("{:#}", Tensor::call(&operator, arguments).unwrap_err()));
    }
}
