//! Where the tensors live: `device`.

use std::{str::FromStr, sync::Once};

use anyhow::{Context as _, Result, bail, ensure};
use tch::Device;

use crate::{near::near, torch::cuda};

/// A device as people ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A GPU where there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, by its number.
    Gpu(usize),
}

impl FromStr for Choice {
    type Err = anyhow::Error;

    /// Reads `auto`, `cpu`, `cuda`, `cuda:1`, `1`.
    fn from_str(name: &str) -> Result<Self> {
        let number = |text: &str| text.strip_prefix("cuda:").unwrap_or(text).trim().parse().ok();
        let parts: Vec<&str> = name.trim_matches(['[', ']', '(', ')']).split(',').collect();
        match (name, parts.as_slice()) {
            ("" | "None" | "auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda" | "gpu", _) => Ok(Self::Gpu(0)),
            (_, [one]) if number(one).is_some() => Ok(Self::Gpu(number(one).unwrap_or(0))),
            (_, [first, _, ..]) if parts.iter().all(|part| number(part).is_some()) => bail!(
                "device={name} names {} GPUs, and this version of the trainer trains on one; take device={first}",
                parts.len()
            ),
            _ => bail!(
                "device={name} must be auto, cpu, or a GPU by its number, such as device=0 or device=cuda:0{}",
                near(name, ["auto", "cpu", "cuda"])
            ),
        }
    }
}

impl Choice {
    /// The device, ready for tensors. Opens the libraries for GPUs where one is wanted.
    ///
    /// # Errors
    /// If a GPU is asked for and cannot be used; the message says why, and what to do.
    pub fn open(self) -> Result<Device> {
        static WARNING: Once = Once::new();
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if !cuda::has_gpu() => Ok(Device::Cpu),
            Self::Auto => Ok(cuda::open().map_or_else(
                |reason| {
                    let slow = "there is a GPU, but everything runs on the processor, which is far slower";
                    WARNING.call_once(|| tracing::warn!("{slow}: {reason:#}"));
                    Device::Cpu
                },
                |_| Device::Cuda(0),
            )),
            Self::Gpu(index) => {
                let asked = || format!("device={index}");
                let cuda = cuda::open().with_context(asked)?;
                let last = cuda.count - 1;
                ensure!(index <= last, "device={index}: there is no such GPU, they are numbered from 0 to {last}");
                cuda.use_device(index).with_context(asked)?;
                Ok(Device::Cuda(index))
            }
        }
    }
}

/// Opens a device as people type it; see [`Choice`].
///
/// # Errors
/// If it is no device, or cannot be used.
pub fn parse(name: &str) -> Result<Device> {
    name.parse::<Choice>()?.open()
}

/// Waits until the device has done everything that it was given; the processor always has.
///
/// # Errors
/// What went wrong there meanwhile.
pub fn synchronize(device: Device) -> Result<()> {
    match device {
        Device::Cuda(index) => cuda::open()?.synchronize(index),
        _ => Ok(()),
    }
}

/// Whether a GPU computes bfloat16 natively (compute capability 8.0 and above); `false` for the CPU.
#[must_use]
pub fn has_bf16(device: Device) -> bool {
    match device {
        Device::Cuda(index) => {
            cuda::open().and_then(|cuda| cuda.properties(index)).is_ok_and(|gpu| gpu.capability >= (8, 0))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_people_type_them() {
        let read = |name: &str| name.parse::<Choice>().unwrap();
        assert!(["auto", "", "None"].into_iter().all(|name| read(name) == Choice::Auto));
        assert_eq!(read("cpu"), Choice::Cpu);
        assert!(["cuda", "0", "cuda:0", "[0]", "(0)"].into_iter().all(|name| read(name) == Choice::Gpu(0)));
        assert_eq!((read("3"), read("cuda:12")), (Choice::Gpu(3), Choice::Gpu(12)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let message = |name: &str| name.parse::<Choice>().unwrap_err().to_string();
        let one = "and this version of the trainer trains on one; take device=";
        assert_eq!(message("0,1"), format!("device=0,1 names 2 GPUs, {one}0"));
        assert_eq!(message("[2, 1, 0]"), format!("device=[2, 1, 0] names 3 GPUs, {one}2"));
        let wanted = "must be auto, cpu, or a GPU by its number, such as device=0 or device=cuda:0";
        assert_eq!(message("mps"), format!("device=mps {wanted}"));
        assert_eq!(message("-1"), format!("device=-1 {wanted}"));
        assert_eq!(message("cpuu"), format!("device=cpuu {wanted}; did you mean `cpu`?"));
        assert_eq!(message("0,x"), format!("device=0,x {wanted}"));
    }

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(parse("cpu").unwrap(), Device::Cpu);
        assert!(!has_bf16(Device::Cpu));
    }
}
