//! Check 12: exports are there, where they were asked for, the same each time, and leave nothing behind when they fail.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use trainer_sdk::Format;

use super::{
    Done,
    exports::{export, files, formats},
    subject::{Subject, is_panic, words},
};

pub fn check(subject: &Subject) -> Result<Done> {
    let all = formats(&*subject.exporter()?)?;
    let mut needs = Vec::new();
    for format in &all {
        let syntax =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        ensure!(syntax(&format.name), "format `{}` has no usable name; take letters, digits, . _ -", format.name);
        let extension = &format.extension;
        ensure!(
            syntax(extension) && !extension.starts_with('.'),
            "format {}: `{extension}` is no extension",
            format.name
        );
        needs.extend(one(subject, format).with_context(|| format!("format {}", format.name))?);
    }
    match needs.len() == all.len() {
        true => Ok(Done::Skipped(format!("every format needs what a small model does not have: {}", needs.join("; ")))),
        false => Ok(Done::Passed),
    }
}

/// Checks one format; what it needs that the small model does not have, where it refuses.
fn one(subject: &Subject, format: &Format) -> Result<Option<String>> {
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let written = match export(&mut *subject.exporter()?, format, first.path(), |model| model) {
        Ok(written) => written,
        Err(error) if is_panic(&error) => return Err(error),
        Err(error) => {
            nothing_left(first.path())?;
            return Ok(Some(words(&error)));
        }
    };
    ensure!(!written.artifacts.is_empty(), "`export` names no artifact; name the files that it wrote");
    for artifact in &written.artifacts {
        let path = &artifact.path;
        ensure!(path.is_file(), "the artifact {} is not there; name the files that were written", path.display());
        let inside = path.canonicalize()?.starts_with(first.path().canonicalize()?);
        ensure!(inside, "the artifact {} lies outside the directory of the asked path", path.display());
        ensure!(fs::metadata(path)?.len() > 0, "the artifact {} is empty", path.display());
    }
    let named = |name: &String| written.artifacts.iter().any(|it| it.path == first.path().join(name));
    let litter = written.files.keys().find(|name| !named(name) && first.path().join(name).is_file());
    if let Some(name) = litter {
        anyhow::bail!("it leaves {name} behind, which is no artifact; delete it or name it");
    }
    let again = export(&mut *subject.exporter()?, format, second.path(), |model| model)?;
    let differs = written.files.iter().find(|(name, bytes)| again.files.get(*name) != Some(bytes));
    if let Some((name, _)) = differs {
        anyhow::bail!(
            "{name} differs from one export of the same model to the next; leave out times and random numbers"
        );
    }
    unwritable(subject, format)?;
    Ok(None)
}

/// A directory that is not there is an error, and stays away.
fn unwritable(subject: &Subject, format: &Format) -> Result<()> {
    let place = tempfile::tempdir()?;
    fs::write(place.path().join("file"), b"x")?;
    for gone in ["gone", "file"] {
        match export(&mut *subject.exporter()?, format, &place.path().join(gone), |model| model) {
            Ok(_) => anyhow::bail!("it says that it wrote into a directory that cannot be written"),
            Err(error) if is_panic(&error) => return Err(error.context("panics where the directory cannot be written")),
            Err(_) => {}
        }
    }
    let left = files(place.path())?;
    ensure!(
        left.len() == 1 && left.get("file").is_some_and(|bytes| bytes == b"x"),
        "it leaves {} behind where the directory cannot be written",
        left.keys().filter(|name| *name != "file").cloned().collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

fn nothing_left(directory: &Path) -> Result<()> {
    let left: Vec<String> = files(directory)?.into_keys().collect();
    ensure!(
        left.is_empty(),
        "it fails and leaves {} behind; write beside and rename, and delete on failure",
        left.join(", ")
    );
    Ok(())
}
