//! Records compiler and target, which go into every plugin's manifest.

use std::{env, process::Command};

fn main() {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|out| String::from_utf8(out.stdout).ok()).unwrap_or_else(|| "unknown".into());
    println!("cargo:rustc-env=TRAINER_SDK_RUSTC={}", version.trim());
    println!("cargo:rustc-env=TRAINER_SDK_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo:rerun-if-changed=build.rs");
}
