//! The facts as lines for people: a name, then what is so.

use super::{Facts, attention::Trial, speed};

const MIB: f64 = (1u64 << 20) as f64;
const GIB: f64 = (1u64 << 30) as f64;

/// One fact a line; warnings last.
#[must_use]
pub fn lines(facts: &Facts) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |name: &str, text: String| lines.push(format!("{name:<12} {text}"));
    let file = facts.trainer.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default();
    say("trainer", format!("{}  {file}", facts.trainer.version));
    say("libtorch", format!("{}  {}", facts.libtorch.version, facts.libtorch.folder.display()));
    let processor = &facts.processor;
    let plural = if processor.cores == 1 { "core" } else { "cores" };
    say("processor", format!("{}, {} {plural}, {}", processor.name, processor.cores, processor.instructions));
    if let Some(busy) = processor.busy {
        say("load", format!("{busy:.1} of {} {plural} are busy with other work", processor.cores));
    }
    if let Some(memory) = facts.memory {
        let [available, total] = [memory.available, memory.total].map(|bytes| bytes as f64 / GIB);
        say("memory", format!("{available:.1} of {total:.1} GiB free"));
    }
    say("threads", format!("{}", facts.threads.compute));
    say("wait", facts.threads.wait.clone());

    let gpus = &facts.gpus;
    for (index, gpu) in gpus.usable.iter().enumerate() {
        let cuda_properties = &gpu.properties;
        let (major, minor) = cuda_properties.capability;
        let free = gpu.memory_now.map_or(String::new(), |memory| format!("{:.1} of ", memory.free as f64 / GIB));
        say(
            &format!("gpu {index}"),
            format!(
                "{}, compute capability {major}.{minor}, {} multiprocessors, {free}{:.1} GiB free",
                cuda_properties.name,
                cuda_properties.processors,
                cuda_properties.memory as f64 / GIB
            ),
        );
    }
    if gpus.usable.is_empty() {
        let shown = if gpus.is_shown { "none can be used" } else { "none is shown by the system" };
        say("gpu", shown.to_owned());
        say("cuda", gpus.reason.clone().unwrap_or_default());
    }

    say("device", format!("{}: what follows was tried there", facts.device));
    for speed in &facts.speeds {
        let ratio = speed::ratio(&facts.speeds, &speed.dtype).filter(|_| speed.dtype != "float32");
        let ratio = ratio.map_or(String::new(), |ratio| format!(", {ratio:.2} x float32"));
        let native = if facts.device == "cpu" && speed.dtype == "bfloat16" {
            if processor.has_bf16 { ", by instructions for it" } else { ", without instructions for it" }
        } else {
            ""
        };
        say(
            &speed.dtype,
            match (speed.flops, &speed.reason) {
                (Some(flops), _) => format!("{:.1} GFLOP/s in a convolution{ratio}{native}", flops / 1e9),
                (None, reason) => format!("does not run: {}", reason.as_deref().unwrap_or_default()),
            },
        );
    }
    say(
        "attention",
        format!(
            "{}, as in yolo12s at 640 pixels; libtorch takes {}",
            facts.attention_shape,
            facts.attention_taken.map_or("none", |kernel| kernel.name())
        ),
    );
    facts.attention.iter().for_each(|trial| say(&format!("  {}", trial.kernel), of_trial(trial)));

    let distributed = &facts.distributed;
    say("gloo", if distributed.gloo { "there" } else { "not in this libtorch" }.to_owned());
    say("nccl", distributed.nccl.as_ref().map_or("not there".to_owned(), |file| file.display().to_string()));
    let tensorrt: Vec<_> = facts.tensorrt.iter().map(|file| file.display().to_string()).collect();
    say("tensorrt", if tensorrt.is_empty() { "not there".to_owned() } else { tensorrt.join(", ") });
    let usable = &facts.plugins.usable;
    say("plugins", if usable.is_empty() { "none found".to_owned() } else { some(usable) });
    for file in &facts.environment.preloaded {
        say("preloaded", file.display().to_string());
    }
    for (folder, names) in &facts.environment.search_path {
        say("search path", format!("{} (LD_LIBRARY_PATH) holds {}", folder.display(), some(names)));
    }
    facts.warnings.iter().for_each(|warning| say("warning", warning.clone()));
    lines
}

/// The first names of a list.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// What came of one kernel of attention, in a line.
#[must_use]
pub fn of_trial(trial: &Trial) -> String {
    let Some(cost) = trial.cost else {
        return format!("does not run in {}: {}", trial.dtype, trial.reason.as_deref().unwrap_or_default());
    };
    let memory = cost.peak_bytes.map_or(String::new(), |bytes| format!(", {:.1} MiB", bytes as f64 / MIB));
    format!(
        "runs in {}: {:.2} ms forward and backward{memory}, within {:.0e} of float64",
        trial.dtype,
        1e3 * cost.seconds,
        cost.error
    )
}
