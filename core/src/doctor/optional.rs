//! Libraries that only some runs need: for several GPUs, for engines.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::torch::libraries;

/// What several processes can train together with.
#[derive(Clone, Debug, Serialize)]
pub struct Distributed {
    /// Whether this libtorch has Gloo, for the processor.
    pub gloo: bool,
    /// NCCL's file, for GPUs.
    pub nccl: Option<PathBuf>,
}

impl Distributed {
    /// With the libtorch in that folder.
    #[must_use]
    pub fn found(libtorch: &Path) -> Self {
        let beside = libtorch.join("../../nvidia/nccl/lib");
        let nccl = search(&[beside], &|name| name.starts_with("libnccl.so")).into_iter().next();
        Self { gloo: libraries::has_symbol("_ZTVN4c10d16ProcessGroupGlooE"), nccl }
    }
}

/// TensorRT's libraries (`libnvinfer`, `libtensorrt_rtx`), the first of each name in the order of search.
#[must_use]
pub fn tensorrt(libtorch: &Path) -> Vec<PathBuf> {
    let is_tensorrt = |name: &str| name.starts_with("libnvinfer.so") || name.starts_with("libtensorrt_rtx.so");
    let packages = fs::read_dir(libtorch.join("../..")).into_iter().flatten().flatten();
    let packages = packages.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("tensorrt"));
    search(&packages.flat_map(|path| [path.join("lib"), path]).collect::<Vec<_>>(), &is_tensorrt)
}

/// Files whose names fit, in these folders and then where the system looks; each name once.
fn search(first: &[PathBuf], is_wanted: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    const SYSTEM: [&str; 8] = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/usr/local/cuda/lib64",
        "/usr/local/tensorrt/lib",
        "/opt/tensorrt/lib",
    ];
    let of_environment = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let folders = first.iter().cloned().chain(env::split_paths(&of_environment)).chain(SYSTEM.map(PathBuf::from));
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in folders {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let name = file.file_name().unwrap_or_default();
            if name.to_str().is_some_and(is_wanted) && found.iter().all(|known| known.file_name() != Some(name)) {
                found.push(fs::canonicalize(&file).map_or(file.clone(), |folder| folder.with_file_name(name)));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_packages_beside_libtorch() {
        let site = tempfile::tempdir().unwrap();
        let libtorch = site.path().join("torch/lib");
        for file in ["torch/lib/libtorch_cpu.so", "tensorrt_libs/libnvinfer.so.11", "nvidia/nccl/lib/libnccl.so.2"] {
            let path = site.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = tensorrt(&libtorch);
        assert!(found[0].ends_with("tensorrt_libs/libnvinfer.so.11"), "{found:?}");
        let Distributed { gloo, nccl } = Distributed::found(&libtorch);
        assert!(gloo && nccl.as_ref().is_some_and(|file| file.ends_with("nccl/lib/libnccl.so.2")), "{nccl:?}");
    }
}
