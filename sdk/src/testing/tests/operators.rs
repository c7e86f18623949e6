//! Known answers of each operator. (The trainer's own tests compare each one with libtorch.)

use crate::testing::{assert_close, bools, ints, tensor};
use crate::{Arg, Dtype, Result, Tensor};

fn check(got: Result<Tensor>, size: &[i64], wanted: &[f64]) {
    let got = got.unwrap();
    assert_eq!(got.size(), size);
    assert_close(&got.to_vec().unwrap(), wanted, 1e-12);
}

#[track_caller]
fn refused(got: Result<Tensor>, part: &str) {
    let message = format!("{:#}", got.unwrap_err());
    assert!(message.contains(part), "{message}");
}

fn one(operator: &str, arguments: &[Arg]) -> Result<Tensor> {
    Ok(Tensor::call(operator, arguments)?.remove(0))
}

#[test]
fn elements_are_kept_in_their_type() {
    let single = tensor(&[0.1, 2.0], &[2]).to_dtype(Dtype::F32).unwrap();
    assert_eq!((single.dtype(), single.to_vec().unwrap()), (Dtype::F32, vec![f64::from(0.1f32), 2.0]));
    assert_eq!(Tensor::from_f32(&[0.1], &[]).unwrap().to_vec().unwrap(), [f64::from(0.1f32)]);
    let large = ints(&[i64::MAX, -3], &[2]);
    assert_eq!(large.eq(&large.abs().unwrap()).unwrap().to_vec().unwrap(), [1.0, 0.0]);
    check(tensor(&[-1.7, 0.0, 2.9], &[3]).to_dtype(Dtype::I64), &[3], &[-1.0, 0.0, 2.0]);
    check(tensor(&[-0.5, 0.0], &[2]).to_dtype(Dtype::BOOL), &[2], &[1.0, 0.0]);
    let kept = single.clone();
    drop(single);
    assert_eq!(format!("{kept:?}"), "Tensor[2] Dtype(6)");
    assert!(!kept.requires_grad());
}

#[test]
fn arithmetic_broadcasts() {
    let (column, row) = (tensor(&[1.0, 2.0], &[2, 1]), tensor(&[10.0, 20.0, 30.0], &[3]));
    check(column.add(&row), &[2, 3], &[11.0, 21.0, 31.0, 12.0, 22.0, 32.0]);
    check(column.sub(&row), &[2, 3], &[-9.0, -19.0, -29.0, -8.0, -18.0, -28.0]);
    check(column.mul(&row), &[2, 3], &[10.0, 20.0, 30.0, 20.0, 40.0, 60.0]);
    check(row.div(&column), &[2, 3], &[10.0, 20.0, 30.0, 5.0, 10.0, 15.0]);
    check(column.maximum(&tensor(&[1.5], &[])), &[2, 1], &[1.5, 2.0]);
    check(column.minimum(&tensor(&[f64::NAN], &[1])), &[2, 1], &[f64::NAN, f64::NAN]);
    check(row.add_scalar(0.5), &[3], &[10.5, 20.5, 30.5]);
    check(row.mul_scalar(2.0), &[3], &[20.0, 40.0, 60.0]);
    check(row.div_scalar(4.0), &[3], &[2.5, 5.0, 7.5]);
    check(row.pow_scalar(2.0), &[3], &[100.0, 400.0, 900.0]);
    check(row.clamp(15.0, 25.0), &[3], &[15.0, 20.0, 25.0]);
    let doubled = one("aten::add.Tensor", &[Arg::Tensor(&row), Arg::Tensor(&row), Arg::Int(2)]);
    check(doubled, &[3], &[30.0, 60.0, 90.0]);
    check(tensor(&[], &[0, 3]).add(&row), &[0, 3], &[]);
}

