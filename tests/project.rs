//! Plugin projects outside the workspace: built where they lie, checked by `trainer plugin check`.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use crate::run::built;

/// A folder beside the build's own: at the same place each time, so that nothing is compiled twice.
pub fn folder(name: &str) -> PathBuf {
    built("trainer").parent().unwrap().with_file_name("plugin_new").join(name)
}

/// The library that [`cargo`] has built of a project.
pub fn library(name: &str) -> PathBuf {
    folder("target").join(format!("release/lib{name}.so"))
}

/// Runs a command in a project; it succeeds without a warning. Returns what it wrote.
pub fn run(program: &str, words: &str, project: &Path) -> String {
    let mut command = Command::new(program);
    command.args(words.split_whitespace()).current_dir(project);
    command.env("CARGO_TARGET_DIR", folder("target")).env_remove("RUSTFLAGS");
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success() && !text.contains("warning"), "{} {words}: {text}", project.display());
    text
}

/// Runs `cargo build` or `cargo test`, without a network.
pub fn cargo(verb: &str, project: &Path) -> String {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    run(&cargo, &format!("{verb} --release --offline"), project)
}

/// Builds a project in C where it lies; its libraries are ignored by git. One at a time, since two makes would write the
/// same file.
pub fn make(project: &Path) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    run("make", "", project);
}

/// A library passes `trainer plugin check`.
pub fn passes_checks(library: &Path) {
    let mut command = Command::new(built("trainer"));
    command.args(["plugin", "check"]).arg(library).env("XDG_CACHE_HOME", folder("cache"));
    let output = command.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}: {text}", library.display());
}
