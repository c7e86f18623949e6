//! What the environment slips into this process: a second libtorch or CUDA library, a second OpenMP, files that are loaded
//! before all others.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// Beginnings of the names of libraries of which a process should have one.
const ONCE: [&str; 18] = [
    "libtorch",
    "libc10",
    "libgomp",
    "libiomp5",
    "libomp",
    "libcuda",
    "libcudart",
    "libcudnn",
    "libcublas",
    "libcufft",
    "libcurand",
    "libcusparse",
    "libcusolver",
    "libcupti",
    "libnccl",
    "libnvrtc",
    "libnvinfer",
    "libtensorrt",
];

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Environment {
    /// The files that `LD_PRELOAD` names.
    pub preloaded: Vec<PathBuf>,
    /// Folders of `LD_LIBRARY_PATH` with libraries of which a process should have one, and those libraries.
    pub search_path: BTreeMap<PathBuf, Vec<String>>,
    /// Libraries that are in this process more than once.
    pub copies: Vec<Vec<PathBuf>>,
    /// Kinds of OpenMP in this process, where they are more than one.
    pub openmp: Vec<PathBuf>,
}

impl Environment {
    /// Of this process, whose libraries are `loaded`.
    #[must_use]
    pub fn found(loaded: &BTreeSet<PathBuf>) -> Self {
        let variable = |name| env::var_os(name).unwrap_or_default();
        Self::of(loaded, &variable("LD_PRELOAD"), &variable("LD_LIBRARY_PATH"))
    }

    fn of(loaded: &BTreeSet<PathBuf>, preload: &OsStr, search_path: &OsStr) -> Self {
        let preloaded = preload.to_string_lossy();
        let preloaded = preloaded.split([':', ' ']).filter(|file| !file.is_empty()).map(PathBuf::from).collect();
        let with_libraries = |folder: PathBuf| {
            let names = names(&folder);
            (!names.is_empty()).then_some((folder, names))
        };
        let mut by_name: BTreeMap<&str, Vec<PathBuf>> = BTreeMap::new();
        for path in loaded.iter().filter(|path| once(name(path)).is_some()) {
            by_name.entry(stem(name(path))).or_default().push(path.clone());
        }
        let is_openmp = |path: &&PathBuf| ["libgomp", "libiomp5", "libomp"].contains(&stem(name(path)));
        let openmp: Vec<PathBuf> = loaded.iter().filter(is_openmp).cloned().collect();
        let kinds: BTreeSet<&str> = openmp.iter().map(|path| stem(name(path))).collect();
        Self {
            preloaded,
            search_path: env::split_paths(search_path).filter_map(with_libraries).collect(),
            copies: by_name.into_values().filter(|files| files.len() > 1).collect(),
            openmp: if kinds.len() > 1 { openmp } else { Vec::new() },
        }
    }

    /// What is likely to hurt, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let shown =
            |files: &[PathBuf]| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        let copies = self.copies.iter().map(|files| {
            let what = stem(name(&files[0]));
            format!("{what} is in this process {} times: {}; whose code runs is chance", files.len(), shown(files))
        });
        let openmp = (!self.openmp.is_empty()).then(|| {
            let files = shown(&self.openmp);
            format!("more than one OpenMP is in this process, each with threads of its own: {files}")
        });
        let preloaded = self.preloaded.iter().filter(|file| once(name(file)).is_some()).map(|file| {
            format!("LD_PRELOAD puts {} in front of the library that the trainer is built for", file.display())
        });
        copies.chain(openmp).chain(preloaded).collect()
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap_or_default()
}

/// `libcudart.so.13` is `libcudart`, and so is `libcudart-0a1b2c.so.13`, as Python's packages rename copies.
fn stem(name: &str) -> &str {
    let stem = name.split(".so").next().unwrap_or(name);
    stem.split_once('-').map_or(stem, |(stem, _)| stem)
}

fn once(name: &str) -> Option<&'static str> {
    ONCE.into_iter().find(|start| name.starts_with(start))
}

/// The libraries of a folder of which a process should have one.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.contains(".so") && once(name).is_some()).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(loaded: &[&str], preload: &str, search_path: &str) -> Environment {
        Environment::of(&loaded.iter().map(PathBuf::from).collect(), preload.as_ref(), search_path.as_ref())
    }

    #[test]
    fn a_library_that_is_there_twice_is_named_with_both_places() {
        let loaded = [
            "/a/libcudart.so.13",
            "/b/libcudart-0a1b.so.12",
            "/a/libtorch_cpu.so",
            "/a/libc10.so",
            "/lib/libc.so.6",
            "/a/libtorch_cuda.so",
            "/a/libc10_cuda.so",
        ];
        let environment = of(&loaded, "", "");
        let warning = "libcudart is in this process 2 times: /a/libcudart.so.13, /b/libcudart-0a1b.so.12; whose code runs is \
            chance";
        assert_eq!(environment.warnings(), [warning]);
    }

    #[test]
    fn two_kinds_of_openmp_are_named() {
        let warnings = of(&["/a/libgomp.so.1", "/mkl/libiomp5.so"], "", "").warnings();
        let told =
            "more than one OpenMP is in this process, each with threads of its own: /a/libgomp.so.1, /mkl/libiomp5.so";
        assert_eq!(warnings, [told]);
    }

    #[test]
    fn what_is_preloaded_counts_where_it_is_one_of_ours() {
        let environment = of(&[], "/x/libjemalloc.so.2:/y/libc10.so", "");
        assert_eq!(environment.preloaded.len(), 2);
        assert_eq!(
            environment.warnings(),
            ["LD_PRELOAD puts /y/libc10.so in front of the library that the trainer is built for"]
        );
    }

    #[test]
    fn folders_of_the_search_path_are_named_with_their_libraries() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["libcublas.so.12", "libz.so", "libcudnn.so.8", "libcudart.txt"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let environment = of(&[], "", &format!("/nowhere:{}", dir.path().display()));
        let found: Vec<_> = environment.search_path.into_values().collect();
        assert_eq!(found, [["libcublas.so.12", "libcudnn.so.8"]]);
    }
}