#[test]
fn functions_of_one_element() {
    let x = tensor(&[-1.0, 0.0, 4.0], &[3]);
    let e = std::f64::consts::E;
    check(x.neg(), &[3], &[1.0, 0.0, -4.0]);
    check(x.abs(), &[3], &[1.0, 0.0, 4.0]);
    check(x.exp(), &[3], &[1.0 / e, 1.0, e.powi(4)]);
    check(x.log(), &[3], &[f64::NAN, f64::NEG_INFINITY, 4f64.ln()]);
    check(x.sqrt(), &[3], &[f64::NAN, 0.0, 2.0]);
    check(x.sigmoid(), &[3], &[1.0 / (1.0 + e), 0.5, 1.0 / (1.0 + (-4f64).exp())]);
}

#[test]
fn element_types_are_promoted() {
    let (whole, single) = (ints(&[7, 2], &[2]), Tensor::from_f32(&[0.5, 0.5], &[2]).unwrap());
    let dtype = |tensor: Result<Tensor>| tensor.unwrap().dtype();
    assert_eq!(dtype(whole.add(&single)), Dtype::F32);
    assert_eq!(dtype(single.add(&tensor(&[1.0], &[]))), Dtype::F32); // no dimensions, same kind: yields
    assert_eq!(dtype(single.add(&tensor(&[1.0], &[1]))), Dtype::F64);
    assert_eq!(dtype(whole.add(&tensor(&[1.0], &[]))), Dtype::F64);
    assert_eq!(dtype(whole.mul_scalar(2.0)), Dtype::F32);
    assert_eq!(dtype(whole.div(&whole)), Dtype::F32);
    assert_eq!(dtype(whole.sum()), Dtype::I64);
    check(one("aten::mul.Scalar", &[Arg::Tensor(&whole), Arg::Int(3)]), &[2], &[21.0, 6.0]);
    check(bools(&[true, false, true], &[3]).sum(), &[], &[2.0]);
}

#[test]
fn comparisons() {
    let (x, y) = (tensor(&[1.0, 2.0, f64::NAN], &[3]), tensor(&[2.0], &[1]));
    let with = |name: &str| one(&format!("aten::{name}.Tensor"), &[Arg::Tensor(&x), Arg::Tensor(&y)]);
    check(x.eq(&y), &[3], &[0.0, 1.0, 0.0]);
    check(with("ne"), &[3], &[1.0, 0.0, 1.0]);
    check(with("lt"), &[3], &[1.0, 0.0, 0.0]);
    check(with("le"), &[3], &[1.0, 1.0, 0.0]);
    check(with("gt"), &[3], &[0.0, 0.0, 0.0]);
    check(with("ge"), &[3], &[0.0, 1.0, 0.0]);
    check(x.gt_scalar(1.5), &[3], &[0.0, 1.0, 0.0]);
    assert_eq!(x.gt_scalar(1.5).unwrap().dtype(), Dtype::BOOL);
}

#[test]
fn reductions() {
    let x = tensor(&[1.0, 5.0, 3.0, 4.0, 2.0, 6.0], &[2, 3]);
    check(x.sum(), &[], &[21.0]);
    check(x.mean(), &[], &[3.5]);
    check(x.sum_dims(&[-1], true), &[2, 1], &[9.0, 12.0]);
    check(x.sum_dims(&[0], false), &[3], &[5.0, 7.0, 9.0]);
    check(x.sum_dims(&[0, 1], true), &[1, 1], &[21.0]);
    check(x.mean_dims(&[0], false), &[3], &[2.5, 3.5, 4.5]);
    check(x.amax(&[1], false), &[2], &[5.0, 6.0]);
    check(x.amin(&[], false), &[], &[1.0]);
    check(tensor(&[], &[0]).sum(), &[], &[0.0]);
    check(tensor(&[], &[0]).mean(), &[], &[f64::NAN]);
    let e = std::f64::consts::E;
    let two = tensor(&[0.0, 1.0, 1000.0, 1000.0], &[2, 2]);
    check(two.softmax(-1), &[2, 2], &[1.0 / (1.0 + e), e / (1.0 + e), 0.5, 0.5]);
    check(two.log_softmax(1), &[2, 2], &[-(1.0 + e).ln(), 1.0 - (1.0 + e).ln(), -2f64.ln(), -2f64.ln()]);
}

