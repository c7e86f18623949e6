//! `device`: what is opened for a GPU, and what is said where there is none. Libraries for GPUs that are not installed are
//! stood in for by empty ones, so that everything up to the driver runs on any machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use trainer::torch::libraries;

use crate::run::{Run, built};

/// What libtorch needs for GPUs besides what is installed for every machine.
const NVIDIA: [&str; 10] = [
    "libcublas.so.13",
    "libcublasLt.so.13",
    "libcudnn.so.9",
    "libcufft.so.12",
    "libcufile.so.0",
    "libcurand.so.10",
    "libcusparse.so.12",
    "libcusparseLt.so.0",
    "libnccl.so.2",
    "libnvshmem_host.so.3",
];

/// Empty libraries of those names. Where the true ones are installed, libtorch takes those.
fn stand_ins(folder: &Path) {
    let source = folder.join("empty.c");
    fs::write(&source, "").unwrap();
    for name in NVIDIA {
        let mut command = Command::new("cc");
        command.args(["-shared", &format!("-Wl,-soname,{name}"), "-o"]).arg(folder.join(name)).arg(&source);
        assert!(command.status().unwrap().success());
    }
}

/// Whether NVIDIA's libraries are installed beside libtorch.
fn are_installed() -> bool {
    libraries::libtorch().unwrap().join("../../nvidia/cu13/lib/libcublas.so.13").is_file()
}

fn has_gpu() -> bool {
    Path::new("/dev/nvidia0").exists()
}

/// The fact `gpus` of `trainer doctor`, with a folder in front of the search path.
fn gpus(folder: Option<&Path>) -> Value {
    let mut command = Command::new(built("trainer"));
    command
        .args(["doctor", "device=cpu", "--json"])
        .env_clear()
        .env("OMP_NUM_THREADS", "1")
        .env("HOME", "/nonexistent");
    command.envs(folder.map(|folder| ("LD_LIBRARY_PATH", folder)));
    let Output { stdout, stderr, .. } = command.output().unwrap();
    let facts: Value =
        serde_json::from_slice(&stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)));
    facts["gpus"].clone()
}

#[test]
fn all_libraries_for_gpus_open_up_to_the_driver() {
    let dir = tempfile::tempdir().unwrap();
    stand_ins(dir.path());
    let gpus = gpus(Some(dir.path()));
    if has_gpu() {
        assert!(!gpus["usable"].as_array().unwrap().is_empty(), "{gpus}");
    } else {
        let reason = gpus["reason"].as_str().unwrap_or_else(|| panic!("{gpus}"));
        assert!(reason.starts_with("no GPU can be used: ") && reason.contains("NVIDIA"), "{reason}");
    }
}

#[test]
fn a_missing_library_is_named_with_the_command_that_installs_it() {
    if are_installed() {
        return all_libraries_for_gpus_open_up_to_the_driver();
    }
    let reason = gpus(None)["reason"].to_string();
    let reason = reason.trim_matches('"');
    let (library, rest) =
        reason.split_once(" is missing, which libtorch needs for GPUs (").unwrap_or_else(|| panic!("{reason}"));
    assert!(NVIDIA.contains(&library), "{reason}");
    let folder = libraries::libtorch().unwrap();
    let (place, command) = rest.split_once("); install it: ").unwrap_or_else(|| panic!("{reason}"));
    assert_eq!(PathBuf::from(place), folder);
    let of_checkout = folder.ancestors().find(|folder| folder.ends_with(".torch")).and_then(Path::parent);
    let wanted = of_checkout.map(|checkout| format!("{}/scripts/setup --cuda", checkout.display()));
    assert_eq!(command, wanted.unwrap_or_else(|| "python3 -m pip install torch==2.11.0".into()));
}

#[test]
fn a_gpu_that_is_not_there_is_refused_before_anything_is_done() {
    if has_gpu() {
        return all_libraries_for_gpus_open_up_to_the_driver();
    }
    for device in ["0", "cuda", "cuda:0"] {
        let message = Run::new().keys(&format!("device={device}")).expect(1);
        assert!(message.starts_with("device=0: ") && message.len() > 20, "{message}");
    }
    let seventh = Run::new().keys("device=cuda:7").expect(1);
    assert!(seventh.starts_with("device=7: "), "{seventh}");
}

#[test]
fn checks_of_a_gpu_say_that_there_is_none() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/test-cuda");
    if has_gpu() {
        return all_libraries_for_gpus_open_up_to_the_driver();
    }
    let Output { status, stdout, stderr } = Command::new(script).output().unwrap();
    let told = "test-cuda: no GPU: the system shows none (no /dev/nvidia0); nothing was tried\n";
    assert_eq!((status.code(), String::from_utf8(stderr).unwrap().as_str(), stdout.len()), (Some(1), told, 0));
}

#[test]
fn devices_that_cannot_be_meant_are_refused_where_they_stand() {
    let message = Run::new().keys("device=0,1").expect(1);
    assert_eq!(message, "device=0,1 names 2 GPUs, and this version of the trainer trains on one; take device=0");
    let run = Run::new().write("run.toml", "[train]\nepochs = 1\ndevice = 'tpu'\n").keys("--config run.toml");
    let message = run.expect(1);
    assert!(message.starts_with("run.toml:3: device=tpu must be auto, cpu, or a GPU by its number, "), "{message}");
}

#[test]
fn the_kernel_of_attention_is_told_and_can_be_chosen() {
    let told = |keys: &str| {
        let stderr = Run::new().keys(keys).expect(0);
        let line = stderr.lines().find_map(|line| line.split_once("; attention: "));
        line.unwrap_or_else(|| panic!("{stderr}")).1.to_owned()
    };
    assert_eq!(told("device=cpu"), "flash (libtorch's first choice)");
    assert_eq!(told("device=cpu attention=math"), "math (as asked for)");
    let efficient = Run::new().keys("device=cpu attention=efficient").expect(1);
    assert_eq!(efficient, "attention=efficient does not run here: libtorch has it for GPUs alone");
    let unknown = Run::new().keys("attention=fast").expect(1);
    assert!(
        unknown.starts_with("attention=fast: unknown variant `fast`, expected one of `auto`, `flash`, "),
        "{unknown}"
    );
}
