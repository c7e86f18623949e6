//! From the name a user wrote to a file, and how it was found.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;

use crate::{
    LoadError, Manifest,
    file::{FILE_LIMIT, read_limited},
    options::{is_set_uid, user_folders},
};

/// A plugin file and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The canonical path.
    pub path: PathBuf,
    /// Whether the user named the file itself.
    pub provenance: Provenance,
}

/// How a file was found, which decides its default policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// By its own path, or beside the executable.
    Explicit,
    /// In another folder of the search path.
    Searched,
}

/// The directories that are searched for plugins, first to last: the executable's own, those of
/// `TRAINER_PLUGIN_PATH` (unless the process is set-uid), the user's data directory, and `lib/trainer/plugins` beside
/// the executable's.
#[must_use]
pub fn search_path() -> Vec<PathBuf> {
    let own = own_folder();
    let listed = if is_set_uid() { None } else { env::var_os("TRAINER_PLUGIN_PATH") }.unwrap_or_default();
    let data = user_folders().map(|base| base.data_dir().join("trainer/plugins"));
    let mut path: Vec<PathBuf> = own.iter().cloned().collect();
    path.extend(env::split_paths(&listed).filter(|dir| !dir.as_os_str().is_empty()));
    path.extend(data);
    path.extend(own.and_then(|dir| Some(dir.parent()?.join("lib/trainer/plugins"))));
    path
}

/// The executable's directory.
pub(crate) fn own_folder() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.canonicalize().ok()?.parent()?.to_owned())
}

/// The file meant by `name`: the path as given, else a file of that name in one of `directories`; `x.so` also finds
/// `libx.so`.
///
/// # Errors
/// [`LoadError::Missing`] with the places tried.
pub fn resolve(name: &Path, directories: &[PathBuf]) -> Result<Found, LoadError> {
    let mut searched = Vec::new();
    for dir in std::iter::once(Path::new("")).chain(directories.iter().map(PathBuf::as_path)) {
        let given = dir.join(name);
        let is_folder = given.is_dir();
        let prefixed = given.file_name().map(|file| given.with_file_name(format!("lib{}", file.to_string_lossy())));
        for candidate in std::iter::once(given).chain(prefixed) {
            if candidate.is_file()
                && let Ok(path) = candidate.canonicalize()
            {
                return Ok(Found { path, provenance: provenance(dir) });
            }
        }
        let place = match dir.as_os_str().is_empty() {
            _ if name.is_absolute() => name.display().to_string(),
            true => "the working directory".into(),
            false => dir.display().to_string(),
        };
        searched.push(if is_folder { format!("{place} (a directory, not a file)") } else { place });
        if name.is_absolute() {
            break;
        }
    }
    Err(LoadError::Missing { name: name.display().to_string(), searched })
}

/// What a file found in `dir` is; no directory stands for the path as given.
fn provenance(dir: &Path) -> Provenance {
    let is_own = || own_folder().is_some_and(|own| dir.canonicalize().is_ok_and(|dir| dir == own));
    if dir.as_os_str().is_empty() || is_own() { Provenance::Explicit } else { Provenance::Searched }
}

/// The libraries (`*.so`) of one directory, by name.
#[must_use]
pub fn libraries(dir: &Path) -> Vec<Found> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let paths = files.filter(|path| path.extension().is_some_and(|e| e == "so") && path.is_file());
    let mut paths: Vec<PathBuf> = paths.filter_map(|path| path.canonicalize().ok()).collect();
    paths.sort();
    paths.dedup();
    paths.into_iter().map(|path| Found { path, provenance: provenance(dir) }).collect()
}

/// A plugin file in the search path whose manifest claims `key` as an alias. Runs no code of any plugin.
#[must_use]
pub fn find_alias(key: &str) -> Option<Found> {
    search_path().iter().flat_map(|dir| libraries(dir)).find(|found| {
        let bytes = read_limited(&found.path, FILE_LIMIT).ok();
        let manifest = bytes.and_then(|bytes| Manifest::read(&found.path, &bytes).ok());
        manifest.is_some_and(|m| m.components.iter().any(|component| component.aliases.contains_key(key)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_lib_prefix_and_lists_places() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("libx.so"), b"x").unwrap();
        let places = [dir.path().to_owned()];
        let found = resolve(Path::new("x.so"), &places).unwrap();
        assert_eq!(found.path.file_name().unwrap(), "libx.so");
        assert_eq!(found.provenance, Provenance::Searched);
        assert_eq!(resolve(&found.path, &places).unwrap().provenance, Provenance::Explicit, "named by its path");
        let error = resolve(Path::new("y.so"), &places).unwrap_err();
        assert_eq!(error.code(), "not-found");
        assert_eq!(
            error.to_string(),
            format!(
                "plugin y.so not found; looked for it in the working directory, {} [not-found]",
                dir.path().display()
            )
        );
    }

    #[test]
    fn a_directory_is_no_plugin_and_is_told_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("x.so");
        std::fs::create_dir(&folder).unwrap();
        let path = folder.display().to_string();
        assert_eq!(
            resolve(&folder, &[]).unwrap_err().to_string(),
            format!("plugin {path} not found; looked for it in {path} (a directory, not a file) [not-found]")
        );
    }

    #[test]
    fn the_folder_of_the_executable_is_explicit() {
        assert_eq!(provenance(&own_folder().unwrap()), Provenance::Explicit);
        assert_eq!(search_path()[0], own_folder().unwrap());
    }
}