#[test]
fn choosing_and_arranging() {
    let x = tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]);
    check(x.gather(1, &ints(&[2, 0, 1, 1], &[2, 2])), &[2, 2], &[3.0, 1.0, 5.0, 5.0]);
    check(x.gather(0, &ints(&[1], &[1, 1])), &[1, 1], &[4.0]);
    check(x.index_select(-1, &ints(&[2, 2, 0], &[3])), &[2, 3], &[3.0, 3.0, 1.0, 6.0, 6.0, 4.0]);
    let mask = bools(&[true, false, true], &[3]);
    check(x.masked_select(&mask), &[4], &[1.0, 3.0, 4.0, 6.0]);
    check(x.masked_fill(&mask, -1.0), &[2, 3], &[-1.0, 2.0, -1.0, -1.0, 5.0, -1.0]);
    check(x.narrow(1, 1, 2), &[2, 2], &[2.0, 3.0, 5.0, 6.0]);
    check(x.narrow(1, -1, 1), &[2, 1], &[3.0, 6.0]);
    check(x.unsqueeze(-1), &[2, 3, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(x.unsqueeze(0).unwrap().squeeze(0), &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(x.squeeze(0), &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(x.reshape(&[3, -1]), &[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(x.permute(&[1, 0]), &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    check(x.transpose(-1, 0), &[3, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    check(x.unsqueeze(0).unwrap().permute(&[2, 0, 1]), &[3, 1, 2], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    check(x.detach(), &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    check(x.zeros_like(), &[2, 3], &[0.0; 6]);
    check(mask.ones_like(), &[3], &[1.0; 3]);
}

#[test]
fn errors_read_like_those_of_libtorch() {
    let (x, whole) = (tensor(&[0.0; 6], &[2, 3]), ints(&[0; 4], &[4]));
    refused(
        x.add(&tensor(&[0.0; 4], &[4])),
        "aten::add.Tensor: The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1",
    );
    refused(x.sum_dims(&[2], false), "Dimension out of range (expected to be in range of [-2, 1], but got 2)");
    refused(x.sum_dims(&[0, -2], false), "dim 0 appears multiple times in the list of dims");
    refused(x.reshape(&[4, -1]), "shape '[4, -1]' is invalid for input of size 6");
    refused(x.narrow(1, 2, 2), "start (2) + length (2) exceeds dimension size (3).");
    refused(x.permute(&[0, 0]), "permute(): duplicate dims are not allowed.");
    refused(x.gather(1, &ints(&[3, 0], &[2, 1])), "index 3 is out of bounds for dimension 1 with size 3");
    refused(x.index_select(0, &ints(&[2], &[1])), "index out of range in self");
    refused(x.masked_fill(&x, 0.0), "only supports boolean masks");
    refused(whole.mean(), "Input dtype must be either a floating point or complex dtype. Got: Long");
    refused(whole.softmax(0), "not implemented for 'Long'");
    refused(bools(&[true], &[1]).neg(), "on a bool tensor is not supported");
    refused(tensor(&[], &[0]).amax(&[], false), "Expected reduction dim to be specified");
    refused(Tensor::from_f32(&[1.0], &[2]), "size [2] takes 8 bytes, not 4");
    refused(Tensor::from_f32(&[1.0], &[i64::MAX, 4]), "bytes, not 4");
    refused(Tensor::from_f32(&[1.0], &[-1]), "negative dimension -1");
    refused(x.to_dtype(Dtype::F16), "the testing kit has tensors of Float, Double, Long, Bool only");
    refused(one("aten::add.Tensor", &[Arg::Tensor(&x)]), "argument other is missing");
    refused(one("aten::add.Tensor", &[Arg::Tensor(&x), Arg::Int(1)]), "argument other must be a Tensor, not Int");
    refused(one("aten::neg", &[Arg::Tensor(&x), Arg::None]), "takes 1 arguments, not 2");
    refused(one("aten::trace", &[Arg::Tensor(&x)]), "there is no operator aten::trace");
}
