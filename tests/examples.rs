//! The examples, from which the book's code is included: each builds without a warning, passes its own tests and keeps
//! the whole contract.

use std::{env, fs, path::Path};

use crate::{
    conformance::Checked,
    kinds::built_example,
    plugin_new::{folder, run},
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// Those in C, and their libraries.
const IN_C: [(&str, &str); 2] = [("c_augmentation", "salt_pepper.so"), ("c_loss", "confidence.so")];

/// Builds an example; the library's path.
fn built(name: &str) -> String {
    if let Some((_, library)) = IN_C.iter().find(|(known, _)| *known == name) {
        return built_example(name, library);
    }
    let (project, cargo) = (Path::new(EXAMPLES).join(name), env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    run(&cargo, "build --release --offline --locked", &project);
    let tested = run(&cargo, "test --release --offline --locked", &project);
    assert!(tested.contains("test result: ok. ") && !tested.contains(" 0 passed"), "{name}: {tested}");
    folder("target").join(format!("release/lib{name}.so")).display().to_string()
}

#[test]
fn examples_build_pass_their_tests_and_every_check() {
    let folders = fs::read_dir(EXAMPLES).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let names: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        let checked = Checked::new(&built(&name));
        assert_eq!((checked.exit, checked.bad()), (0, vec![]), "{name}");
    }
}
