//! Whether each kernel of attention really runs on a device, on the shapes of the network: by running it.

use std::{fmt, time::Instant};

use anyhow::{Result, anyhow, ensure};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::device::{Meter, dtype, median};
use crate::device::synchronize;
use crate::torch::attention::{Allowed, Kernel, choice};

/// Queries, keys and values (rows, heads, tokens, channels).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Shape {
    /// Images times areas.
    pub rows: i64,
    /// Heads, of 32 channels in all of YOLOv12.
    pub heads: i64,
    /// Tokens of an area; 400 at 640 pixels, in both places of the network that attend.
    pub tokens: i64,
    /// Channels of a head.
    pub channels: i64,
}

impl Shape {
    /// What yolo12s attends to at stride 16, where the map is cut into four areas; `imgsz` is the side of the input.
    #[must_use]
    pub fn of_network(images: i64, imgsz: u32) -> Self {
        let side = i64::from(imgsz / 32);
        Self { rows: 4 * images, heads: 4, tokens: side * side, channels: 32 }
    }

    /// Queries, keys and values, laid out in memory as the network has them: side by side in the channels.
    fn draw(self, kind: Kind, device: Device) -> Result<[Tensor; 3]> {
        let Self { rows, heads, tokens, channels } = self;
        let size = [rows, tokens, heads, 3 * channels];
        // A pattern in place of random numbers, whose generator is the run's.
        let count = size.iter().product::<i64>();
        let flat = Tensor::f_arange(count, (Kind::Double, Device::Cpu))?.f_mul_scalar(0.7)?.f_sin()?;
        let all = flat.f_view(size)?.f_to_device(device)?.f_to_kind(kind)?.f_transpose(1, 2)?;
        let part = |i: i64| anyhow::Ok(all.f_narrow(-1, i * channels, channels)?.detach().set_requires_grad(true));
        Ok([part(0)?, part(1)?, part(2)?])
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { rows, heads, tokens, channels } = self;
        write!(f, "{rows} x {heads} heads, {tokens} tokens, {channels} channels")
    }
}

/// What came of one kernel.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// Which.
    pub kernel: Kernel,
    /// What the inputs are of.
    pub dtype: String,
    /// What it took; none where it does not run.
    pub cost: Option<Cost>,
    /// Why it does not run.
    pub reason: Option<String>,
}

/// What forward and backward pass took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cost {
    /// Seconds, the median.
    pub seconds: f64,
    /// Bytes above those of the inputs, at their most; none where nobody counts.
    pub peak_bytes: Option<u64>,
    /// The largest difference from the same attention in float64, on outputs of at most 1.
    pub error: f64,
}

/// Tries each kernel, on its own, forward and backward.
///
/// # Errors
/// If the device cannot even hold the inputs.
pub fn trials(device: Device, kind: Kind, shape: Shape) -> Result<Vec<Trial>> {
    let small = Shape { rows: 1, ..shape };
    let exact = {
        let _allowed = Allowed::only(&[Kernel::Math]);
        let [query, key, value] = small.draw(kind, device)?;
        let double = |tensor: &Tensor| tensor.detach().f_to_kind(Kind::Double);
        attend(&double(&query)?, &double(&key)?, &double(&value)?)?
    };
    let trial = |kernel: Kernel| {
        let cost = try_out(kernel, device, kind, shape, &exact);
        let reason = cost.as_ref().err().map(|error| reason(kernel, device, &format!("{error:#}")));
        Trial { kernel, dtype: dtype(kind).into(), cost: cost.ok(), reason }
    };
    Ok(Kernel::ALL.map(trial).to_vec())
}

/// The kernel that libtorch takes by itself.
///
/// # Errors
/// If none runs.
pub fn taken(device: Device, kind: Kind, shape: Shape) -> Result<Kernel> {
    let [query, key, value] = Shape { rows: 1, ..shape }.draw(kind, device)?;
    choice(&query, &key, &value)
}

