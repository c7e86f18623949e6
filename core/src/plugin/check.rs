//! `trainer plugin check`.

use anyhow::{Result, bail};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {}

pub(super) fn check(_: &Args) -> Result<u8> {
    bail!("`trainer plugin check` is being built")
}
