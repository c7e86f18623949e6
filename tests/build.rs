//! Makes the test binary find libtorch as the trainer itself does.

fn main() {
    let rpath = std::env::var("DEP_TRAINER_SHIM_RPATH").expect("the trainer's build script tells");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{rpath}");
    println!("cargo:rerun-if-changed=build.rs");
}
