//! Check 12: exports are there, where they were asked for, the same for the same model and others for others, and leave
//! nothing behind when they fail. Whether a file says in its format what the model holds, only its readers can tell.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail, ensure};
use trainer_sdk::Format;

use super::{
    Done,
    exports::{NeedsNetwork, Written, export, files, formats, model, other_model, other_values},
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
    let rest = || needs.join("; ");
    Ok(match all.len() - needs.len() {
        0 => Done::Skipped(rest()),
        _ if needs.is_empty() => Done::Passed,
        tried => Done::Noted(format!("{tried} of {} formats are checked: {}", all.len(), rest())),
    })
}

/// Checks one format; why not, where it needs what the small model does not have.
fn one(subject: &Subject, format: &Format) -> Result<Option<String>> {
    let place = tempfile::tempdir()?;
    let export = |directory: &Path, model| export(&mut *subject.exporter()?, format, directory, model);
    let written = match export(place.path(), model()) {
        Ok(written) => written,
        Err(error) if is_panic(&error) => return Err(error),
        Err(error) => {
            nothing_left(place.path())?;
            return if error.is::<NeedsNetwork>() { Ok(Some(words(&error))) } else { Err(error) };
        }
    };
    artifacts(&written, place.path())?;
    let again = |model| Ok::<_, anyhow::Error>(export(tempfile::tempdir()?.path(), model)?.files);
    let same = again(model())?;
    if let Some((name, _)) = written.files.iter().find(|(name, bytes)| same.get(*name) != Some(bytes)) {
        bail!("{name} differs from one export of the same model to the next; leave out times and random numbers");
    }
    // A format may hold names alone.
    ensure!(
        again(other_values())? != written.files || again(other_model())? != written.files,
        "it writes the same bytes for a model of other tensors; write what the model holds"
    );
    unwritable(subject, format)?;
    Ok(None)
}

/// Artifacts, files or directories, are there and hold something, and nothing lies beside them.
fn artifacts(written: &Written, directory: &Path) -> Result<()> {
    ensure!(!written.artifacts.is_empty(), "`export` names no artifact; name the files that it wrote");
    for artifact in &written.artifacts {
        let path = &artifact.path;
        ensure!(path.exists(), "the artifact {} is not there; name the files that were written", path.display());
        let inside = path.canonicalize()?.starts_with(directory.canonicalize()?);
        ensure!(inside, "the artifact {} lies outside the directory of the asked path", path.display());
        let holds = |(name, bytes): (&String, &Vec<u8>)| directory.join(name).starts_with(path) && !bytes.is_empty();
        ensure!(written.files.iter().any(holds), "the artifact {} is empty", path.display());
    }
    let named = |name: &String| written.artifacts.iter().any(|it| directory.join(name).starts_with(&it.path));
    match written.files.keys().find(|name| !named(name) && directory.join(name).is_file()) {
        Some(name) => bail!("it leaves {name} behind, which is no artifact; delete it or name it"),
        None => Ok(()),
    }
}

/// A directory that is not there is an error, and stays away.
fn unwritable(subject: &Subject, format: &Format) -> Result<()> {
    let place = tempfile::tempdir()?;
    fs::write(place.path().join("file"), b"x")?;
    for gone in ["gone", "file"] {
        match export(&mut *subject.exporter()?, format, &place.path().join(gone), model()) {
            Ok(_) => bail!("it says that it wrote into a directory that cannot be written"),
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
