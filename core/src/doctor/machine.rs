//! The processor and the memory, as this process gets them.

use std::{fs, thread, time::Duration};

use serde::Serialize;

/// The processor.
#[derive(Clone, Debug, Serialize)]
pub struct Processor {
    /// Its model.
    pub name: String,
    /// Cores that this process may use, quotas of a container counted in.
    pub cores: usize,
    /// The instructions that libtorch's kernels use.
    pub instructions: String,
    /// Whether it computes bfloat16 itself.
    pub has_bf16: bool,
    /// Cores that others keep busy at present.
    pub busy: Option<f64>,
}

/// The memory.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ram {
    /// Bytes of the machine, or of the container where that has less.
    pub total: u64,
    /// Bytes that are free, or are soon where they are asked for.
    pub available: u64,
}

impl Processor {
    /// Of this machine; takes a tenth of a second.
    #[must_use]
    pub fn found(instructions: &str) -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.split_once(": "));
        let flags = field("flags").or(field("Features")).map_or("", |(_, flags)| flags);
        Self {
            name: field("model name").map_or("unknown", |(_, name)| name).to_owned(),
            cores: cores(),
            instructions: instructions.to_owned(),
            has_bf16: flags.split(' ').any(|flag| ["avx512_bf16", "amx_bf16", "bf16"].contains(&flag)),
            busy: busy_cores(),
        }
    }
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Cores that are kept busy at present, this process's share counted in, over a tenth of a second; none where the system
/// does not say.
#[must_use]
pub fn busy_cores() -> Option<f64> {
    const SPAN: Duration = Duration::from_millis(100);
    let before = ticks(&fs::read_to_string("/proc/stat").ok()?)?;
    thread::sleep(SPAN);
    let after = ticks(&fs::read_to_string("/proc/stat").ok()?)?;
    let (busy, all) = (after.0 - before.0, after.1 - before.1);
    let lines = fs::read_to_string("/proc/stat").ok()?;
    let cores = lines.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    (all > 0).then(|| busy as f64 / all as f64 * cores as f64)
}

/// Busy ticks and all ticks of the processor's line in `/proc/stat`: user nice system idle iowait irq softirq steal.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers: Vec<u64> = line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let all: u64 = numbers.iter().sum();
    Some((all - numbers.get(3)? - numbers.get(4)?, all))
}

impl Ram {
    /// Of this machine; none where the system does not say.
    #[must_use]
    pub fn found() -> Option<Self> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let of_machine = Self { total: field(&text, "MemTotal:")?, available: field(&text, "MemAvailable:")? };
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        // A container's limit, in both versions of control groups.
        let places = [
            ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        ];
        let limit = places.into_iter().find_map(|(limit, used)| Some((number(limit)?, number(used)?)));
        Some(limit.map_or(of_machine, |(limit, used)| of_machine.within(limit, used)))
    }

    fn within(self, limit: u64, used: u64) -> Self {
        let available = self.available.min(limit.saturating_sub(used));
        if limit < self.total { Self { total: limit, available } } else { self }
    }
}

/// A line of `/proc/meminfo`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_busy_unless_idle_or_waiting_for_a_disk() {
        let stat = "cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 5 10 15 200 25 3 3 4 0 0\n";
        assert_eq!(ticks(stat), Some((81, 531)));
        assert_eq!(ticks("cpu  1 x"), None);
    }

    #[test]
    fn a_containers_limit_counts_where_it_is_less() {
        let ram = Ram { total: 100, available: 60 };
        let found = |limit, used| {
            let Ram { total, available } = ram.within(limit, used);
            (total, available)
        };
        assert_eq!(found(50, 20), (50, 30));
        assert_eq!(found(80, 10), (80, 60), "the machine has less than that free");
        assert_eq!(found(u64::MAX, 10), (100, 60));
        assert_eq!(field("MemTotal:        2048 kB\nMemFree: 1 kB\n", "MemTotal:"), Some(2 << 20));
    }
}
