//! What the network is computed in: `amp`. Parameters, statistics, gradients of parameters and the loss stay in float32.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

/// Automatic mixed precision, as people type it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Amp {
    /// On where there is a GPU.
    #[default]
    Auto,
    /// bfloat16 on the CPU and on GPUs that have it, else float16.
    #[serde(alias = "true", alias = "True")]
    On,
    /// float32 everywhere.
    #[serde(alias = "false", alias = "False", alias = "None")]
    Off,
    /// bfloat16: the range of float32 with 8 bits of precision; needs no scaling of the loss.
    Bf16,
    /// float16: 11 bits of precision and a small range, so that the loss is scaled.
    Fp16,
}

impl Amp {
    /// What the network is computed in on `device`; `has_bf16` says whether that is a GPU with bfloat16.
    ///
    /// # Errors
    /// float16 on the CPU.
    pub fn kind(self, device: Device, has_bf16: bool) -> Result<Kind> {
        let is_cpu = device == Device::Cpu;
        Ok(match self {
            Self::Off => Kind::Float,
            Self::Auto if is_cpu => Kind::Float,
            Self::Fp16 if is_cpu => bail!(
                "amp=fp16 has no use on the CPU, which computes float16 more slowly than float32; take amp=bf16, or \
                 amp=False"
            ),
            Self::Fp16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
            Self::Auto | Self::On if is_cpu || has_bf16 => Kind::BFloat16,
            Self::Auto | Self::On => Kind::Half,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_gets_what_suits_it() {
        let kinds = |device, has_bf16| {
            [Amp::Auto, Amp::On, Amp::Off, Amp::Bf16, Amp::Fp16].map(|amp| amp.kind(device, has_bf16).ok())
        };
        let (float, bf16, half) = (Some(Kind::Float), Some(Kind::BFloat16), Some(Kind::Half));
        assert_eq!(kinds(Device::Cpu, false), [float, bf16, float, bf16, None]);
        assert_eq!(kinds(Device::Cuda(0), true), [bf16, bf16, float, bf16, half]);
        assert_eq!(kinds(Device::Cuda(0), false), [half, half, float, bf16, half]);
        let message = Amp::Fp16.kind(Device::Cpu, true).unwrap_err().to_string();
        assert!(message.starts_with("amp=fp16 has no use on the CPU"), "{message}");
    }
}
