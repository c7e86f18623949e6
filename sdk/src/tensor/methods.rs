//! How typed methods come about: each is a signature and the operator it calls.

use anyhow::{Result, bail};

use super::{Tensor, comparison, creation, elementwise, indexing, losses, reduction, shape};

/// Writes methods of [`Tensor`]: `fn name(parameters) -> result = "aten::operator.overload"(arguments);`. Arguments are
/// in the order of the operator's schema. The operators' names become the module's `OPERATORS`.
macro_rules! methods {
    ($($(#[$doc:meta])* fn $name:ident($($parameters:tt)*) -> $result:ty = $operator:literal($($argument:expr),*);)*) => {
        impl Tensor {
            $($(#[$doc])*
            ///
            /// # Errors
            /// If shapes, element types or devices do not fit; the message is libtorch's.
            pub fn $name($($parameters)*) -> Result<$result> {
                let arguments = [$(Arg::from($argument)),*];
                crate::tensor::methods::Results::taken($operator, Tensor::call($operator, &arguments)?)
            })*
        }

        pub(super) const OPERATORS: &[&str] = &[$($operator),*];
    };
}
pub(super) use methods;

/// What a method returns.
pub(super) trait Results: Sized {
    /// Takes the results of `operator`.
    fn taken(operator: &str, results: Vec<Tensor>) -> Result<Self>;
}

impl Results for Tensor {
    fn taken(operator: &str, results: Vec<Tensor>) -> Result<Self> {
        let [result] = array(operator, results)?;
        Ok(result)
    }
}

impl Results for (Tensor, Tensor) {
    fn taken(operator: &str, results: Vec<Tensor>) -> Result<Self> {
        Ok(array(operator, results)?.into())
    }
}

impl Results for Vec<Tensor> {
    fn taken(_: &str, results: Vec<Tensor>) -> Result<Self> {
        Ok(results)
    }
}

fn array<const N: usize>(operator: &str, results: Vec<Tensor>) -> Result<[Tensor; N]> {
    match results.try_into() {
        Ok(results) => Ok(results),
        Err::<_, Vec<Tensor>>(results) => bail!("{operator} returned {} tensors, not {N}", results.len()),
    }
}

impl Tensor {
    /// Names of the operators behind the methods, as [`Tensor::call`] takes them.
    pub fn operators() -> impl Iterator<Item = &'static str> {
        let groups = [
            elementwise::OPERATORS,
            comparison::OPERATORS,
            reduction::OPERATORS,
            indexing::OPERATORS,
            shape::OPERATORS,
            creation::OPERATORS,
            losses::OPERATORS,
        ];
        groups.into_iter().flatten().copied()
    }
}
