//! Opens libtorch's library for GPUs and ours, and says what is missing where that fails.

#![allow(unsafe_code)] // opens libraries

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_NOW};
use trainer_sdk::abi::Sink;

use super::{Cuda, table::Table};
use crate::torch::{failure, libraries};

/// Our library's name.
const OURS: &str = "libtrainer_cuda.so";

/// Whether the system shows a GPU of NVIDIA to this process, by its device files; nothing is opened.
#[must_use]
pub fn has_gpu() -> bool {
    let hidden = env::var("CUDA_VISIBLE_DEVICES").is_ok_and(|shown| shown.is_empty() || shown.trim() == "-1");
    let is_gpu = |name: &str| {
        let number = name.strip_prefix("nvidia").unwrap_or_default();
        name == "dxg" || (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut nodes = fs::read_dir("/dev").into_iter().flatten().flatten();
    !hidden && nodes.any(|node| node.file_name().to_str().is_some_and(is_gpu))
}

pub(super) fn open() -> Result<Cuda> {
    let folder = libraries::libtorch().context("libtorch_cpu.so is not among this process's files")?;
    let libtorch = folder.join("libtorch_cuda.so");
    // libtorch's operators for GPUs register themselves as it is opened; its symbols are for all, as if it were linked.
    // SAFETY: a library of the same libtorch that this program is linked to.
    let opened = unsafe { Library::open(Some(&libtorch), RTLD_LAZY | RTLD_GLOBAL) };
    std::mem::forget(opened.map_err(|error| missing(&anyhow::Error::from(error), &folder))?);

    let ours = find(&beside_the_program())?;
    // SAFETY: our own library; its constructors register nothing.
    let library = unsafe { Library::open(Some(&ours), RTLD_NOW) };
    let library = library.map_err(|error| missing(&anyhow::Error::from(error), &folder))?;
    // SAFETY: csrc/cuda/device.cpp defines it so.
    let table = unsafe {
        let table = library.get::<unsafe extern "C" fn() -> &'static Table>(b"trainer_cuda_table");
        table.with_context(|| format!("{} is of another build", ours.display()))?()
    };
    std::mem::forget(library);
    ensure!(table.size == size_of::<Table>(), "{} is of another build of the trainer", ours.display());
    let (mut count, mut error) = (0, Vec::new());
    // SAFETY: both places outlive the call.
    let status = unsafe { (table.count)(&raw mut count, Sink::to(&mut error)) };
    failure(status, &error).context("no GPU can be used")?;
    Ok(Cuda { table, count: usize::try_from(count)?, libtorch })
}

/// Folders where our library may lie: that of the program, those above it (tests run from a folder below), and its `lib`.
fn beside_the_program() -> Vec<PathBuf> {
    let program = env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
    let mut folders: Vec<_> = program.ancestors().skip(1).take(2).map(Path::to_owned).collect();
    folders.extend(folders.first().map(|folder| folder.join("../lib")));
    folders
}

fn find(folders: &[PathBuf]) -> Result<PathBuf> {
    folders.iter().map(|folder| folder.join(OURS)).find(|path| path.is_file()).ok_or_else(|| {
        let places = folders.first().map(|folder| folder.display().to_string()).unwrap_or_default();
        anyhow!("{OURS} is missing in {places}; it comes with the trainer, and belongs beside it")
    })
}

/// What the system's loader says, in terms of what to do. The last part of its text is `FILE: cannot open shared object
/// file: …` where a file is missing.
fn missing(error: &anyhow::Error, libtorch: &Path) -> anyhow::Error {
    let message = error.root_cause().to_string();
    let Some((before, _)) = message.split_once(": cannot open shared object file") else {
        return anyhow!("the libraries for GPUs cannot be opened: {message}");
    };
    let file = before.rsplit([' ', '/', '"']).next().unwrap_or(before);
    // A checkout has its own libtorch in .torch, elsewhere it is a Python's.
    let of_checkout = libtorch.ancestors().find(|folder| folder.ends_with(".torch")).and_then(Path::parent);
    let command = match of_checkout {
        Some(checkout) => format!("{}/scripts/setup --cuda", checkout.display()),
        None => format!("python3 -m pip install torch=={}", crate::torch::Libtorch::loaded().version),
    };
    anyhow!("{file} is missing, which libtorch needs for GPUs ({}); install it: {command}", libtorch.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_named_with_the_command_that_installs_it() {
        let told = "libcublas.so.13: cannot open shared object file: No such file or directory";
        let missing =
            |told: &'static str, folder: &str| missing(&anyhow!(told).context("dlopen failed"), Path::new(folder));
        let message = |folder: &str| missing(told, folder).to_string();
        assert_eq!(
            message("/src/trainer/.torch/site/torch/lib"),
            "libcublas.so.13 is missing, which libtorch needs for GPUs (/src/trainer/.torch/site/torch/lib); install it: \
             /src/trainer/scripts/setup --cuda"
        );
        assert!(message("/venv/lib/torch/lib").ends_with("install it: python3 -m pip install torch==2.11.0"));
        let whole = missing("/a/libtorch_cuda.so: cannot open shared object file: No such", "/a").to_string();
        assert!(whole.starts_with("libtorch_cuda.so is missing, "), "{whole}");
        let other = missing("undefined symbol: x", "/a").to_string();
        assert_eq!(other, "the libraries for GPUs cannot be opened: undefined symbol: x");
    }

    #[test]
    fn our_library_is_looked_for_beside_the_program() {
        let dir = tempfile::tempdir().unwrap();
        let message = find(&[dir.path().to_owned()]).unwrap_err().to_string();
        let place = dir.path().display();
        assert_eq!(
            message,
            format!("libtrainer_cuda.so is missing in {place}; it comes with the trainer, and belongs beside it")
        );
        fs::write(dir.path().join(OURS), "").unwrap();
        assert_eq!(find(&[PathBuf::new(), dir.path().to_owned()]).unwrap(), dir.path().join(OURS));
    }
}
