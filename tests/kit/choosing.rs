//! Operators that choose elements by a mask or an index, or put them there.

use trainer_sdk::{
    Arg::{self, Bool, Float, Int},
    Dtype, testing,
};

use super::{Compared, TYPES, numbers};

pub(super) fn compare(compared: &mut Compared) {
    let masks =
        [&[2, 3, 4][..], &[4], &[3, 1], &[], &[5], &[1, 2, 3, 4]].map(|size| numbers("mask", size, Dtype::BOOL));
    let indices: [(&[i64], &[i64]); 9] = [
        (&[1, 0, 1], &[3]),
        (&[1], &[]),
        (&[], &[0]),
        (&[2, 0, 1, 1], &[2, 2, 1]),
        (&[1, 0], &[1, 1, 2]),
        (&[0], &[1, 1, 1]),
        (&[-1], &[1]),
        (&[7], &[1, 1, 1]),
        (&[0; 12], &[1, 3, 4]),
    ];
    let sources =
        [&[2, 3, 4][..], &[3, 3, 4], &[2, 3, 3], &[3], &[], &[2, 2, 1]].map(|size| numbers("source", size, Dtype::F64));
    for dtype in TYPES {
        for size in [&[2, 3, 4][..], &[4], &[]] {
            let x = numbers("x", size, dtype);
            let x = Arg::Tensor(&x);
            for mask in &masks {
                compared.each(&["masked_select"], &[x, Arg::Tensor(mask)]);
                for value in [Int(2), Float(-1.5), Bool(true), Float(f64::NEG_INFINITY)] {
                    compared.each(&["where.ScalarOther"], &[Arg::Tensor(mask), x, value]);
                    let infinite = matches!(value, Float(v) if v.is_infinite());
                    if infinite && !matches!(dtype, Dtype::F32 | Dtype::F64) {
                        continue; // libtorch refuses infinite integers; the kit takes the largest
                    }
                    compared.each(&["masked_fill.Scalar"], &[x, Arg::Tensor(mask), value]);
                }
            }
            for (other, kind) in masks.iter().flat_map(|mask| TYPES.map(|kind| (mask, kind))) {
                let other = other.to_dtype(kind).unwrap();
                compared.each(&["where.self"], &[Arg::Tensor(&masks[0]), x, Arg::Tensor(&other)]);
                compared.each(&["where.self"], &[Arg::Tensor(&other), x, x]);
            }
            compared.each(&["masked_select"], &[x, x]);
            compared.each(&["masked_fill.Scalar"], &[x, x, Int(1)]);
            for (index, size) in &indices {
                for kind in [Dtype::I64, Dtype::F32] {
                    let index = testing::ints(index, size).to_dtype(kind).unwrap();
                    for dim in [0, 1, -1, 3] {
                        let index = Arg::Tensor(&index);
                        compared.each(&["gather", "index_select"], &[x, Int(dim), index]);
                        compared.each(&["index_fill.int_Scalar", "scatter.value"], &[x, Int(dim), index, Int(2)]);
                        for source in &sources {
                            let source = source.to_dtype(dtype).unwrap();
                            let arguments = [x, Int(dim), index, Arg::Tensor(&source)];
                            compared.each(&["index_add", "scatter_add"], &arguments);
                        }
                        let source = sources[0].to_dtype(Dtype::F64).unwrap();
                        compared.each(
                            &["scatter.src", "scatter_add", "index_add"],
                            &[x, Int(dim), index, Arg::Tensor(&source)],
                        );
                    }
                }
            }
        }
    }
    for (classes, size) in [(&[0, 2, 1][..], &[3][..]), (&[1, 0], &[2, 1]), (&[2], &[]), (&[], &[0]), (&[-1], &[1])] {
        for dtype in [Dtype::I64, Dtype::F32] {
            let classes = testing::ints(classes, size).to_dtype(dtype).unwrap();
            compared.each(&["one_hot"], &[Arg::Tensor(&classes)]);
            for count in [-2, -1, 0, 2, 4] {
                compared.each(&["one_hot"], &[Arg::Tensor(&classes), Int(count)]);
            }
        }
    }
}
