//! The tensors of `trainer_sdk::testing` against libtorch: the same operators, the same inputs, the same results and
//! the same refusals.

use std::collections::BTreeSet;

use trainer_sdk::{
    Arg::{self, Bool, Float, Int, Ints},
    Dtype, Loss, LossContext, Predictions, Result, Targets, Tensor, Terms, bail,
    testing::{self, LossBench},
};

use crate::golden;

const TYPES: [Dtype; 4] = [Dtype::F64, Dtype::F32, Dtype::I64, Dtype::BOOL];

/// Equal to libtorch's: one part in a million, which allows for single floats being rounded once by the kit and at
/// each step by libtorch.
const TOLERANCE: f64 = 1e-6;

/// Numbers in -3..3 of each kind, some of them whole and equal; a fixed function of the name.
fn numbers(name: &str, size: &[i64], dtype: Dtype) -> Tensor {
    trainer::torch::install();
    let units = golden::units(name, size.iter().product());
    let values =
        units.iter().enumerate().map(|(i, x)| if i % 3 == 0 { (x * 6.0).floor() - 3.0 } else { x * 6.0 - 3.0 });
    testing::tensor(&values.collect::<Vec<_>>(), size).to_dtype(dtype).unwrap()
}

/// What was compared, and what differs.
#[derive(Default)]
struct Compared {
    operators: BTreeSet<String>,
    differences: Vec<String>,
}

impl Compared {
    /// Both give the same tensor, or both refuse.
    fn same(&mut self, operator: &str, arguments: &[Arg]) {
        self.operators.insert(operator.to_owned());
        let kit = testing::call(operator, arguments);
        let torch = Tensor::call(operator, arguments).map(|mut results| results.remove(0));
        let same = match (&kit, &torch) {
            (Ok(kit), Ok(torch)) => (kit.dtype(), kit.size()) == (torch.dtype(), torch.size()) && close(kit, torch),
            (kit, torch) => kit.is_err() && torch.is_err(),
        };
        if !same {
            let arguments = arguments.iter().map(show).collect::<Vec<_>>().join(", ");
            let [kit, torch] =
                [kit, torch].map(|result| result.map_or_else(|e| format!("{e:#}"), |x| show(&Arg::Tensor(&x))));
            self.differences.push(format!("{operator}({arguments})\n    kit {kit}\n    libtorch {torch}"));
        }
    }

    fn each(&mut self, operators: &[&str], arguments: &[Arg]) {
        operators.iter().for_each(|operator| self.same(&format!("aten::{operator}"), arguments));
    }
}

fn close(kit: &Tensor, torch: &Tensor) -> bool {
    let (kit, torch) = (kit.to_vec().unwrap(), torch.to_vec().unwrap());
    let close = |a: f64, b: f64| a == b || (a - b).abs() <= TOLERANCE * b.abs().max(1.0) || a.is_nan() && b.is_nan();
    kit.iter().zip(torch).all(|(&a, b)| close(a, b))
}

fn show(argument: &Arg) -> String {
    match argument {
        Arg::Tensor(tensor) => format!("{tensor:?} {:?}", tensor.to_vec()),
        Int(x) => x.to_string(),
        Float(x) => format!("{x:?}"),
        Bool(x) => x.to_string(),
        Ints(list) => format!("{list:?}"),
        Arg::Dtype(dtype) => format!("{dtype:?}"),
        _ => "none".into(),
    }
}

#[test]
fn every_operator_of_the_kit_equals_libtorchs() {
    let mut compared = Compared::default();
    elementwise(&mut compared);
    over_dimensions(&mut compared);
    choosing(&mut compared);
    arranging(&mut compared);
    let Compared { operators, differences } = compared;
    assert!(differences.is_empty(), "{} differences, such as\n{}", differences.len(), differences[0]);
    let all: BTreeSet<String> = testing::operators().map(str::to_owned).collect();
    assert_eq!(operators, all, "an operator of the kit is compared nowhere");
}

fn elementwise(compared: &mut Compared) {
    const BINARY: [&str; 12] = [
        "add.Tensor",
        "sub.Tensor",
        "mul.Tensor",
        "div.Tensor",
        "maximum",
        "minimum",
        "eq.Tensor",
        "ne.Tensor",
        "lt.Tensor",
        "le.Tensor",
        "gt.Tensor",
        "ge.Tensor",
    ];
    const SCALAR: [&str; 10] = [
        "add.Scalar",
        "sub.Scalar",
        "mul.Scalar",
        "div.Scalar",
        "eq.Scalar",
        "ne.Scalar",
        "lt.Scalar",
        "le.Scalar",
        "gt.Scalar",
        "ge.Scalar",
    ];
    const UNARY: [&str; 10] =
        ["neg", "abs", "exp", "log", "sqrt", "sigmoid", "detach", "zeros_like", "ones_like", "sum"];
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
                }
                compared.each(&["to.dtype", "zeros_like", "ones_like", "sum", "mean"], &[x, Arg::Dtype(other)]);
            }
            for number in [Int(2), Int(0), Int(-1), Float(0.1), Float(-2.0), Float(f64::INFINITY), Bool(true)] {
                compared.each(&SCALAR, &[x, number]);
                compared.each(&["pow.Tensor_Scalar"], &[x, number]);
                compared.each(&["clamp"], &[x, number, Float(1.5)]);
                compared.each(&["clamp"], &[x, number, Int(1)]);
                compared.each(&["clamp"], &[x, number]);
                compared.each(&["clamp"], &[x, Arg::None, number]);
                compared.each(&["add.Tensor", "sub.Tensor"], &[x, x, number]);
            }
            compared.each(&["clamp"], &[x, Arg::None, Arg::None]);
        }
    }
    let odd = testing::tensor(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0], &[5]);
    let (one, odd) = (testing::tensor(&[1.0], &[1]), Arg::Tensor(&odd));
    compared.each(&BINARY, &[odd, Arg::Tensor(&one)]);
    compared.each(&BINARY, &[odd, odd]);
    compared.each(&UNARY, &[odd]);
    compared.each(&["clamp"], &[odd, Float(-1.0), Float(1.0)]);
    compared.each(&["amax", "amin", "mean"], &[odd]);
    compared.each(&["softmax.int", "log_softmax.int"], &[odd, Int(0)]);
}

