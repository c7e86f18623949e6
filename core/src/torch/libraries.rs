//! The libraries that are in this process.

#![allow(unsafe_code)] // looks up symbols

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The files of all libraries that are in this process now; none where the system does not say.
#[must_use]
pub fn loaded() -> BTreeSet<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    in_maps(&maps)
}

/// The sixth column of `/proc/PID/maps`, where it is a file whose name is a library's.
fn in_maps(maps: &str) -> BTreeSet<PathBuf> {
    let path = |line: &str| {
        let path = line.splitn(6, ' ').nth(5)?.trim_start();
        let name = path.strip_prefix('/')?.rsplit('/').next()?;
        (name.ends_with(".so") || name.contains(".so.")).then(|| PathBuf::from(path))
    };
    maps.lines().filter_map(path).collect()
}

/// Whether one of them defines a symbol.
#[must_use]
pub fn has_symbol(name: &str) -> bool {
    // SAFETY: the symbol is looked up and not used.
    unsafe { libloading::os::unix::Library::this().get::<*const ()>(name.as_bytes()).is_ok() }
}

/// The folder of the libtorch that is in this process.
#[must_use]
pub fn libtorch() -> Option<PathBuf> {
    let is_libtorch = |path: &PathBuf| path.file_name().is_some_and(|name| name == "libtorch_cpu.so");
    loaded().into_iter().find(is_libtorch).as_deref().and_then(Path::parent).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_found_in_the_map_of_a_process() {
        let maps = "\
55d0c8a00000-55d0c8a20000 r--p 00000000 fd:00 1234                       /usr/bin/trainer
7f0a1c000000-7f0a1c021000 rw-p 00000000 00:00 0 
7f0a20000000-7f0a20100000 r-xp 00001000 fd:00 77                         /opt/with space/libc10.so
7f0a20100000-7f0a20200000 r--p 00101000 fd:00 77                         /opt/with space/libc10.so
7f0a30000000-7f0a30100000 r-xp 00000000 fd:00 78                         /lib/libgomp.so.1
7f0a40000000-7f0a40100000 rw-s 00000000 00:05 9                          /dev/zero (deleted)
7ffd3d000000-7ffd3d021000 rw-p 00000000 00:00 0                          [stack]
";
        let found: Vec<_> = in_maps(maps).into_iter().collect();
        assert_eq!(found, ["/lib/libgomp.so.1", "/opt/with space/libc10.so"].map(PathBuf::from));
    }

    #[test]
    fn this_process_has_one_libtorch() {
        let folder = libtorch().unwrap();
        assert!(folder.join("libc10.so").is_file(), "{}", folder.display());
    }
}
