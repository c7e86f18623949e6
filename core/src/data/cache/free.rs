//! Whether memory and disk have room for a cache.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

/// Of the memory that is free a cache may take so much; the rest is for training.
const PERCENT: u64 = 80;

/// Refuses a cache of `need` bytes for so many images if `free` memory, where it is known, is too little.
pub fn check_memory(need: u64, images: usize, free: Option<u64>) -> Result<()> {
    let Some(free) = free else { return Ok(()) };
    let most = free / 100 * PERCENT;
    ensure!(
        need <= most,
        "cache=ram needs {} for {images} images, and of the {} of memory that are free it may take {} ({PERCENT} %): \
         take cache=disk, or cache=none, or a smaller imgsz or fraction",
        text(need),
        text(free),
        text(most)
    );
    Ok(())
}

/// Refuses a file of `need` bytes for so many images if the disk of `folder` has less than that `free`.
pub fn check_disk(need: u64, images: usize, free: u64, folder: &Path) -> Result<()> {
    ensure!(
        need <= free,
        "cache=disk needs {} in {} for {images} images, and {} are free there: make room, name another folder by \
         cache_dir=, or take cache=none",
        text(need),
        folder.display(),
        text(free)
    );
    Ok(())
}

/// The bytes that may still be written to a folder's disk.
pub fn disk(folder: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The bytes of memory that this process may still take, as far as the system tells: what is available on the machine,
/// and what the limits of its control groups leave.
pub fn memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| Some(1024 * field(&text, "MemAvailable:")?));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let root = Path::new("/sys/fs/cgroup");
    let groups = root.join(own);
    let groups = groups.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(group);
    groups.chain(group_v1(&root.join("memory"))).chain(machine).min()
}

/// What the limit of a control group leaves; files that were read and can be dropped count as free.
fn group(folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    left(&read("memory.max")?, &read("memory.current")?, &read("memory.stat")?, "inactive_file ")
}

fn group_v1(folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let (most, used) = (read("memory.limit_in_bytes")?, read("memory.usage_in_bytes")?);
    left(&most, &used, &read("memory.stat")?, "total_inactive_file ")
}

fn left(most: &str, used: &str, stat: &str, files: &str) -> Option<u64> {
    let (most, used): (u64, u64) = (most.trim().parse().ok()?, used.trim().parse().ok()?);
    Some(most.saturating_sub(used.saturating_sub(field(stat, files).unwrap_or(0))))
}

/// The number after `name`, which starts a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Bytes as people read them.
pub fn text(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 1e9 { format!("{:.1} MB", bytes / 1e6) } else { format!("{:.1} GB", bytes / 1e9) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_memory_is_refused_with_both_figures() {
        let message = check_memory(12_300_000_000, 118_287, Some(8_000_000_000)).unwrap_err().to_string();
        let wanted = "cache=ram needs 12.3 GB for 118287 images, and of the 8.0 GB of memory that are free it may take \
                      6.4 GB (80 %): take cache=disk, or cache=none, or a smaller imgsz or fraction";
        assert_eq!(message, wanted);
        assert!(check_memory(6_400_000_000, 5, Some(8_000_000_000)).is_ok());
        assert!(check_memory(u64::MAX, 5, None).is_ok(), "where the system does not tell");
    }

    #[test]
    fn too_little_disk_is_refused_with_both_figures() {
        let message = check_disk(2_000_000, 3, 1_900_000, Path::new("/cache")).unwrap_err().to_string();
        let wanted = "cache=disk needs 2.0 MB in /cache for 3 images, and 1.9 MB are free there: make room, name \
                      another folder by cache_dir=, or take cache=none";
        assert_eq!(message, wanted);
        assert!(check_disk(2, 3, 2, Path::new("/")).is_ok());
        assert!(disk(Path::new("/nowhere/at/all")).is_err());
    }

    #[test]
    fn limits_of_control_groups_count() {
        let meminfo = "MemTotal:       100 kB\nMemAvailable:    70 kB\n";
        assert_eq!((field(meminfo, "MemAvailable:"), field(meminfo, "MemFree:")), (Some(70), None));
        assert_eq!(left("1000\n", "900\n", "file 500\ninactive_file 300\n", "inactive_file "), Some(400));
        assert_eq!(left("1000\n", "1900\n", "", "inactive_file "), Some(0));
        assert_eq!(left("max\n", "900\n", "", "inactive_file "), None, "no limit");
        assert!(memory().is_some_and(|free| free > 0), "on Linux");
    }
}
