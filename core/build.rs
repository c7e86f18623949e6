//! Compiles the shims over libtorch and makes every binary find libtorch without an environment.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// One file a subject.
const SHIMS: [&str; 9] =
    ["allocator", "autocast", "context", "conv_bn_act", "dispatch", "normalize", "region", "source", "tensor"];
/// What is for GPUs alone, in a library of its own.
const CUDA_SHIMS: [&str; 4] = ["device", "graph", "memory", "stream"];

fn main() {
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys tells where libtorch is");
    // Through symbolic links the rpath would depend on where the checkout's link points at run time.
    let lib = Path::new(&lib).canonicalize().expect("torch-sys has found libtorch there");
    println!("cargo:rerun-if-changed=csrc");
    compiler(&lib)
        .flags(["-fno-math-errno", "-fno-trapping-math"]) // loops with comparisons become vectors
        .flag("-fopenmp") // at::parallel_for is compiled into our own kernels
        .files(SHIMS.map(|shim| format!("csrc/{shim}.cpp")))
        .compile("trainer_shim");
    // libtorch's own OpenMP library: a second one would have threads of its own.
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-lib=dylib:+verbatim=libgomp.so.1");
    // Two notes for dependents' binaries: ours here, the tests crate reads DEP_TRAINER_RPATH.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:rpath={}", lib.display());
    println!("cargo:rustc-env=TRAINER_LIBTORCH={}", lib.display()); // for `trainer doctor`
    cuda(&lib);
}

fn compiler(lib: &Path) -> cc::Build {
    let include = lib.parent().expect("lib/ lies inside libtorch").join("include");
    let mut compiler = cc::Build::new();
    compiler.cpp(true).std("c++17").warnings(false); // libtorch's headers are not free of them
    compiler.include(&include).include(include.join("torch/csrc/api/include"));
    compiler
}

/// Puts `libtrainer_cuda.so` beside the binary. Needs no GPU and no CUDA toolkit, but the headers of NVIDIA's Python
/// packages beside libtorch's.
fn cuda(lib: &Path) {
    let nvidia = lib.join("../../nvidia/cu13");
    let runtime = nvidia.join("lib/libcudart.so.13");
    if !nvidia.join("include/cuda_runtime_api.h").is_file() || !lib.join("libtorch_cuda.so").is_file() {
        println!("cargo:warning=no GPU support: {} has no CUDA headers; scripts/setup installs them", nvidia.display());
        return;
    }
    let mut compiler = compiler(lib);
    compiler.pic(true).include(nvidia.join("include"));
    let objects = compiler.files(CUDA_SHIMS.map(|shim| format!("csrc/cuda/{shim}.cpp"))).compile_intermediates();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let made = out.join("libtrainer_cuda.so");
    let linked = (compiler.get_compiler().to_command())
        .arg("-shared")
        .args(objects)
        .arg("-o")
        .arg(&made)
        .arg(format!("-L{}", lib.display()))
        .args(["-ltorch_cuda", "-lc10_cuda", "-ltorch_cpu", "-lc10"])
        .arg(runtime)
        // Every symbol of ours is there; those of libtorch that are NVIDIA's need not be on this machine.
        .args(["-Wl,--no-undefined", "-Wl,--allow-shlib-undefined", "-Wl,-s"])
        .status();
    assert!(linked.is_ok_and(|status| status.success()), "libtrainer_cuda.so cannot be linked");
    // target/PROFILE/build/trainer-HASH/out; in place of the old one at once, which may be in use.
    let beside = out.ancestors().nth(3).expect("cargo's layout").join("libtrainer_cuda.so");
    fs::rename(&made, &beside).unwrap_or_else(|error| panic!("{}: {error}", beside.display()));
}
