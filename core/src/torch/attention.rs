//! Which kernels scaled-dot-product attention may take, and which it takes.

#![allow(unsafe_code)] // C++ functions

use std::{fmt, str::FromStr};

use anyhow::{Context as _, Result, anyhow};
use serde::{Deserialize, Serialize};
use tch::Tensor;
use trainer_sdk::abi::{Opaque, Sink, Status};

use super::failure;

unsafe extern "C" {
    safe fn trainer_attention_kernels() -> u32;
    safe fn trainer_attention_allow(kernels: u32);
    fn trainer_attention_choice(query: Opaque, key: Opaque, value: Opaque, kernel: *mut u32, error: Sink) -> Status;
}

/// A kernel of scaled-dot-product attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kernel {
    /// FlashAttention: one pass, the matrix of weights is never in memory.
    Flash = 1,
    /// Memory-efficient attention: as flash, for more shapes, types and older GPUs.
    Efficient = 2,
    /// Matrix products and softmax: runs everywhere, and keeps the matrix of weights.
    Math = 4,
    /// cuDNN's own.
    Cudnn = 8,
}

impl Kernel {
    /// All, in the order in which libtorch tries them.
    pub const ALL: [Self; 4] = [Self::Flash, Self::Efficient, Self::Math, Self::Cudnn];

    /// As users type it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Flash => "flash",
            Self::Efficient => "efficient",
            Self::Math => "math",
            Self::Cudnn => "cudnn",
        }
    }
}

/// `attention`, as people type it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// What libtorch takes by itself.
    #[default]
    Auto,
    /// See [`Kernel`].
    Flash,
    /// See [`Kernel`].
    Efficient,
    /// See [`Kernel`].
    Math,
    /// See [`Kernel`].
    Cudnn,
}

impl Attention {
    /// The kernel that is asked for, if one is.
    #[must_use]
    pub fn kernel(self) -> Option<Kernel> {
        match self {
            Self::Auto => None,
            Self::Flash => Some(Kernel::Flash),
            Self::Efficient => Some(Kernel::Efficient),
            Self::Math => Some(Kernel::Math),
            Self::Cudnn => Some(Kernel::Cudnn),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kernel {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.name() == text).ok_or_else(|| {
            let near = crate::near::near(text, Self::ALL.map(Self::name));
            anyhow!("attention={text}: the kernels of attention are flash, efficient, math and cudnn{near}")
        })
    }
}

/// The kernels that may be taken, for the whole process, until this is dropped.
#[must_use]
pub struct Allowed {
    before: u32,
}

impl Allowed {
    /// Allows these and no others.
    pub fn only(kernels: &[Kernel]) -> Self {
        let before = trainer_attention_kernels();
        trainer_attention_allow(kernels.iter().fold(0, |bits, kernel| bits | *kernel as u32));
        Self { before }
    }
}

impl Drop for Allowed {
    fn drop(&mut self) {
        trainer_attention_allow(self.before);
    }
}

/// The kernel that attention of these queries, keys and values (B, heads, tokens, channels) takes at present.
///
/// # Errors
/// If none of those that are allowed can, with libtorch's reasons, a line each.
pub fn choice(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Kernel> {
    let handle = |tensor: &Tensor| tensor.as_ptr().cast_mut().cast();
    let (mut bit, mut error) = (0, Vec::new());
    // SAFETY: live tensors; the places outlive the call.
    let status = unsafe {
        trainer_attention_choice(handle(query), handle(key), handle(value), &raw mut bit, Sink::to(&mut error))
    };
    failure(status, &error)?;
    Kernel::ALL.into_iter().find(|kernel| *kernel as u32 == bit).context("a kernel that the trainer does not know")
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;
    use crate::own_process;

    #[test]
    fn only_what_is_allowed_is_taken() {
        own_process::run("torch::attention::tests::only_what_is_allowed_is_taken", || {
            let x = Tensor::rand([2, 2, 8, 32], (Kind::Float, Device::Cpu));
            let attend =
                || Tensor::scaled_dot_product_attention(&x, &x, &x, None::<Tensor>, 0.0, false, None::<f64>, false);
            assert_eq!(choice(&x, &x, &x).unwrap(), Kernel::Flash, "what libtorch takes by itself");
            let flash = attend();
            let allowed = Allowed::only(&[Kernel::Math]);
            assert_eq!(choice(&x, &x, &x).unwrap(), Kernel::Math);
            let difference = (attend() - &flash).abs().max().double_value(&[]);
            assert!(difference < 1e-6, "{difference}");
            let none = Allowed::only(&[Kernel::Efficient]);
            let message = choice(&x, &x, &x).unwrap_err().to_string();
            assert!(message.starts_with("No viable backend for scaled_dot_product_attention was found."), "{message}");
            drop(none);
            assert_eq!(choice(&x, &x, &x).unwrap(), Kernel::Math, "what was allowed before");
            drop(allowed);
            assert_eq!(choice(&x, &x, &x).unwrap(), Kernel::Flash);
        });
    }

    #[test]
    fn kernels_are_read_as_they_are_typed() {
        assert!(Kernel::ALL.into_iter().all(|kernel| kernel.name().parse::<Kernel>().unwrap() == kernel));
        let message = "flsh".parse::<Kernel>().unwrap_err().to_string();
        let known = "attention=flsh: the kernels of attention are flash, efficient, math and cudnn";
        assert_eq!(message, format!("{known}; did you mean `flash`?"));
    }
}
