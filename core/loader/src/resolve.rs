//! From the name a user wrote to a file.

use std::{
    env,
    path::{Path, PathBuf},
};

use etcetera::BaseStrategy as _;

use crate::LoadError;

/// The directories that are searched for plugins, first to last: the executable's own, those of
/// `TRAINER_PLUGIN_PATH`, the user's data directory, and `lib/trainer/plugins` beside the executable's.
#[must_use]
pub fn search_path() -> Vec<PathBuf> {
    let own =
        env::current_exe().ok().and_then(|exe| exe.canonicalize().ok()).and_then(|exe| Some(exe.parent()?.to_owned()));
    let listed = env::var_os("TRAINER_PLUGIN_PATH").unwrap_or_default();
    let data = etcetera::choose_base_strategy().ok().map(|base| base.data_dir().join("trainer/plugins"));
    let mut path: Vec<PathBuf> = own.iter().cloned().collect();
    path.extend(env::split_paths(&listed).filter(|dir| !dir.as_os_str().is_empty()));
    path.extend(data);
    path.extend(own.and_then(|dir| Some(dir.parent()?.join("lib/trainer/plugins"))));
    path
}

/// The file meant by `name`: the path as given, else a file of that name in one of `directories`; `x.so` also finds
/// `libx.so`.
///
/// # Errors
/// [`LoadError::Missing`] with the places tried.
pub fn resolve(name: &Path, directories: &[PathBuf]) -> Result<PathBuf, LoadError> {
    let mut searched = Vec::new();
    for dir in std::iter::once(Path::new("")).chain(directories.iter().map(PathBuf::as_path)) {
        let given = dir.join(name);
        let prefixed = given.file_name().map(|file| given.with_file_name(format!("lib{}", file.to_string_lossy())));
        for candidate in std::iter::once(given).chain(prefixed) {
            if candidate.is_file()
                && let Ok(path) = candidate.canonicalize()
            {
                return Ok(path);
            }
        }
        searched.push(if dir.as_os_str().is_empty() {
            "the working directory".into()
        } else {
            dir.display().to_string()
        });
        if name.is_absolute() {
            searched = vec![name.display().to_string()];
            break;
        }
    }
    Err(LoadError::Missing { name: name.display().to_string(), searched })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_lib_prefix_and_lists_places() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("libx.so"), b"x").unwrap();
        let places = [dir.path().to_owned()];
        assert_eq!(resolve(Path::new("x.so"), &places).unwrap().file_name().unwrap(), "libx.so");
        let error = resolve(Path::new("y.so"), &places).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("plugin y.so not found; looked for it in the working directory, {}", dir.path().display())
        );
    }
}
