//! The examples: each builds where it lies, passes its own tests and the conformance checks. The book shows parts of them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::project::{cargo, library, make, passes_checks};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// The folders that hold a file of this name.
fn with(file: &str) -> BTreeSet<PathBuf> {
    let folders = fs::read_dir(EXAMPLES).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|folder| folder.join(file).is_file()).map(|folder| folder.canonicalize().unwrap()).collect()
}

fn name(folder: &Path) -> &str {
    folder.file_name().unwrap().to_str().unwrap()
}

#[test]
fn examples_in_rust_build_and_pass_their_tests_and_the_checks() {
    let folders = with("Cargo.toml");
    assert!(folders.len() >= 5, "{folders:?}");
    for folder in folders {
        cargo("build", &folder);
        let tested = cargo("test", &folder);
        assert!(tested.contains("test result: ok. ") && !tested.contains(" 0 passed"), "{tested}");
        passes_checks(&library(name(&folder)));
    }
}

#[test]
fn examples_in_c_build_and_pass_the_checks() {
    let folders = with("Makefile");
    assert!(folders.len() >= 2, "{folders:?}");
    for folder in folders {
        make(&folder);
        let libraries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let libraries: Vec<_> = libraries.filter(|path| path.extension().is_some_and(|it| it == "so")).collect();
        assert_eq!(libraries.len(), 1, "{}", folder.display());
        passes_checks(&libraries[0]);
    }
}
