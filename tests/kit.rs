//! The tensors of `trainer_sdk::testing` against libtorch: the same operators, the same inputs, the same results and
//! the same refusals.

mod arranging;
mod choosing;
mod dimensions;
mod elementwise;
mod losses;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};

use trainer_sdk::{
    Arg, Dtype, Loss, LossContext, Predictions, Result, Targets, Tensor, Terms, bail,
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
    /// The first of each operator.
    differences: BTreeMap<String, String>,
}

impl Compared {
    /// Both give the same tensors, or both refuse.
    fn same(&mut self, operator: &str, arguments: &[Arg]) {
        self.operators.insert(operator.to_owned());
        let kit = testing::call(operator, arguments);
        let torch = Tensor::call(operator, arguments);
        let same = match (&kit, &torch) {
            (Ok(kit), Ok(torch)) => kit.len() == torch.len() && kit.iter().zip(torch).all(|(a, b)| equal(a, b)),
            (kit, torch) => kit.is_err() && torch.is_err(),
        };
        if !same {
            let arguments = arguments.iter().map(show).collect::<Vec<_>>().join(", ");
            let [kit, torch] = [kit, torch].map(|results| match results {
                Ok(results) => results.iter().map(|x| show(&Arg::Tensor(x))).collect::<Vec<_>>().join(" and "),
                Err(error) => format!("{error:#}"),
            });
            let difference = format!("({arguments})\n    kit {kit}\n    libtorch {torch}\n");
            self.differences.entry(operator.to_owned()).or_insert(difference);
        }
    }

    fn each(&mut self, operators: &[&str], arguments: &[Arg]) {
        operators.iter().for_each(|operator| self.same(&format!("aten::{operator}"), arguments));
    }
}

fn equal(kit: &Tensor, torch: &Tensor) -> bool {
    let close = |a: f64, b: f64| a == b || (a - b).abs() <= TOLERANCE * b.abs().max(1.0) || a.is_nan() && b.is_nan();
    let alike = (kit.dtype(), kit.size()) == (torch.dtype(), torch.size());
    alike && kit.to_vec().unwrap().iter().zip(torch.to_vec().unwrap()).all(|(&a, b)| close(a, b))
}

fn show(argument: &Arg) -> String {
    match argument {
        Arg::Tensor(tensor) => format!("{tensor:?} {:?}", tensor.to_vec()),
        argument => format!("{argument:?}"),
    }
}

#[test]
fn every_operator_of_the_kit_equals_libtorchs() {
    let mut compared = Compared::default();
    elementwise::compare(&mut compared);
    dimensions::compare(&mut compared);
    dimensions::products(&mut compared);
    choosing::compare(&mut compared);
    arranging::compare(&mut compared);
    losses::compare(&mut compared);
    let Compared { operators, differences } = compared;
    let differences: String = differences.iter().map(|(operator, first)| format!("{operator}{first}")).collect();
    assert!(differences.is_empty(), "the kit differs from libtorch:\n{differences}");
    let all: BTreeSet<String> = testing::operators().map(str::to_owned).collect();
    assert_eq!(operators, all, "an operator of the kit is compared nowhere");
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
            let Err(kit) = testing::call(operator, &arguments) else { continue };
            let kit = format!("{kit:#}");
            if kit.ends_with("is missing") || kit.contains(": takes ") {
                assert_eq!(kit, format!("{:#}", Tensor::call(operator, &arguments).unwrap_err()));
            }
        }
    }
}

#[test]
fn every_method_calls_an_operator_of_libtorch() {
    trainer::torch::install();
    let in_kit: BTreeSet<_> = testing::operators().collect();
    for operator in Tensor::operators() {
        let refused = format!("{:#}", Tensor::call(operator, &[Arg::None; 99]).unwrap_err());
        assert!(refused.contains("takes "), "a method calls {operator}: {refused}");
        assert!(in_kit.contains(operator), "a method calls {operator}, which the testing kit has not");
    }
}
