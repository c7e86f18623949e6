//! Unit tests of plugins, without the trainer and its 543 MB of libtorch.
//!
//! - Augmentations run on real pixels, through the trainer's own samples and renderer: [`AugmentBench`].
//! - Schedulers run over a simulated training: [`SimulatedRun`].
//! - Exporters get a model of a few tensors: [`ModelBench`]. It has no network, hence no ONNX.
//! - Losses run on a stand-in for tensors: [`LossBench`]. It has no gradients; `trainer plugin check` has.
//!
//! What only `trainer plugin check FILE` can do: gradients against central differences, half precision, leaks, threads,
//! crashes, and everything that happens at the boundary itself.
//!
//! The kit holds a small stand-in for the trainer's tensors: dense `f32`, `f64`, `i64` and `bool` tensors in plain
//! memory, with libtorch's rules for broadcasting, element types and errors. It has every operator behind the methods
//! of [`Tensor`] and the comparisons ([`operators`] lists them); results of single floats are computed in double
//! precision and rounded once, so they equal libtorch's to the last digit or two. What it has not: gradients
//! (`requires_grad` is always false), half precision, devices, and the rest of ATen: [`Tensor::call`] says that there
//! is no such operator. Those need the trainer itself.
//!
//! The first tensor that a test makes puts the kit in the trainer's place. Where the trainer is in the process, its
//! tensors are used instead, and [`LossBench`] runs on libtorch.
//!
//! ```
//! use trainer_sdk::{Loss, LossContext, Result, Targets, testing::{self, LossBench}};
//!
//! struct Halve;
//!
//! impl Loss for Halve {
//!     fn targets(&mut self, targets: &mut Targets, _cx: &LossContext) -> Result<()> {
//!         targets.set_scores(&targets.scores()?.mul_scalar(0.5)?)
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let mut bench = LossBench::new(testing::tensor(&[0.8, 0.0, 0.0, 0.0], &[1, 2, 2])); // one image, two anchors
//! let scores = bench.targets(&mut Halve)?.to_vec()?;
//! testing::assert_close(&scores, &[0.4, 0.0, 0.0, 0.0], 1e-12);
//! # Ok(())
//! # }
//! ```
//!
//! Helpers here panic where an author's test is wrong: in a test, that is the report.

mod arguments;
mod bench;
mod dense;
mod fields;
mod model;
mod operators;
mod registered;
mod run;
mod samples;
mod table;
#[cfg(test)]
mod tests;

pub use bench::LossBench;
pub use model::ModelBench;
pub use registered::{Registered, component};
pub use run::SimulatedRun;
pub use samples::{AugmentBench, picture, sample};
pub use table::call;

use crate::{Dtype, Tensor};

/// Names of the operators that the kit has, as [`Tensor::call`] takes them.
pub fn operators() -> impl Iterator<Item = &'static str> {
    operators::OPERATORS.iter().map(|operator| operator.name)
}

/// A double tensor; `.to_dtype(Dtype::F32)` makes single floats of it.
///
/// # Panics
/// If `values` are not as many as `size` says.
#[must_use]
pub fn tensor(values: &[f64], size: &[i64]) -> Tensor {
    made(Dtype::F64, &values.iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<_>>(), size)
}

/// An int64 tensor, for indices and classes.
///
/// # Panics
/// As [`tensor`].
#[must_use]
pub fn ints(values: &[i64], size: &[i64]) -> Tensor {
    made(Dtype::I64, &values.iter().flat_map(|x| x.to_ne_bytes()).collect::<Vec<_>>(), size)
}

/// A bool tensor, for masks.
///
/// # Panics
/// As [`tensor`].
#[must_use]
pub fn bools(values: &[bool], size: &[i64]) -> Tensor {
    made(Dtype::BOOL, &values.iter().map(|&x| u8::from(x)).collect::<Vec<_>>(), size)
}

fn made(dtype: Dtype, bytes: &[u8], size: &[i64]) -> Tensor {
    table::install();
    Tensor::from_bytes(dtype, bytes, size).unwrap_or_else(|reason| panic!("cannot make this tensor: {reason:#}"))
}

/// Asserts that two lists of numbers are equal to `tolerance` (absolute); not-a-number equals only itself.
///
/// # Panics
/// If they are not; the message shows both lists.
pub fn assert_close(got: &[f64], wanted: &[f64], tolerance: f64) {
    let close = |(a, b): (&f64, &f64)| a == b || (a - b).abs() <= tolerance || a.is_nan() && b.is_nan();
    let equal = got.len() == wanted.len() && got.iter().zip(wanted).all(close);
    assert!(equal, "not equal to {tolerance:e}:\n   got {got:?}\nwanted {wanted:?}");
}
