//! Compiles the shims over libtorch and makes every binary find libtorch without an environment.

use std::{env, path::Path};

/// One file a subject.
const SHIMS: [&str; 8] = ["allocator", "conv_bn_act", "dispatch", "normalize", "region", "source", "tensor", "undo"];

fn main() {
    let lib = env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys tells where libtorch is");
    // Through symbolic links the rpath would depend on where the checkout's link points at run time.
    let lib = Path::new(&lib).canonicalize().expect("torch-sys has found libtorch there");
    let include = lib.parent().expect("lib/ lies inside libtorch").join("include");
    println!("cargo:rerun-if-changed=csrc");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .warnings(false) // libtorch's headers are not free of them
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
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
}
