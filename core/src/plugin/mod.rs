//! `trainer plugin`: what authors and users of plugins do with their files.

mod list;
mod status;
mod table;
mod trust;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

/// The verbs below `trainer plugin`.
#[derive(Subcommand)]
pub enum Verb {
    /// List the plugins that can be found and the built-in components; runs no code of any plugin
    List(list::Args),
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
        Verb::Trust(args) => trust::trust(args),
    }
    .map(ExitCode::from)
}