/// Tries one kernel on one row.
///
/// # Errors
/// Why it does not run.
pub fn runs(kernel: Kernel, device: Device, kind: Kind, shape: Shape) -> Result<()> {
    let _allowed = Allowed::only(&[kernel]);
    let [query, key, value] = Shape { rows: 1, ..shape }.draw(kind, device)?;
    let chosen = choice(&query, &key, &value).map(drop);
    chosen.map_err(|error| anyhow!("{}", reason(kernel, device, &format!("{error:#}"))))
}

fn attend(query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
    let no_mask = None::<Tensor>;
    Ok(Tensor::f_scaled_dot_product_attention(query, key, value, no_mask, 0.0, false, None::<f64>, false)?)
}

fn try_out(kernel: Kernel, device: Device, kind: Kind, shape: Shape, exact: &Tensor) -> Result<Cost> {
    const TIMES: usize = 5;
    const MOST_ERROR: f64 = 0.02; // of bfloat16, on outputs below 1
    let _allowed = Allowed::only(&[kernel]);
    let [query, key, value] = Shape { rows: 1, ..shape }.draw(kind, device)?;
    choice(&query, &key, &value)?;
    let error = (attend(&query, &key, &value)?.f_to_kind(Kind::Double)? - exact).abs().max().f_double_value(&[])?;
    ensure!(error < MOST_ERROR, "it runs, but its results are wrong by up to {error:.3}");

    let [query, key, value] = shape.draw(kind, device)?;
    let meter = Meter::start(device);
    let mut times = Vec::new();
    for _ in 0..=TIMES {
        synchronize(device)?;
        let start = Instant::now();
        let loss = attend(&query, &key, &value)?.f_sum(kind)?;
        let gradients = Tensor::f_run_backward(&[loss], &[&query, &key, &value], false, false)?;
        synchronize(device)?;
        times.push(start.elapsed().as_secs_f64());
        drop(gradients);
    }
    Ok(Cost { seconds: median(&mut times[1..]), peak_bytes: meter.peak(), error })
}

/// libtorch's lines in one, without those that only announce others.
fn reason(kernel: Kernel, device: Device, message: &str) -> String {
    if device == Device::Cpu && [Kernel::Efficient, Kernel::Cudnn].contains(&kernel) {
        return "libtorch has it for GPUs alone".to_owned();
    }
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let told: Vec<_> = lines.clone().filter(|line| !line.ends_with("because:") && !line.starts_with("No ")).collect();
    // The first line is that no kernel can be taken; what follows says why.
    let first = lines.clone().next().unwrap_or_default();
    let why: Vec<_> = told.into_iter().filter(|line| *line != first).collect();
    if why.is_empty() { first.to_owned() } else { why.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_that_follow_the_announcement() {
        let told = "No available kernel. Aborting execution.\nFlash attention kernel not used because:\n\
            Flash attention only supports sm80 or newer\n";
        let reason = |kernel, told| reason(kernel, Device::Cuda(0), told);
        assert_eq!(reason(Kernel::Flash, told), "Flash attention only supports sm80 or newer");
        assert_eq!(reason(Kernel::Math, "CUDA out of memory"), "CUDA out of memory");
    }

    #[test]
    fn inputs_lie_side_by_side_as_in_the_network() {
        let shape = Shape { rows: 2, heads: 3, tokens: 5, channels: 4 };
        let [query, _, value] = shape.draw(Kind::Float, Device::Cpu).unwrap();
        assert_eq!(value.size(), [2, 3, 5, 4]);
        assert_eq!(value.stride(), [180, 12, 36, 1]);
        let at = |place: f64| (0.7 * place).sin() as f32;
        assert_eq!(query.double_value(&[1, 2, 3, 1]) as f32, at(180.0 + 3.0 * 36.0 + 2.0 * 12.0 + 1.0));
        assert_eq!(value.double_value(&[0, 0, 0, 0]) as f32, at(8.0));
    }
}
