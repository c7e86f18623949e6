//! `trainer plugin trust`.

use anyhow::{Result, bail};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {}

pub(super) fn trust(_: &Args) -> Result<u8> {
    bail!("`trainer plugin trust` is being built")
}
