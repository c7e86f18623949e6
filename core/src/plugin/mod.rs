//! `trainer plugin`: what authors and users of plugins do with their files.

mod check;
mod info;
mod list;
mod new;
mod status;
mod table;
mod trust;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use list::{Row, found};
pub(crate) use status::Status;

/// The verbs below `trainer plugin`.
#[derive(Subcommand)]
pub enum Verb {
    /// List the plugins that can be found and the built-in components; runs no code of any plugin
    List(list::Args),
    /// Show what a plugin or a component is: manifest, trust, options
    Info(info::Args),
    /// Write a new plugin project
    New(new::Args),
    /// Run the conformance checks on a plugin, each in a process of its own
    Check(check::Args),
    /// Trust a plugin's file as it is now, or take that back
    Trust(trust::Args),
}

/// Runs one verb.
///
/// # Errors
/// What the user must mend.
pub fn run(verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::List(args) => list::list(args),
        Verb::Info(args) => info::info(args),
        Verb::New(args) => new::new(args),
        Verb::Check(args) => check::check(args),
        Verb::Trust(args) => trust::trust(args),
    }
    .map(ExitCode::from)
}
