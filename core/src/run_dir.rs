//! A run's directory: `PROJECT/NAME`, or the first of `NAME2`, `NAME3` … that does not exist.

use std::{fs, io::ErrorKind, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::config::TrainConfig;

/// Makes the directory with `weights/` inside.
///
/// # Errors
/// If it cannot be made.
pub fn create(config: &TrainConfig) -> Result<PathBuf> {
    let TrainConfig { project, name, exist_ok, .. } = config;
    fs::create_dir_all(project).with_context(|| format!("cannot make the directory {}", project.display()))?;
    for number in 1u32.. {
        let dir = project.join(if number == 1 { name.clone() } else { format!("{name}{number}") });
        match fs::create_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && !exist_ok => continue,
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make the run directory {}", dir.display()));
            }
            _ => {}
        }
        let weights = dir.join("weights");
        fs::create_dir_all(&weights).with_context(|| format!("cannot make the directory {}", weights.display()))?;
        return Ok(dir);
    }
    unreachable!("there is always a next number")
}
