//! How fast a device computes in each type: a convolution of the network, forward and backward.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::device::{dtype, median};
use crate::{device::synchronize, torch::channels_last};

/// What came of one type.
#[derive(Clone, Debug, Serialize)]
pub struct Speed {
    /// Such as `bfloat16`.
    pub dtype: String,
    /// Floating-point operations a second; none where it does not run.
    pub flops: Option<f64>,
    /// Why it does not run.
    pub reason: Option<String>,
}

/// Tries float32, bfloat16 and, on a GPU, float16.
#[must_use]
pub fn speeds(device: Device) -> Vec<Speed> {
    let kinds: &[_] = match device {
        Device::Cpu => &[Kind::Float, Kind::BFloat16],
        _ => &[Kind::Float, Kind::BFloat16, Kind::Half],
    };
    let speed = |&kind: &Kind| {
        let flops = flops(device, kind);
        let reason = flops.as_ref().err().map(|error| format!("{error:#}"));
        Speed { dtype: dtype(kind).into(), flops: flops.ok(), reason }
    };
    kinds.iter().map(speed).collect()
}

/// How much faster than float32 a type is; none where one of them does not run.
#[must_use]
pub fn ratio(speeds: &[Speed], dtype: &str) -> Option<f64> {
    let flops = |name: &str| speeds.iter().find(|speed| speed.dtype == name)?.flops;
    Some(flops(dtype)? / flops("float32")?)
}

fn flops(device: Device, kind: Kind) -> Result<f64> {
    const TIMES: usize = 4;
    let (images, channels, side) = if device == Device::Cpu { (4, 64, 80) } else { (64, 128, 80) };
    let images = Tensor::f_ones([images, channels, side, side], (kind, device))?;
    let images = channels_last(&images)?.set_requires_grad(true);
    let weight = Tensor::f_ones([channels, channels, 3, 3], (kind, device))?.f_mul_scalar(1e-3)?;
    let weight = channels_last(&weight)?.detach().set_requires_grad(true);
    let mut times = Vec::new();
    for _ in 0..=TIMES {
        synchronize(device)?;
        let start = Instant::now();
        let out = images.f_conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)?;
        drop(Tensor::f_run_backward(&[out.f_sum(kind)?], &[&images, &weight], false, false)?);
        synchronize(device)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let per_pass = 2 * images.numel() as i64 * channels * 9;
    Ok(3.0 * per_pass as f64 / median(&mut times[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_compared_with_float32() {
        let speed = |dtype: &str, flops| Speed { dtype: dtype.into(), flops, reason: None };
        let speeds = [speed("float32", Some(2e9)), speed("bfloat16", Some(5e9)), speed("float16", None)];
        assert_eq!((ratio(&speeds, "bfloat16"), ratio(&speeds, "float16")), (Some(2.5), None));
    }
}
