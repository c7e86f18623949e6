//! C sources to libraries, libraries to factories.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use trainer_abi::{Extension, PlainRoot, Sink, Status, Str};

use super::host::HOST;
use crate::{
    LoadError,
    guest::{Factory, Guest, Table},
    plain::{empty_entry, plain_root},
};

fn checkout() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|reason| panic!("this test needs {command:?}: {reason}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?} is not clean:\n{said}");
}

/// Builds an example as its README says, with its own Makefile, in a folder beside the sources' copy.
pub fn example(name: &str, product: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("examples").join(name);
    fs::create_dir_all(&folder).unwrap();
    symlink(checkout().join("sdk"), dir.path().join("sdk")).unwrap();
    for entry in fs::read_dir(checkout().join("examples").join(name)).unwrap() {
        let file = entry.unwrap().path();
        fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    run(Command::new("make").arg("-C").arg(&folder));
    (dir, folder.join(product))
}

/// Builds one source text.
pub fn library(source: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (file, product) = (dir.path().join("plugin.c"), dir.path().join("plugin.so"));
    fs::write(&file, source).unwrap();
    let flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-I"];
    run(Command::new("cc").args(flags).arg(checkout().join("sdk/include")).arg(&file).arg("-o").arg(&product));
    (dir, product)
}

/// The plain root of a file, which stays in memory.
pub fn root(path: &Path) -> Option<Result<PlainRoot, LoadError>> {
    // SAFETY: the library was built from a source of this repository.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.unwrap();
    let root = plain_root(&library, Path::new("plugin.so"));
    std::mem::forget(library);
    root
}

/// Starts a plugin; its only component and that one's option schema.
pub fn start<T: Table>(path: &Path) -> (Factory<T>, serde_json::Value) {
    let root = root(path).unwrap().unwrap();
    let (mut error, mut schema, mut count) = (Vec::new(), Vec::new(), 0);
    // SAFETY: all functions are there, and the plugin follows trainer-abi's rules.
    unsafe {
        let status = (root.init)(&raw const HOST, Sink::to(&mut error));
        assert_eq!(status, Status::OK, "{}", String::from_utf8_lossy(&error));
        assert!((root.get_ext)(Str::new("unknown/1")).table.is_null());
        let factory = &*(root.factories)(&raw mut count);
        assert_eq!(count, 1);
        assert!((factory.table)(Str::new("trainer.unknown/1")).table.is_null());
        assert!((factory.table)(Str::new(&format!("{}x", T::ID))).table.is_null());
        let Extension { layout, table } = (factory.table)(Str::new(T::ID));
        assert!(layout.is_none() && empty_entry::<T>(table).is_none());
        (factory.schema)(Sink::to(&mut schema));
        let guest = Guest {
            plugin: "example".into(),
            component: factory.name.to_text().into(),
            file: "example.so".into(),
            loaded: path.into(),
        };
        let table = &*table.cast::<T>();
        (Factory { table, guest: Box::leak(Box::new(guest)) }, serde_json::from_slice(&schema).unwrap())
    }
}