fn over_dimensions(compared: &mut Compared) {
    for dtype in TYPES {
        for size in [&[2, 3, 4][..], &[5], &[], &[2, 0, 4]] {
            let x = numbers("x", size, dtype);
            let x = Arg::Tensor(&x);
            compared.each(&["sum", "mean", "amax", "amin"], &[x]);
            for dims in [&[][..], &[0], &[-1], &[1], &[0, -1], &[0, 1, 2], &[1, 1], &[3]] {
                for keep in [false, true] {
                    compared.each(&["sum.dim_IntList", "mean.dim", "amax", "amin"], &[x, Ints(dims), Bool(keep)]);
                }
                let as_double = [x, Ints(dims), Bool(false), Arg::Dtype(Dtype::F64)];
                compared.each(&["sum.dim_IntList", "mean.dim"], &as_double);
            }
            for dim in [0, -1, 1, 3] {
                compared.each(&["softmax.int", "log_softmax.int"], &[x, Int(dim)]);
                compared.each(&["softmax.int", "log_softmax.int"], &[x, Int(dim), Arg::Dtype(Dtype::F32)]);
            }
        }
    }
}

fn choosing(compared: &mut Compared) {
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
    for dtype in TYPES {
        for size in [&[2, 3, 4][..], &[4], &[]] {
            let x = numbers("x", size, dtype);
            let x = Arg::Tensor(&x);
            for mask in &masks {
                compared.each(&["masked_select"], &[x, Arg::Tensor(mask)]);
                for value in [Int(2), Float(-1.5), Bool(true), Float(f64::NEG_INFINITY)] {
                    let infinite = matches!(value, Float(v) if v.is_infinite());
                    if infinite && !matches!(dtype, Dtype::F32 | Dtype::F64) {
                        continue; // libtorch refuses infinite integers; the kit takes the largest
                    }
                    compared.each(&["masked_fill.Scalar"], &[x, Arg::Tensor(mask), value]);
                }
            }
            compared.each(&["masked_select"], &[x, x]);
            compared.each(&["masked_fill.Scalar"], &[x, x, Int(1)]);
            for (index, size) in &indices {
                for kind in [Dtype::I64, Dtype::F32] {
                    let index = testing::ints(index, size).to_dtype(kind).unwrap();
                    for dim in [0, 1, -1, 3] {
                        compared.each(&["gather", "index_select"], &[x, Int(dim), Arg::Tensor(&index)]);
                    }
                }
            }
        }
    }
}

fn arranging(compared: &mut Compared) {
    for dtype in TYPES {
        for size in [&[2, 3, 4][..], &[2, 1, 12], &[24], &[], &[2, 0]] {
            let x = numbers("x", size, dtype);
            let x = Arg::Tensor(&x);
            for dim in [-4, -3, -1, 0, 1, 2, 3] {
                compared.each(&["unsqueeze", "squeeze.dim"], &[x, Int(dim)]);
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
                compared.each(&["permute", "reshape"], &[x, Ints(list)]);
            }
        }
    }
}

#[test]
fn the_bench_runs_on_libtorch_where_that_is() {
    struct Squares;
    impl Loss for Squares {
        fn terms(&mut self, terms: &mut Terms, _: &Predictions, targets: &Targets, _: &LossContext) -> Result<()> {
            terms.set("cls", &Tensor::call("aten::square", &[Arg::Tensor(&targets.scores()?)])?[0].sum()?)
        }
    }
    let mut bench = LossBench::new(numbers("x", &[1, 2, 3], Dtype::F32)).offer("cls", || bail!("was computed"));
    bench.terms(&mut Squares).unwrap();
    let scores = numbers("x", &[1, 2, 3], Dtype::F32).to_vec().unwrap();
    testing::assert_close(&[bench.value("cls").unwrap()], &[scores.iter().map(|x| x * x).sum()], 1e-5);
}

#[test]
fn arguments_are_those_of_libtorchs_schemas() {
    trainer::torch::install();
    for operator in testing::operators() {
        for count in (0..8).chain([99]) {
            let arguments = vec![Arg::None; count];
            let kit = format!("{:#}", testing::call(operator, &arguments).unwrap_err());
            if kit.ends_with("is missing") || kit.contains(": takes ") {
                assert_eq!(kit, format!("{:#}", Tensor::call(operator, &arguments).unwrap_err()));
            }
        }
    }
}

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
