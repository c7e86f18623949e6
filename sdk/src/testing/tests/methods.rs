//! What methods take and return: numbers of any kind, lists, several results, devices; and known losses.

use std::collections::BTreeSet;

use crate::{
    Arg, Device, Dtype, Reduction, Result, Tensor,
    testing::{self, assert_close, bools, ints, tensor},
};

fn values(got: Result<Tensor>) -> Vec<f64> {
    got.unwrap().to_vec().unwrap()
}

fn message<T: std::fmt::Debug>(got: Result<T>) -> String {
    format!("{:#}", got.unwrap_err())
}

#[test]
fn the_kit_has_the_operator_of_each_method() {
    let kit: BTreeSet<_> = testing::operators().collect();
    assert_eq!(Tensor::operators().find(|operator| !kit.contains(operator)), None);
    assert_eq!(testing::operators().count(), kit.len(), "an operator is there twice");
}

#[test]
fn numbers_go_in_and_come_out() {
    let _ = tensor(&[], &[0]); // puts the kit in place
    let large = Tensor::from_i64(&[i64::MAX, -1], &[2]).unwrap();
    assert_eq!(large.to_vec_i64().unwrap(), [i64::MAX, -1]);
    assert_eq!(Tensor::from_f64(&[1.9, -1.9], &[2]).unwrap().to_vec_i64().unwrap(), [1, -1]);
    let mask = Tensor::from_bool(&[true, false], &[2, 1]).unwrap();
    assert_eq!((mask.dtype(), mask.dim(), mask.numel(), mask.device()), (Dtype::BOOL, 2, 2, Device::Cpu));
    assert_eq!(mask.to_vec_i64().unwrap(), [1, 0]);
    assert_eq!(Tensor::from_f32(&[0.5], &[1, 1]).unwrap().item().unwrap(), 0.5);
    assert_eq!(
        message(mask.item()),
        "a tensor of size [2, 1] is not one number: item() takes tensors of exactly one element"
    );
}

#[test]
fn plain_numbers_keep_their_kind() {
    let whole = ints(&[1, 2], &[2]);
    let dtype = |got: Result<Tensor>| got.unwrap().dtype();
    assert_eq!((dtype(whole.add_scalar(1)), dtype(whole.add_scalar(1.0))), (Dtype::I64, Dtype::F32));
    assert_eq!(dtype(whole.clamp_min(0)), Dtype::I64);
    assert_eq!(dtype(bools(&[true], &[1]).logical_not()), Dtype::BOOL);
    assert_eq!(dtype(whole.new_full(&[2], 1.5)), Dtype::I64);
}

#[test]
fn lists_of_tensors_and_several_results() {
    let (row, next) = (tensor(&[1.0, 3.0, 2.0], &[3]), tensor(&[4.0, 4.0, 5.0], &[3]));
    let both = Tensor::stack(&[&row, &next], 0).unwrap();
    assert_eq!((both.size(), values(Tensor::cat(&[&row, &next], 0))), (vec![2, 3], vec![1.0, 3.0, 2.0, 4.0, 4.0, 5.0]));
    let (top, places) = both.topk(2, -1, true, true).unwrap();
    assert_eq!((top.to_vec().unwrap(), places.to_vec_i64().unwrap()), (vec![3.0, 2.0, 5.0, 4.0], vec![1, 2, 2, 0]));
    let (largest, at) = both.max_dim(0, false).unwrap();
    assert_eq!((largest.to_vec().unwrap(), at.to_vec_i64().unwrap()), (vec![4.0, 4.0, 5.0], vec![1, 1, 1]));
    let many = Tensor::arange(40, Dtype::I64, Device::Cpu).unwrap().unbind(0).unwrap();
    assert_eq!((many.len(), many[39].item().unwrap()), (40, 39.0));
    let absent = Tensor::call("aten::cat", &[Arg::OptionalTensors(&[Some(&row), None])]);
    assert_eq!(message(absent), "aten::cat: element 1 of the list is no tensor");
}

#[test]
fn tensors_move_between_threads() {
    let kept = tensor(&[1.0], &[1]);
    let shared = kept.clone();
    std::thread::spawn(move || drop(shared)).join().unwrap();
    assert_eq!(kept.to_vec().unwrap(), [1.0]);
}

#[test]
fn the_kit_has_no_device_but_the_cpu() {
    let elsewhere = tensor(&[1.0], &[1]).to_device(Device::Cuda(0));
    assert_eq!(message(elsewhere), "aten::to.dtype_layout: the testing kit has tensors on the CPU only");
}

#[test]
fn losses_have_known_values() {
    let (x, y) = (tensor(&[0.0, 2.0], &[2]), tensor(&[1.0, 0.0], &[2]));
    let [none, mean, sum] = [Reduction::None, Reduction::Mean, Reduction::Sum];
    let (ln2, soft) = (2f64.ln(), (1.0 + 2f64.exp()).ln());
    assert_close(&values(x.binary_cross_entropy_with_logits(&y, None, None, none)), &[ln2, soft], 1e-12);
    let twice = tensor(&[2.0], &[1]);
    assert_close(&values(x.binary_cross_entropy_with_logits(&y, None, Some(&twice), none)), &[2.0 * ln2, soft], 1e-12);
    assert_close(
        &values(y.binary_cross_entropy(&x.sigmoid().unwrap(), None, sum)),
        &[100.0 * (0.5 + 0.880797077977882)],
        1e-9,
    );
    assert_close(&values(x.mse_loss(&y, mean)), &[2.5], 0.0);
    assert_close(&values(x.l1_loss(&y, sum)), &[3.0], 0.0);
    assert_close(&values(x.smooth_l1_loss(&y, none, 2.0)), &[0.25, 1.0], 0.0);
    assert_close(&values(x.huber_loss(&y, none, 1.5)), &[0.5, 1.875], 1e-12);
    assert_close(&values(y.kl_div(&x, sum, false)), &[2.0 * ln2], 1e-12);
    let logits = x.unsqueeze(0).unwrap();
    let other = (1.0 + (-2f64).exp()).ln();
    assert_close(&values(logits.cross_entropy(&ints(&[0], &[1]), None, mean, -100, 0.0)), &[soft], 1e-12);
    let smoothed = 0.9 * soft + 0.1 * (soft + other) / 2.0;
    assert_close(&values(logits.cross_entropy(&ints(&[0], &[1]), None, mean, -100, 0.1)), &[smoothed], 1e-12);
    assert_close(&values(logits.nll_loss(&ints(&[1], &[1]), None, sum, -100)), &[-2.0], 0.0);
}

#[test]
fn detectors_boxes_meet_in_plain_methods() {
    let [a, b] = [[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0]].map(|corners| tensor(&corners, &[1, 4]));
    let iou = || -> Result<f64> {
        let [a, b] = [a.chunk(2, -1)?, b.chunk(2, -1)?];
        let sides = a[1].minimum(&b[1])?.sub(&a[0].maximum(&b[0])?)?.clamp_min(0)?;
        let [area_a, area_b] = [a[1].sub(&a[0])?.prod_dim(-1, false)?, b[1].sub(&b[0])?.prod_dim(-1, false)?];
        let overlap = sides.prod_dim(-1, false)?;
        overlap.div(&area_a.add(&area_b)?.sub(&overlap)?)?.item()
    };
    assert_close(&[iou().unwrap()], &[1.0 / 7.0], 1e-12);
}
