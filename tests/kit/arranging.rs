//! Operators that arrange, take apart, join and make tensors.

use trainer_sdk::{
    Arg::{self, Bool, Float, Int, Ints, Tensors},
    Device, Dtype,
};

use super::{Compared, TYPES, numbers};

pub(super) fn compare(compared: &mut Compared) {
    for dtype in TYPES {
        for size in [&[2, 3, 4][..], &[2, 1, 12], &[24], &[], &[2, 0]] {
            let x = numbers("x", size, dtype);
            let x = Arg::Tensor(&x);
            for dim in [-4, -3, -1, 0, 1, 2, 3] {
                compared.each(&["unsqueeze", "squeeze.dim", "unbind.int"], &[x, Int(dim)]);
                compared.each(&["flatten.using_ints"], &[x, Int(dim)]);
                compared.each(&["flatten.using_ints"], &[x, Int(0), Int(dim)]);
                for number in [-2, 0, 1, 2, 5] {
                    compared.each(&["select.int"], &[x, Int(dim), Int(number)]);
                    compared.each(&["split.Tensor", "chunk"], &[x, Int(number), Int(dim)]);
                    compared.each(&["slice.Tensor"], &[x, Int(dim), Int(number), Int(9), Int(2)]);
                    compared.each(&["slice.Tensor"], &[x, Int(dim), Int(0), Int(number), Int(1)]);
                    compared.each(&["slice.Tensor"], &[x, Int(dim), Int(0), Int(1), Int(number)]);
                }
                for sizes in [&[1, 1][..], &[0, 2, 1], &[2], &[3, -1], &[12], &[]] {
                    compared.each(&["split_with_sizes"], &[x, Ints(sizes), Int(dim)]);
                }
                for other in [-1, 0, 1] {
                    compared.each(&["transpose.int"], &[x, Int(dim), Int(other)]);
                }
                for (start, length) in [(0, 1), (1, 2), (-1, 1), (2, 2), (0, 0), (3, 0), (9, 0), (-9, 1), (0, -1)] {
                    compared.each(&["narrow"], &[x, Int(dim), Int(start), Int(length)]);
                }
            }
            for list in [
                &[][..],
                &[0],
                &[-1],
                &[1, 0],
                &[1, 0, 2],
                &[-1, 0, 1],
                &[1, 1, 0],
                &[3, 0, 1],
                &[4, -1],
                &[6, 4],
                &[-1, -1],
                &[2, -2],
                &[0, -1],
                &[5, 5],
            ] {
                compared.each(&["permute", "reshape", "view", "flip", "repeat"], &[x, Ints(list)]);
                compared.each(&["new_zeros", "new_ones"], &[x, Ints(list)]);
                compared.each(&["new_full"], &[x, Ints(list), Float(1.5)]);
            }
            for list in [&[][..], &[2, 3, 4], &[5, 2, 3, 4], &[-1, -1, -1], &[2, 7, 12], &[-1, 24], &[1, 2, 0], &[3]] {
                compared.each(&["expand", "broadcast_to"], &[x, Ints(list)]);
                let other = numbers("y", &list.iter().map(|n| n.abs()).collect::<Vec<_>>(), Dtype::F32);
                compared.each(&["expand_as"], &[x, Arg::Tensor(&other)]);
            }
            compared.each(&["contiguous"], &[x]);
            for value in [Int(2), Float(0.5), Bool(true)] {
                compared.each(&["full_like"], &[x, value]);
                compared.each(&["full_like"], &[x, value, Arg::Dtype(Dtype::F64)]);
            }
            compared.each(&["to.dtype_layout"], &[x, Arg::None, Arg::None, Arg::Device(Device::Cpu)]);
            compared.each(&["to.dtype_layout"], &[x, Arg::Dtype(Dtype::F64)]);
        }
    }
    joining(compared);
    making(compared);
}

fn joining(compared: &mut Compared) {
    let sizes: [&[i64]; 6] = [&[2, 3], &[2, 1], &[3], &[0], &[], &[0, 3]];
    for (size, other) in sizes.into_iter().flat_map(|size| sizes.map(|other| (size, other))) {
        for (dtype, second) in TYPES.into_iter().flat_map(|dtype| TYPES.map(|second| (dtype, second))) {
            let (x, y) = (numbers("x", size, dtype), numbers("y", other, second));
            for dim in [-1, 0, 1, 3] {
                compared.each(&["cat", "stack"], &[Tensors(&[&x, &y, &x]), Int(dim)]);
                compared.each(&["cat", "stack"], &[Tensors(&[]), Int(dim)]);
            }
        }
    }
}

fn making(compared: &mut Compared) {
    for dtype in [Arg::None].into_iter().chain(TYPES.map(Arg::Dtype)) {
        let rest = [dtype, Arg::None, Arg::Device(Device::Cpu)];
        for size in [&[][..], &[2, 3], &[0], &[-1]] {
            compared.each(&["zeros", "ones"], &[&[Ints(size)], &rest[..]].concat());
            for value in [Int(2), Float(1.5), Bool(true)] {
                compared.each(&["full"], &[&[Ints(size), value], &rest[..]].concat());
            }
        }
        for end in [Int(0), Int(3), Int(-2), Float(2.5)] {
            compared.each(&["arange"], &[&[end], &rest[..]].concat());
            for (start, step) in [(Int(1), Int(1)), (Float(0.5), Int(1)), (Int(4), Int(-2)), (Int(0), Int(0))] {
                compared.each(&["arange.start_step"], &[&[start, end, step], &rest[..]].concat());
            }
            for steps in [-1, 0, 1, 2, 5] {
                compared.each(&["linspace"], &[&[Int(1), end, Int(steps)], &rest[..]].concat());
            }
        }
        for n in [-1, 0, 3] {
            compared.each(&["eye"], &[&[Int(n)], &rest[..]].concat());
        }
    }
}
