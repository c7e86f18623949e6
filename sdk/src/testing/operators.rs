//! The operators that the kit has, in one table for each subject. Arguments are those of libtorch's schemas; `?` marks
//! one that may be left out.

mod comparison;
mod creation;
mod elementwise;
mod functions;
mod indexing;
mod losses;
mod order;
mod pieces;
mod products;
mod reduction;
mod shape;
mod statistics;

use std::sync::LazyLock;

use anyhow::Result;

use super::{arguments::Arguments, dense::Dense};

pub(super) struct Operator {
    /// The name, with the overload after a dot.
    pub name: &'static str,
    pub arguments: &'static [&'static str],
    run: Run,
}

/// The function behind an operator, by what it takes and returns.
enum Run {
    /// A tensor.
    Unary(fn(&Dense) -> Result<Dense>),
    /// Two tensors.
    Binary(fn(&Dense, &Dense) -> Result<Dense>),
    /// A tensor and a Scalar.
    Scalar(fn(&Dense, &Dense) -> Result<Dense>),
    /// Anything.
    One(fn(&Arguments) -> Result<Dense>),
    /// Anything; several results.
    Several(fn(&Arguments) -> Result<Vec<Dense>>),
}

type Names = &'static [&'static str];

const SELF: Names = &["self"];
const OTHER: Names = &["self", "other"];

const fn unary(name: &'static str, run: fn(&Dense) -> Result<Dense>) -> Operator {
    Operator { name, arguments: SELF, run: Run::Unary(run) }
}

const fn binary(name: &'static str, arguments: Names, run: fn(&Dense, &Dense) -> Result<Dense>) -> Operator {
    Operator { name, arguments, run: Run::Binary(run) }
}

const fn scalar(name: &'static str, arguments: Names, run: fn(&Dense, &Dense) -> Result<Dense>) -> Operator {
    Operator { name, arguments, run: Run::Scalar(run) }
}

const fn one(name: &'static str, arguments: Names, run: fn(&Arguments) -> Result<Dense>) -> Operator {
    Operator { name, arguments, run: Run::One(run) }
}

const fn several(name: &'static str, arguments: Names, run: fn(&Arguments) -> Result<Vec<Dense>>) -> Operator {
    Operator { name, arguments, run: Run::Several(run) }
}

impl Operator {
    /// Calls it; the caller has made sure that the arguments are this operator's.
    pub fn run(&self, a: &Arguments) -> Result<Vec<Dense>> {
        match self.run {
            Run::Unary(f) => f(a.tensor(0)?),
            Run::Binary(f) => f(a.tensor(0)?, a.tensor(1)?),
            Run::Scalar(f) => f(a.tensor(0)?, &a.number(1)?),
            Run::One(f) => f(a),
            Run::Several(f) => return f(a),
        }
        .map(|result| vec![result])
    }
}

pub(super) static OPERATORS: LazyLock<Vec<&Operator>> = LazyLock::new(|| {
    let subjects = [
        elementwise::OPERATORS,
        functions::OPERATORS,
        comparison::OPERATORS,
        reduction::OPERATORS,
        statistics::OPERATORS,
        order::OPERATORS,
        products::OPERATORS,
        indexing::OPERATORS,
        shape::OPERATORS,
        pieces::OPERATORS,
        creation::OPERATORS,
        losses::OPERATORS,
    ];
    subjects.into_iter().flatten().collect()
});
