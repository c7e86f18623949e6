//! Loss functions.

use trainer_sdk::{
    Arg::{self, Bool, Float, Int},
    Dtype, testing,
};

use super::{Compared, TYPES, numbers};

const REDUCTIONS: [Arg; 3] = [Int(0), Int(1), Int(2)];

pub(super) fn compare(compared: &mut Compared) {
    let sizes: [&[i64]; 4] = [&[2, 3], &[3], &[], &[0, 3]];
    for (size, other_size) in sizes.into_iter().flat_map(|size| sizes.map(|other| (size, other))) {
        for (dtype, other) in TYPES.into_iter().flat_map(|dtype| TYPES.map(|other| (dtype, other))) {
            let (x, y) = (numbers("x", size, dtype), numbers("y", other_size, other));
            let shares = y.sigmoid().unwrap().to_dtype(other).unwrap();
            let [x, y, shares] = [&x, &y, &shares].map(Arg::Tensor);
            for reduction in REDUCTIONS {
                compared.each(&["mse_loss", "l1_loss", "smooth_l1_loss"], &[x, y, reduction]);
                compared.each(&["smooth_l1_loss"], &[x, y, reduction, Float(0.0)]);
                compared.each(&["smooth_l1_loss"], &[x, y, reduction, Float(0.4)]);
                if size == other_size {
                    compared.each(&["huber_loss"], &[x, y, reduction]); // warns where it has to broadcast
                    compared.each(&["huber_loss"], &[x, y, reduction, Float(0.4)]);
                }
                for log_target in [false, true] {
                    compared.each(&["kl_div"], &[x, shares, reduction, Bool(log_target)]);
                }
                let none = Arg::None;
                compared.each(&["binary_cross_entropy_with_logits"], &[x, shares, none, none, reduction]);
            }
            compared.each(&["huber_loss", "smooth_l1_loss"], &[x, y, Int(1), Float(-1.0)]);
        }
    }
    weighted(compared);
    classes(compared);
}

fn weighted(compared: &mut Compared) {
    let sizes: [&[i64]; 5] = [&[2, 3], &[3], &[2, 1], &[], &[4, 2, 3]];
    for dtype in TYPES {
        let x = numbers("x", &[2, 3], Dtype::F32);
        let shares = numbers("y", &[2, 3], Dtype::F32).sigmoid().unwrap().to_dtype(dtype).unwrap();
        for size in sizes {
            let weight = numbers("w", size, dtype);
            let (own, weight) = (x.sigmoid().unwrap(), Arg::Tensor(&weight));
            let [x, shares, own] = [&x, &shares, &own].map(Arg::Tensor);
            for reduction in REDUCTIONS {
                let logits = |weight, pos| [x, shares, weight, pos, reduction];
                compared.each(&["binary_cross_entropy_with_logits"], &logits(weight, Arg::None));
                compared.each(&["binary_cross_entropy_with_logits"], &logits(Arg::None, weight));
                compared.each(&["binary_cross_entropy_with_logits"], &logits(weight, weight));
                compared.each(&["binary_cross_entropy"], &[own, shares, Arg::None, reduction]);
                compared.each(&["binary_cross_entropy"], &[own, own, weight, reduction]);
                compared.each(&["binary_cross_entropy"], &[x, own, Arg::None, reduction]);
                compared.each(&["binary_cross_entropy"], &[own, x, Arg::None, reduction]);
            }
        }
    }
}

fn classes(compared: &mut Compared) {
    let targets: [(&[i64], &[i64]); 6] =
        [(&[1, 0], &[2]), (&[2], &[]), (&[1; 8], &[2, 4]), (&[5, 0], &[2]), (&[-100, 2], &[2]), (&[], &[0])];
    for dtype in TYPES {
        for size in [&[2, 3][..], &[3], &[2, 3, 4], &[0, 3], &[]] {
            let x = numbers("x", size, dtype);
            for (target, target_size) in targets {
                let target = testing::ints(target, target_size);
                for weight in [None, Some(Dtype::F32), Some(Dtype::F64)] {
                    let weight = weight.map(|dtype| numbers("w", &[3], dtype).abs().unwrap());
                    for reduction in REDUCTIONS {
                        let arguments = [Arg::Tensor(&x), Arg::Tensor(&target), weight.as_ref().into(), reduction];
                        compared.each(&["cross_entropy_loss", "nll_loss_nd"], &arguments);
                        compared.each(&["cross_entropy_loss", "nll_loss_nd"], &[&arguments[..], &[Int(0)]].concat());
                        compared.each(&["cross_entropy_loss"], &[&arguments[..], &[Int(-100), Float(0.1)]].concat());
                    }
                }
            }
            for other in TYPES {
                let shares = numbers("y", size, other);
                for (reduction, smoothing) in [(0, 0.0), (1, 0.1), (2, 0.1), (1, 1.5)] {
                    let rest = [Arg::None, Int(reduction), Int(-100), Float(smoothing)];
                    compared
                        .each(&["cross_entropy_loss"], &[&[Arg::Tensor(&x), Arg::Tensor(&shares)], &rest[..]].concat());
                }
            }
        }
    }
}
