//! `trainer bench`: timings on this machine.

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tch::{Device, Kind};

use crate::{
    bench::{self, StepOptions},
    config::RunConfig,
    device,
    doctor::{
        self,
        attention::{Shape, trials},
    },
    model::Keep,
    report::print_result,
    settings::Request,
};

/// What can be timed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum What {
    /// A training step, by its parts
    Step,
    /// Each kernel of attention on the network's shapes, forward and backward
    Attention,
}

/// Times and prints.
pub(super) fn run(what: What, request: &Request, json: bool) -> Result<()> {
    match what {
        What::Step => step(request, json),
        What::Attention => attention(request, json),
    }
}

fn step(request: &Request, json: bool) -> Result<()> {
    let mut request = request.clone();
    let mut number = |key: &str, default: usize| match super::commands::take(&mut request, key) {
        Some(text) => text.parse().with_context(|| format!("{key}={text} must be a whole number")),
        None => Ok(default),
    };
    let (steps, warm_up) = (number("steps", 20)?, number("warm_up", 5)?);
    let keep = match super::commands::take(&mut request, "keep").as_deref() {
        None | Some("fused") => Keep::OutputsFused,
        Some("outputs") => Keep::Outputs,
        Some("everything") => Keep::Everything,
        Some(other) => bail!("keep={other} must be everything, outputs or fused"),
    };
    let (config, registry) = super::commands::resolve(&request, |_| RunConfig::default())?;
    let times = bench::step(&config, &registry, &StepOptions { steps, warm_up, keep })?;
    let images = config.train.batch as f64 / times.step;
    if json {
        let document = json!({
            "model": config.model.name, "imgsz": config.model.imgsz, "batch": config.train.batch, "steps": steps,
            "seconds": times.step, "fastest": times.range[0], "slowest": times.range[1], "forward": times.forward,
            "loss": times.loss, "backward": times.backward, "update": times.update, "images_per_second": images,
            "peak_bytes": times.peak_bytes, "peak_rss": bench::peak_rss(),
        });
        print_result(&document.to_string());
        return Ok(());
    }
    print_result(&format!(
        "{} at {} px, {} images: {:.1} ms a step ({:.1} to {:.1}, {steps} steps), {images:.1} images/s, tensors {} MiB, peak {} MiB",
        config.model.name,
        config.model.imgsz,
        config.train.batch,
        1e3 * times.step,
        1e3 * times.range[0],
        1e3 * times.range[1],
        times.peak_bytes >> 20,
        bench::peak_rss() >> 20
    ));
    let parts = [
        ("forward", times.forward),
        ("loss", times.loss),
        ("backward", times.backward),
        ("optimizer and average", times.update),
    ];
    for (name, time) in parts {
        print_result(&format!("  {name:<22} {:>8.1} ms {:>4.0} %", 1e3 * time, 100.0 * time / times.step));
    }
    Ok(())
}

fn attention(request: &Request, json: bool) -> Result<()> {
    let (config, _) = super::commands::resolve(request, |_| RunConfig::default())?;
    let device = device::parse(&config.train.device)?;
    let shape = Shape::of_network(config.train.batch as i64, config.model.imgsz);
    let kinds: &[_] = match device {
        Device::Cpu => &[Kind::Float, Kind::BFloat16],
        _ => &[Kind::Float, Kind::BFloat16, Kind::Half],
    };
    let mut found = Vec::new();
    for kind in kinds {
        found.extend(trials(device, *kind, shape)?);
    }
    if json {
        print_result(&json!({ "shape": shape, "trials": found }).to_string());
        return Ok(());
    }
    print_result(&format!("attention {shape}"));
    found.iter().for_each(|trial| print_result(&format!("  {:<9} {}", trial.kernel.name(), doctor::of_trial(trial))));
    Ok(())
}
