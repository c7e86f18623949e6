//! Why training would be slow here, or go wrong, and what to do.

use super::{Facts, speed};
use crate::torch::attention::Kernel;

const GIB: f64 = (1u64 << 30) as f64;

/// A sentence each.
pub(super) fn warnings(facts: &Facts) -> Vec<String> {
    [of_gpus(facts), of_processor(facts), of_attention(facts), of_memory(facts), of_libtorch(facts)]
        .concat()
        .into_iter()
        .chain(facts.environment.warnings())
        .chain(facts.plugins.unusable.clone())
        .collect()
}

fn of_gpus(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    match &facts.gpus.reason {
        Some(reason) if facts.gpus.is_shown => {
            warnings.push(format!("there is a GPU, but training would run on the processor: {reason}"));
        }
        _ => {}
    }
    for (index, gpu) in facts.gpus.usable.iter().enumerate() {
        let (major, minor) = gpu.properties.capability;
        if (major, minor) < (8, 0) {
            warnings.push(format!(
                "GPU {index} has compute capability {major}.{minor}: no bfloat16, so amp scales float16, and no flash attention"
            ));
        }
        if let Some(memory) = gpu.memory_now
            && memory.free < memory.total / 2
        {
            warnings.push(format!(
                "GPU {index} has {:.1} of its {:.1} GiB free: other processes hold the rest, and the batch that fits is smaller",
                memory.free as f64 / GIB,
                memory.total as f64 / GIB
            ));
        }
    }
    warnings
}

fn of_processor(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    let (processor, threads) = (&facts.processor, facts.threads.compute);
    if threads < processor.cores && facts.device == "cpu" {
        let by = facts.threads.limited_by.as_deref().map_or(String::new(), |by| format!(" ({by})"));
        warnings
            .push(format!("{threads} of {} cores compute{by}; threads={} uses all", processor.cores, processor.cores));
    }
    if threads > processor.cores {
        warnings.push(format!(
            "{threads} threads compute on {} cores, which slows all of them; take threads={}",
            processor.cores, processor.cores
        ));
    }
    if let Some(busy) = processor.busy.filter(|busy| *busy >= 0.5) {
        warnings.push(format!(
            "other processes keep {busy:.1} of {} cores busy; training gets what is left",
            processor.cores
        ));
    }
    if processor.instructions == "DEFAULT" {
        warnings.push("the processor has no AVX2, so libtorch computes several times more slowly".to_owned());
    }
    warnings
}

fn of_attention(facts: &Facts) -> Vec<String> {
    let mut warnings = Vec::new();
    let runs = |kernel| facts.attention.iter().any(|trial| trial.kernel == kernel && trial.cost.is_some());
    if !runs(Kernel::Flash) && !runs(Kernel::Efficient) {
        warnings.push(
            "neither flash nor efficient attention runs: attention keeps its whole matrix, which takes time and memory"
                .to_owned(),
        );
    }
    if let Some(ratio) = speed::ratio(&facts.speeds, "bfloat16").filter(|ratio| *ratio < 1.0) {
        warnings.push(format!("bfloat16 runs at {ratio:.2} of the speed of float32 here; leave amp off"));
    }
    warnings
}

fn of_memory(facts: &Facts) -> Vec<String> {
    const LEAST: f64 = 4.0;
    let free = facts.memory.map(|memory| memory.available as f64 / GIB).filter(|free| *free < LEAST);
    free.map(|free| format!("{free:.1} GiB of memory are free; take a small batch, or end what holds the rest"))
        .into_iter()
        .collect()
}

fn of_libtorch(facts: &Facts) -> Vec<String> {
    let libtorch = &facts.libtorch;
    let mut warnings = Vec::new();
    if libtorch.version != libtorch.built_for {
        warnings.push(format!(
            "libtorch {} is loaded, the trainer is built for {}: crashes are likely",
            libtorch.version, libtorch.built_for
        ));
    }
    if libtorch.folder != libtorch.linked_to && libtorch.linked_to.is_dir() {
        warnings.push(format!(
            "libtorch comes from {}, not from {}, which the trainer is linked to; look at LD_LIBRARY_PATH",
            libtorch.folder.display(),
            libtorch.linked_to.display()
        ));
    }
    warnings
}
