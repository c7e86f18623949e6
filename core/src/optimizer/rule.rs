//! Which rule moves the weights, by name or by what `optimizer=auto` chooses.

use std::fmt;

use anyhow::{Result, bail};

/// Which rule moves the weights, with its starting rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Learning rate.
    pub lr: f64,
    /// Momentum of SGD and MuSGD, first beta of AdamW.
    pub momentum: f64,
}

/// The algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Sutskever et al. 2013, as libtorch computes it.
    SgdNesterov,
    /// Loshchilov and Hutter 2019; betas (momentum, 0.999), eps 1e-8.
    AdamW,
    /// Weights by Muon (Jordan et al. 2024) and SGD together, everything else by SGD alone.
    MuSgd,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::SgdNesterov => "SGD",
            Self::AdamW => "AdamW",
            Self::MuSgd => "MuSGD",
        })
    }
}

/// What `optimizer=auto` depends on.
#[derive(Clone, Copy, Debug)]
pub struct RunSize {
    /// Training images.
    pub images: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Nominal batch: images in an optimizer step.
    pub nbs: usize,
    /// Epochs of the run.
    pub epochs: usize,
    /// Classes.
    pub classes: usize,
}

impl Rule {
    /// The rule of that name. `auto` follows ultralytics 8.3.63 (SGD above 10,000 steps, else AdamW at a rate by the
    /// number of classes), except that an `lr` or `momentum` set by the user stays.
    ///
    /// # Errors
    /// If the name is unknown.
    pub fn named(name: &str, lr: Option<f64>, momentum: Option<f64>, size: RunSize) -> Result<Self> {
        let steps = size.images.div_ceil(size.batch.max(size.nbs)) * size.epochs;
        let (algorithm, default_lr, default_momentum) = match name.to_lowercase().as_str() {
            "sgd" => (Algorithm::SgdNesterov, 0.01, 0.937),
            "adamw" => (Algorithm::AdamW, 0.01, 0.937),
            "musgd" => (Algorithm::MuSgd, 0.01, 0.937),
            // SGD's momentum ends at 0.937 in the reference, whatever its message says: warm-up leads there.
            "auto" if steps > 10_000 => (Algorithm::SgdNesterov, 0.01, 0.937),
            "auto" => (Algorithm::AdamW, (0.002 * 5.0 / (4.0 + size.classes as f64) * 1e6).round() / 1e6, 0.9),
            _ => bail!("unknown optimizer `{name}`; known are auto, SGD, AdamW, MuSGD"),
        };
        Ok(Self { algorithm, lr: lr.unwrap_or(default_lr), momentum: momentum.unwrap_or(default_momentum) })
    }

    /// Tensors of state that each parameter has, at most.
    #[must_use]
    pub fn moments(&self) -> u64 {
        match self.algorithm {
            Algorithm::SgdNesterov => 1,
            Algorithm::AdamW | Algorithm::MuSgd => 2,
        }
    }
}
