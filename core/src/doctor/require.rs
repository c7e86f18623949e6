//! `--require`: what must hold, or the exit code says that it does not.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};

use super::{Facts, speed};
use crate::{device::Choice, near::near, torch::attention::Kernel};

/// Something that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// That kernel of attention runs.
    Attention(Kernel),
    /// What is meant by `device` can be used.
    Device(Choice),
    /// bfloat16 runs, and is no slower than float32.
    Bf16,
    /// Processes can train together on processors.
    Gloo,
    /// Processes can train together on GPUs.
    Nccl,
    /// A library of TensorRT is there.
    Tensorrt,
    /// No plugin is refused or hidden.
    Plugins,
    /// No library is in the process twice.
    OneOfEach,
}

const NAMES: [(&str, Requirement); 6] = [
    ("bf16", Requirement::Bf16),
    ("gloo", Requirement::Gloo),
    ("nccl", Requirement::Nccl),
    ("tensorrt", Requirement::Tensorrt),
    ("plugins", Requirement::Plugins),
    ("one-of-each", Requirement::OneOfEach),
];

impl FromStr for Requirement {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((_, requirement)) = NAMES.iter().find(|(name, _)| *name == text) {
            return Ok(*requirement);
        }
        match text.split_once('=') {
            Some(("attention", kernel)) => Ok(Self::Attention(kernel.parse()?)),
            Some(("device", device)) => Ok(Self::Device(device.parse()?)),
            _ => {
                let word = text.split('=').next().unwrap_or(text);
                let names = || NAMES.iter().map(|(name, _)| *name);
                bail!(
                    "there is no requirement `{text}`; there are attention=KERNEL, device=DEVICE, {}{}",
                    names().collect::<Vec<_>>().join(", "),
                    near(word, ["attention", "device"].into_iter().chain(names()))
                )
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Attention(kernel) => write!(f, "attention={kernel}"),
            Self::Device(Choice::Auto) => f.write_str("device=auto"),
            Self::Device(Choice::Cpu) => f.write_str("device=cpu"),
            Self::Device(Choice::Gpu(index)) => write!(f, "device=cuda:{index}"),
            named => f.write_str(NAMES.iter().find(|(_, known)| known == named).map_or("", |(name, _)| name)),
        }
    }
}

impl Requirement {
    /// Why it does not hold; none where it does.
    #[must_use]
    pub fn fault(self, facts: &Facts) -> Option<String> {
        let unless = |holds: bool, fault: &str| (!holds).then(|| fault.to_owned());
        match self {
            Self::Attention(kernel) => {
                let trial = facts.attention.iter().find(|trial| trial.kernel == kernel);
                let reason = trial.and_then(|trial| trial.reason.clone());
                match trial {
                    Some(trial) if trial.cost.is_some() => None,
                    _ => Some(format!(
                        "it does not run on {} in {}: {}",
                        facts.device,
                        trial.map_or("any type", |trial| &trial.dtype),
                        reason.unwrap_or_default()
                    )),
                }
            }
            Self::Device(choice) => choice.open().err().map(|reason| {
                let text = format!("{reason:#}");
                text.split_once(": ")
                    .filter(|(key, _)| key.starts_with("device="))
                    .map_or(text.clone(), |(_, it)| it.into())
            }),
            Self::Bf16 => {
                let ratio = speed::ratio(&facts.speeds, "bfloat16");
                match ratio {
                    Some(ratio) if ratio >= 1.0 => None,
                    Some(ratio) => Some(format!("it runs, but at {ratio:.2} of the speed of float32")),
                    None => Some("it does not run".to_owned()),
                }
            }
            Self::Gloo => unless(facts.distributed.gloo, "this libtorch has none"),
            Self::Nccl => unless(facts.distributed.nccl.is_some(), "libnccl.so is not there"),
            Self::Tensorrt => {
                unless(!facts.tensorrt.is_empty(), "neither libnvinfer.so nor libtensorrt_rtx.so is there")
            }
            Self::Plugins => (!facts.plugins.unusable.is_empty()).then(|| facts.plugins.unusable.join("; ")),
            Self::OneOfEach => {
                let warnings = facts.environment.warnings();
                (!warnings.is_empty()).then(|| warnings.join("; "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_read_and_shown_alike() {
        for text in ["attention=flash", "attention=math", "device=cuda:1", "device=cpu", "bf16", "nccl", "one-of-each"]
        {
            assert_eq!(text.parse::<Requirement>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn unknown_ones_are_refused_with_the_nearest() {
        let message = |text: &str| text.parse::<Requirement>().unwrap_err().to_string();
        let known = "attention=KERNEL, device=DEVICE, bf16, gloo, nccl, tensorrt, plugins, one-of-each";
        assert_eq!(
            message("atention=flash"),
            format!("there is no requirement `atention=flash`; there are {known}; did you mean `attention`?")
        );
        assert!(message("bf61").ends_with("; did you mean `bf16`?"));
        assert!(message("attention=flush").ends_with("; did you mean `flash`?"));
        assert!(message("device=gpx").starts_with("device=gpx must be auto, cpu, or a GPU"));
    }
}
