//! `trainer plugin new`: writes a plugin project that builds, passes its test and passes `trainer plugin check`.

mod name;
mod project;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use serde_json::json;

use crate::report::print_result;
use project::Project;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Its name in lower snake case; project, library and component are called so
    name: String,
    /// What it plugs into
    #[arg(long)]
    kind: Kind,
    /// The language it is written in
    #[arg(long, default_value = "rust")]
    lang: Language,
    /// The folder that the project is put into
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Print one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// A socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Augmentation,
    Scheduler,
    Loss,
    Exporter,
}

/// What templates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    C,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Augmentation => "augmentation",
            Self::Scheduler => "scheduler",
            Self::Loss => "loss",
            Self::Exporter => "exporter",
        }
    }
}

pub(super) fn new(args: &Args) -> Result<u8> {
    let Args { name, kind, lang, dir, json } = args;
    name::check(name, *kind)?;
    let project = Project::new(name, *kind, *lang)?;
    let home = if dir == Path::new(".") { PathBuf::from(name) } else { dir.join(name) };
    write(&project, dir, &home)?;
    let files: Vec<_> = project.files.iter().map(|(file, _)| *file).map(|file| file.replace("NAME", name)).collect();
    if *json {
        let next: Vec<_> = project.next.iter().map(|(command, _)| command).collect();
        let document = json!({
            "name": name, "kind": kind.name(), "lang": format!("{lang:?}").to_lowercase(), "dir": home,
            "files": files, "next": next,
        });
        print_result(&document.to_string());
        return Ok(0);
    }
    print_result(&format!("wrote {} ({})\n\nnow type", home.display(), files.join(", ")));
    print_result(&format!("  cd {}", home.display()));
    let width = project.next.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    for (command, why) in &project.next {
        print_result(&format!("  {command:width$}  # {why}"));
    }
    Ok(0)
}

/// Writes all files, or none.
fn write(project: &Project, dir: &Path, home: &Path) -> Result<()> {
    ensure!(dir.is_dir(), "--dir {} is no folder; make it first, or name another", dir.display());
    if home.symlink_metadata().is_ok() {
        bail!("{} exists already; take another name, or another folder by --dir", home.display());
    }
    let written = write_files(project, home);
    if written.is_err() {
        let _ = fs::remove_dir_all(home); // what stands there is ours alone
    }
    written
}

fn write_files(project: &Project, home: &Path) -> Result<()> {
    for (file, text) in &project.files {
        let path = home.join(file.replace("NAME", &project.name));
        let folder = path.parent().unwrap_or(home);
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
