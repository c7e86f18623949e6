//! What holds for the whole process while a run computes: threads, kernels of attention, determinism, precision.

#![allow(unsafe_code)] // one variable of the environment

use std::env;

use anyhow::{Context as _, Result};
use tch::{Device, Kind};

use crate::{
    config::TrainConfig,
    doctor::attention::{Shape, runs, taken},
    threads,
    torch::{
        Determinism, Tf32,
        attention::{Allowed, Kernel},
        cuda,
    },
};

/// Makes the process as the run asks for it, and says which device and which kernel of attention it got, and why. `kind`
/// is what the network is computed in.
///
/// To be called on the main thread, before others start.
///
/// # Errors
/// A kernel of attention that does not run there.
pub fn prepare(train: &TrainConfig, device: Device, kind: Kind) -> Result<()> {
    threads::compute_with(train.threads);
    if let Device::Cuda(_) = device {
        let determinism = if train.deterministic { Determinism::FULL } else { Determinism::FAST };
        determinism.set()?;
        Tf32 { matrices: true, convolutions: true }.set()?;
        if train.deterministic && env::var_os("CUBLAS_WORKSPACE_CONFIG").is_none() {
            // SAFETY: no other thread that could read the environment runs yet; cuBLAS reads it at its first use.
            unsafe { env::set_var("CUBLAS_WORKSPACE_CONFIG", ":4096:8") };
        }
    }
    let shape = Shape::of_network(1, 640);
    if let Some(kernel) = train.attention.kernel() {
        runs(kernel, device, kind, shape).with_context(|| format!("attention={kernel} does not run here"))?;
        // Validation computes in float32, which not every kernel can; it takes what is always there.
        std::mem::forget(Allowed::only(&[kernel, Kernel::Math])); // for good
    }
    let attention = taken(device, kind, shape)?;
    let better = Kernel::ALL.iter().take_while(|kernel| **kernel != attention);
    let why: Vec<_> = match train.attention.kernel() {
        Some(_) => vec!["as asked for".to_owned()],
        None => better
            .filter_map(|kernel| {
                Some(format!("{kernel} does not run: {:#}", runs(*kernel, device, kind, shape).err()?))
            })
            .collect(),
    };
    let why = if why.is_empty() { "libtorch's first choice".to_owned() } else { why.join("; ") };
    tracing::info!("{}; attention: {attention} ({why})", described(device));
    Ok(())
}

fn described(device: Device) -> String {
    match device {
        Device::Cuda(index) => {
            let name = cuda::open().and_then(|cuda| cuda.properties(index)).map(|gpu| gpu.name);
            format!("GPU {index}, {}", name.unwrap_or_default())
        }
        _ => format!("processor, {} threads", tch::get_num_threads()),
    }
}
