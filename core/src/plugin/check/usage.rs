//! What this process uses: threads, descriptors, memory.

#![allow(unsafe_code)] // one question to the allocator

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// How long a thread that is about to end may take for it.
const ENDING: Duration = Duration::from_millis(200);

/// The names of the threads, oldest first.
pub fn threads() -> Result<Vec<String>> {
    let mut numbered = Vec::new();
    for entry in fs::read_dir("/proc/self/task")?.flatten() {
        let number: u64 = entry.file_name().to_string_lossy().parse()?;
        // A thread that has ended meanwhile is none.
        if let Ok(name) = fs::read_to_string(entry.path().join("comm")) {
            numbered.push((number, name.trim().to_owned()));
        }
    }
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, name)| name).collect())
}

/// There are no more threads than before.
pub fn no_threads(before: usize) -> Result<()> {
    let end = Instant::now() + ENDING;
    while threads()?.len() > before && Instant::now() < end {
        std::thread::yield_now();
    }
    let left = threads()?;
    ensure!(left.len() <= before, "it leaves threads running ({}); end them, or do without", left[before..].join(", "));
    Ok(())
}

/// What may grow and should not.
pub struct Usage {
    descriptors: usize,
    /// Bytes that the allocator of C has given out, which Rust uses too; modulo 2^32.
    allocated: i32,
    /// Bytes of memory that are in use, wherever they come from.
    resident: u64,
}

/// Growth that is none: allocators and caches breathe. What ships leaves at most 8 KB of the first (measured).
const ALLOCATED: i32 = 32 << 10;
const RESIDENT: u64 = 1 << 20;

impl Usage {
    pub fn now() -> Result<Self> {
        // SAFETY: asks for numbers; any thread may.
        let heap = unsafe { libc::mallinfo() };
        let status = fs::read_to_string("/proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in its status")?;
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            allocated: heap.uordblks.wrapping_add(heap.hblkhd),
            resident: resident.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10,
        })
    }

    /// There is no more in use now; `what` has come to be and gone in between.
    pub fn has_not_grown(&self, what: &str) -> Result<()> {
        let now = Self::now()?;
        let allocated = now.allocated.wrapping_sub(self.allocated);
        let resident = now.resident.saturating_sub(self.resident);
        let descriptors = now.descriptors.saturating_sub(self.descriptors);
        tracing::debug!("{what} leave {allocated} bytes, {resident} resident, {descriptors} descriptors");
        ensure!(descriptors == 0, "{what} leave {descriptors} files open; close what is opened");
        let grown = match allocated {
            ..=ALLOCATED if resident <= RESIDENT => 0,
            ..=ALLOCATED => resident,
            _ => allocated as u64,
        };
        ensure!(
            grown == 0,
            "{what} leave {} KiB behind; free what is allocated (in Rust: keep nothing in statics, forget and leak \
             nothing)",
            grown >> 10
        );
        Ok(())
    }
}
